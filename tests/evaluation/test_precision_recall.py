"""Curves against pycocotools' own arrays, and thresholds against trying every one."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from efficientvision.evaluation.object_matching import Collected, match_objects
from efficientvision.evaluation.precision_recall import (
    THRESHOLDS,
    ClassCurve,
    best_f1,
    class_curves,
    common_threshold,
    sampled,
)
from tests.evaluation.made_detections import NAMES, made_collection


def _of_pycocotools(collected):
    """precision and scores at IoU .50, [recall, class], as COCOeval accumulates them."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i + 1} for i in range(collected.num_images)],
            "categories": [{"id": i} for i in collected.categories],
            "annotations": [
                {
                    "id": number,
                    "image_id": int(row[0]),
                    "bbox": row[1:5].tolist(),
                    "area": row[3] * row[4],
                    "iscrowd": int(row[5]),
                    "category_id": int(row[6]),
                }
                for number, row in enumerate(collected.truths, start=1)
            ],
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(collected.detections), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    values = evaluation.eval
    return values["precision"][0, :, :, 0, -1], values["scores"][0, :, :, 0, -1]


@pytest.mark.parametrize("seed", range(3))
def test_sampled_curves_are_those_of_pycocotools(seed):
    collected = made_collection(seed)
    curves = class_curves(collected, match_objects(collected))
    precision, scores = _of_pycocotools(collected)
    for column, category in enumerate(NAMES):
        if category == 7:  # No objects: -1 there.
            assert curves[7].num_objects == 0 and (precision[:, column] == -1).all()
            continue
        ours = sampled(curves[category])
        np.testing.assert_allclose(ours[0], precision[:, column], atol=1e-12)
        # At recall 0 theirs may be the score of a detection on a crowd.
        np.testing.assert_allclose(ours[1][1:], scores[1:, column], atol=1e-12)


def _counts(collected, matches, category, threshold):
    """(right, wrong, objects) of a class, detection by detection."""
    right = wrong = 0
    for row, truth, ignored in zip(
        collected.detections, matches.truth_of, matches.ignored, strict=True
    ):
        if row[6] == category and row[5] >= threshold and not ignored:
            right, wrong = right + (truth >= 0), wrong + (truth < 0)
    objects = sum(1 for row in collected.truths if row[6] == category and not row[5])
    return right, wrong, objects


@pytest.mark.parametrize("seed", range(2))
def test_best_threshold_of_a_class_is_the_best_of_all(seed):
    collected = made_collection(seed)
    matches = match_objects(collected)
    curves = class_curves(collected, matches)
    for category in (1, 2, 4):
        tried = {}
        for threshold in set(collected.detections[:, 5]):
            right, wrong, objects = _counts(collected, matches, category, threshold)
            tried[threshold] = 2 * right / (right + wrong + objects)
        best = best_f1(curves[category])
        assert best.f1 == pytest.approx(max(tried.values()))
        assert tried[best.threshold] == pytest.approx(best.f1)
        right, wrong, objects = _counts(collected, matches, category, best.threshold)
        assert best.precision == pytest.approx(right / (right + wrong))
        assert best.recall == pytest.approx(right / objects)


def test_common_threshold_has_the_best_mean_f1():
    collected = made_collection(5)
    matches = match_objects(collected)

    def mean_f1(threshold):
        values = []
        for category in (1, 2, 4):
            right, wrong, objects = _counts(collected, matches, category, threshold)
            values.append(2 * right / (right + wrong + objects))
        return np.mean(values)

    chosen = common_threshold(class_curves(collected, matches))
    assert mean_f1(chosen) == pytest.approx(max(map(mean_f1, THRESHOLDS)))


def test_a_perfect_detector_is_used_in_the_middle_of_its_gap():
    curve = ClassCurve(2, np.array([0.9, 0.1]), np.array([2, 2]), np.array([0, 3]))
    assert common_threshold({1: curve}) == pytest.approx(0.51, abs=0.011)
    assert best_f1(curve)._asdict() == pytest.approx(
        {"threshold": 0.9, "precision": 1.0, "recall": 1.0, "f1": 1.0}
    )


def test_nothing_found():
    empty = np.zeros((0, 7))
    collected = Collected(NAMES, 1, np.array([[1, 0, 0, 9, 9, 0, 1.0]]), empty)
    curves = class_curves(collected, match_objects(collected))
    assert best_f1(curves[1]) is None
    assert common_threshold(curves) == 0.5
    precision, scores = sampled(curves[1])
    assert not precision.any() and not scores.any()
