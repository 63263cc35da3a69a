"""PASCAL VOC's metrics against the original's numbers, and against loops."""

import json
import pathlib

import numpy as np
import pytest

from efficientvision.evaluation.object_matching import Collected
from efficientvision.tasks.detection.voc import format_voc_metrics, voc_metrics, voc_scores
from tests.evaluation.made_detections import made_collection

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "goldens" / "edgenets" / "ssd"
CASE = json.loads((GOLDENS / "functions.json").read_text())["voc_map"]


def _collected():
    """The original's case: corners x, y, x, y."""

    def rows(*columns):
        return np.array(
            [
                [image, x1, y1, x2 - x1, y2 - y1, value, label]
                for image, objects in enumerate(zip(*columns, strict=True), start=1)
                for (x1, y1, x2, y2), label, value in zip(*objects, strict=True)
            ]
        )

    given = CASE["input"]
    truths = rows(given["gt_boxes"], given["gt_labels"], given["gt_difficult"])
    difficult = truths[:, 5] > 0
    truths[:, 5] = 0
    detections = rows(given["pred_boxes"], given["pred_labels"], given["pred_scores"])
    return Collected({1: "cat", 2: "dog", 3: "cow"}, 3, truths, detections, difficult)


def test_averages_are_the_originals():
    scores = voc_scores(_collected())
    for kind, values, mean in (
        ("07", scores.ap_07, scores.map_07),
        ("area", scores.ap, scores.map),
    ):
        assert [values[1], values[2]] == pytest.approx(CASE[kind]["ap"][1:])
        assert values[3] is None
        assert mean == pytest.approx(CASE[kind]["map"])


def test_a_difficult_object_needs_not_be_found():
    truths = np.array([[1, 0, 0, 9, 9, 0, 1], [1, 50, 50, 9, 9, 0, 1]], float)
    first_on_the_difficult = np.array([[1, 50, 50, 9, 9, 0.9, 1], [1, 0, 0, 9, 9, 0.8, 1]], float)

    def area(difficult, truths=truths, detections=first_on_the_difficult):
        marks = np.array([False, difficult])
        return voc_scores(Collected({1: "cat"}, 1, truths, detections, marks)).ap[1]

    assert area(True) == 1.0
    assert area(True, detections=first_on_the_difficult[1:]) == 1.0
    assert area(False, detections=first_on_the_difficult[1:]) == 0.5
    elsewhere = truths + np.array([[0.0], [20.0]]) * [0, 1, 1, 0, 0, 0, 0]
    assert area(True, elsewhere) == 0.5
    assert area(False, elsewhere) == 0.25


def _by_loops(collected, category, iou=0.5):
    """(11 points, area) of a class, one detection at a time."""
    mine = [row for row in collected.detections if row[6] == category]
    truths = [row for row in collected.truths if row[6] == category]
    count = sum(not row[5] for row in truths)
    found, right, wrong, curve = set(), 0, 0, []
    for row in sorted(mine, key=lambda row: -row[5]):
        best, best_iou = None, 0.0
        for number, truth in enumerate(truths):
            if truth[0] == row[0]:
                width = min(row[1] + row[3], truth[1] + truth[3]) - max(row[1], truth[1]) + 1
                height = min(row[2] + row[4], truth[2] + truth[4]) - max(row[2], truth[2]) + 1
                inside = max(width, 0) * max(height, 0)
                areas = (row[3] + 1) * (row[4] + 1) + (truth[3] + 1) * (truth[4] + 1)
                overlap = inside / (areas - inside)
                if overlap > best_iou:
                    best, best_iou = number, overlap
        if best_iou < iou:
            wrong += 1
        elif truths[best][5]:
            continue
        elif best in found:
            wrong += 1
        else:
            found.add(best)
            right += 1
        curve.append((right / count, right / (right + wrong)))
    points = [max((p for r, p in curve if r >= k / 10 - 1e-12), default=0.0) for k in range(11)]
    area = sum(
        max(p for _, p in curve[i:]) * (r - (curve[i - 1][0] if i else 0.0))
        for i, (r, _) in enumerate(curve)
    )
    return sum(points) / 11, area


@pytest.mark.parametrize("seed", range(3))
def test_every_pair_tried_gives_the_same(seed):
    collected = made_collection(seed)
    # No two scores alike: a class is sorted over all images.
    collected.detections[:, 5] = np.random.default_rng(seed).permutation(
        len(collected.detections)
    ) / len(collected.detections)
    scores = voc_scores(collected)
    for category in (1, 2, 4):
        eleven, area = _by_loops(collected, category)
        assert 0.1 < area < 1.0
        assert scores.ap_07[category] == pytest.approx(eleven)
        assert scores.ap[category] == pytest.approx(area)
    assert scores.ap[7] is None


def test_metrics_by_name_and_their_table():
    metrics = voc_metrics(_collected())
    assert metrics["VOC07_mAP"] == pytest.approx(CASE["07"]["map"])
    assert metrics["VOC_AP_/cat"] == pytest.approx(CASE["area"]["ap"][1])
    assert "VOC_AP_/cow" not in metrics
    table = format_voc_metrics(metrics)
    assert "81.8" in table and "66.7" in table and "dog" in table


def test_without_objects():
    empty = _collected()._replace(truths=np.zeros((0, 7)), difficult=np.zeros(0, bool))
    metrics = voc_metrics(empty)
    assert metrics == {"VOC07_mAP": -1.0, "VOC_mAP": -1.0}
    assert "-" in format_voc_metrics(metrics)
