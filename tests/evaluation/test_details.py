"""The tables behind an evaluation, from the collector's own numbers."""

import numpy as np
import pytest

from efficientvision.evaluation.details import BACKGROUND, unique_names
from efficientvision.tasks.detection.coco import CocoEvaluator
from efficientvision.tasks.detection.coco_backends import available_backends
from efficientvision.tasks.detection.details import detection_details
from tests.evaluation.made_detections import NAMES, made_collection


def _evaluated(backend="auto", seed=0):
    """An evaluator that has seen a made collection, image by image."""
    made = made_collection(seed)
    images = range(1, made.num_images + 1)
    content = {
        "images": [{"id": 100 + i} for i in images],
        "categories": [{"id": i, "name": name} for i, name in NAMES.items()],
        "annotations": [
            {
                "id": number,
                "image_id": 100 + int(row[0]),
                "bbox": row[1:5].tolist(),
                "iscrowd": int(row[5]),
                "category_id": int(row[6]),
            }
            for number, row in enumerate(made.truths, start=1)
        ],
    }
    evaluator = CocoEvaluator(content, backend=backend)
    for image in images:
        rows = made.detections[made.detections[:, 0] == image]
        x, y, width, height = rows[:, 1:5].T
        boxes = np.stack([y, x, y + height, x + width], axis=-1)[None]
        numbers = evaluator.update(
            [100 + image], boxes, rows[None, :, 5], rows[None, :, 6], [len(rows)]
        )
        assert numbers == [image]
    return evaluator, made


def test_what_was_collected_is_what_came():
    evaluator, made = _evaluated()
    collected = evaluator.collected()
    assert dict(collected.categories) == NAMES
    assert collected.num_images == made.num_images
    np.testing.assert_allclose(collected.truths, made.truths)
    np.testing.assert_allclose(collected.detections, made.detections, atol=1e-4)


@pytest.mark.parametrize("backend", available_backends())
def test_tables_agree_with_the_metrics(backend):
    evaluator, made = _evaluated(backend)
    metrics = evaluator.compute()
    details, _ = detection_details(evaluator.collected(), evaluator.scores)
    assert details.facts["images"] == made.num_images
    assert details.facts["objects"] == (made.truths[:, 5] == 0).sum()
    rows = {row["class"]: row for row in details.tables["per_class"]}
    assert list(rows) == list(NAMES.values())
    for name in ("cat", "dog", "cow"):
        assert rows[name]["AP"] == pytest.approx(metrics[f"AP_/{name}"])
        # The area under the curve is COCO's AP50.
        curve = [row for row in details.tables["pr_curves"] if row["class"] == name]
        assert len(curve) == 101
        area = np.mean([row["precision"] for row in curve])
        assert area == pytest.approx(metrics[f"AP50_/{name}"], abs=1e-6)
        # The best F1 is at a score, the curve at hundredths: scores are rounded to these.
        peak = max(row["F1"] for row in details.tables["f1_curves"] if row["class"] == name)
        assert peak == pytest.approx(rows[name]["F1"], abs=1e-6)
    means = {key: np.mean([rows[n][key] for n in ("cat", "dog", "cow")]) for key in ("AP75", "AR")}
    assert means["AP75"] == pytest.approx(metrics["AP75"])
    assert means["AR"] == pytest.approx(metrics["ARmax100"])
    empty = rows["none of these"]
    assert empty["instances"] == 0 and empty["AP"] is None and empty["threshold"] is None
    matrix = details.tables["confusion_matrix"]
    assert [row["truth"] for row in matrix] == [*NAMES.values(), BACKGROUND]
    for row in matrix[:-1]:
        counts = [value for key, value in row.items() if key != "truth"]
        assert sum(counts) == rows[row["truth"]]["instances"]


def test_two_classes_of_one_name_are_told_apart():
    assert unique_names({1: "car", 2: "bus", 3: "car"}) == {1: "car (1)", 2: "bus", 3: "car (3)"}
