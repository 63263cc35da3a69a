"""AP of weighted images against pycocotools on a data set in which images are repeated."""

import numpy as np
import pytest

from efficientvision.evaluation.confidence import resampled_weights
from efficientvision.evaluation.object_matching import Collected
from efficientvision.evaluation.weighted_ap import detection_per_image
from efficientvision.tasks.detection.coco_backends import evaluate_boxes
from tests.evaluation.made_detections import NAMES, made_collection


def _collection(seed):
    """Made detections with sides above 0 and different scores; an image repeated has equal ones."""
    made = made_collection(seed, images=12)
    found = made.detections[(made.detections[:, 3:5] > 1).all(axis=1)]
    found[:, 5] = np.random.default_rng(seed).permutation(len(found)) / len(found)
    return made._replace(detections=found)


def _repeated(collected, weights):
    parts = ([], [])
    for number, image in enumerate(np.repeat(np.arange(len(weights)), weights), start=1):
        for part, rows in zip(parts, (collected.truths, collected.detections), strict=True):
            mine = rows[rows[:, 0] == image + 1].copy()
            mine[:, 0] = number
            part.append(mine)
    return Collected(NAMES, int(weights.sum()), *map(np.concatenate, parts))


def _scores(collected):
    annotations = [
        {
            "id": number,
            "image_id": int(row[0]),
            "bbox": row[1:5].tolist(),
            "area": row[3] * row[4],
            "iscrowd": int(row[5]),
            "category_id": int(row[6]),
        }
        for number, row in enumerate(collected.truths, start=1)
    ]
    images = [{"id": n, "width": 1, "height": 1} for n in range(1, collected.num_images + 1)]
    categories = [{"id": k, "name": name} for k, name in NAMES.items()]
    truth = {"images": images, "annotations": annotations, "categories": categories}
    return evaluate_boxes(truth, collected.detections, "pycocotools")


@pytest.mark.parametrize("seed", range(3))
def test_equals_coco_on_repeated_images(seed):
    collected = _collection(seed)
    results = detection_per_image(collected, NAMES)
    for weights in (np.ones(12, np.int64), next(resampled_weights(12, 1, seed))):
        found, expected = results.metrics(weights), _scores(_repeated(collected, weights))
        assert found["AP"] == pytest.approx(expected.stats[0], abs=1e-9)
        assert found["AP50"] == pytest.approx(expected.stats[1], abs=1e-9)
        assert found["AP75"] == pytest.approx(expected.stats[2], abs=1e-9)
        by_class = [found[f"AP_/{name}"] for name in NAMES.values()]
        np.testing.assert_allclose(by_class, expected.ap, atol=1e-9)
        by_class = [found[f"AP50_/{name}"] for name in NAMES.values()]
        np.testing.assert_allclose(by_class, expected.ap50, atol=1e-9)


def test_no_detections_and_no_objects():
    collected = _collection(0)
    nothing = collected._replace(detections=collected.detections[:0])
    assert detection_per_image(nothing, NAMES).metrics(np.ones(12, np.int64))["AP"] == 0.0
    empty = collected._replace(truths=collected.truths[:0])
    assert detection_per_image(empty, NAMES).metrics(np.ones(12, np.int64)) == {}
