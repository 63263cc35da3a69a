"""mIoU against EdgeNets' numbers, the published weights on CamVid, and cases by hand."""

import json
import pathlib

import numpy as np
import pytest

from efficientvision.tasks.segmentation.metrics import (
    PixelCounts,
    class_scores,
    mean_iou,
    pixel_accuracy,
    resize_nearest,
    segmentation_details,
)

GOLDENS = pathlib.Path(__file__).parents[2] / "goldens" / "edgenets"
GOLDEN = json.loads((GOLDENS / "segmentation_functions.json").read_text())["miou"]
CAMVID = json.loads((GOLDENS / "camvid_zero_shot.json").read_text())
ARRAYS = np.load(GOLDENS / "segmentation_functions.npz")


def test_intersections_and_unions_are_edgenets():
    """Their unions have 1e-6 added for each batch."""
    target = ARRAYS["seg_target"].astype("uint8")
    counts = PixelCounts(5)
    for number, name in ((1, "seg_logits"), (2, "seg_logits2")):
        one = PixelCounts(5)
        predicted = ARRAYS[name].argmax(axis=1).astype("uint8")
        for truth, said in zip(target, predicted, strict=True):
            one.add(truth, said)
            counts.add(truth, said)
        assert np.diag(one.matrix) == pytest.approx(GOLDEN[f"inter_batch{number}"])
        unions = one.matrix.sum(0) + one.matrix.sum(1) - np.diag(one.matrix)
        assert unions == pytest.approx(GOLDEN[f"union_batch{number}"], abs=1e-5)
        if number == 1:
            assert 100 * mean_iou(one.matrix) == pytest.approx(GOLDEN["miou_batch1_x100"], 1e-6)
    assert class_scores(counts.matrix).iou == pytest.approx(GOLDEN["iou_both"], rel=1e-6)
    assert 100 * mean_iou(counts.matrix) == pytest.approx(GOLDEN["miou_both_x100"], rel=1e-6)


def test_a_class_that_the_truth_does_not_have_is_left_out_of_the_mean():
    """EdgeNets' example: they count class 3, which is nowhere, as 0."""
    example = GOLDEN["example"]
    counts = PixelCounts(example["classes"])
    counts.add(np.array(example["target"][0], np.uint8), np.array(example["pred"], np.uint8))
    iou = class_scores(counts.matrix).iou
    assert iou[:3] == pytest.approx(example["iou"][:3], rel=1e-5) and np.isnan(iou[3])
    assert mean_iou(counts.matrix) == pytest.approx(4 * example["miou_x100"] / 3 / 100, rel=1e-5)


@pytest.mark.parametrize("name", [name for name in CAMVID if name != "note"])
def test_scores_of_a_published_matrix(name):
    golden = CAMVID[name]
    matrix = np.array(golden["cm"])
    assert mean_iou(matrix) == pytest.approx(golden["miou"], rel=1e-9)
    assert pixel_accuracy(matrix) == pytest.approx(golden["pixel_acc"], rel=1e-9)
    assert class_scores(matrix).iou == pytest.approx(golden["iou"], abs=5e-5)


def test_predictions_without_a_class_of_the_data_are_left_out():
    counts = PixelCounts(2, {7: 0, 3: 1})
    truth = np.array([[0, 0, 1, 1, 255]], np.uint8)
    counts.add(truth, np.array([[7, 3, 3, 0, 9]], np.uint8))
    assert counts.matrix.tolist() == [[1, 1], [0, 1]] and counts.left_out == 1
    details = segmentation_details(counts, {0: "sky", 1: "road"}, 1)
    assert (details.facts["pixels"], details.facts["left_out"]) == (4, 1)
    rows = details.tables["per_class"]
    assert [(r["class"], r["pixels"], r["IoU"]) for r in rows] == [
        ("sky", 2, 0.5),
        ("road", 1, 0.5),
    ]


@pytest.mark.parametrize("hw", [(5, 9), (3, 2), (13, 4)])
def test_a_map_is_resized_by_the_nearest_pixel(hw):
    """Pixel i of n has its middle at (i + 1/2) / n of the side."""
    source = np.arange(42, dtype=np.uint8).reshape(6, 7)
    rows, columns = (
        ((np.arange(n) + 0.5) * side / n).astype(int) for n, side in zip(hw, (6, 7), strict=True)
    )
    assert (resize_nearest(source, hw) == source[np.ix_(rows, columns)]).all()


def test_the_network_sees_another_size_than_the_truth_has():
    truth = np.kron([[0, 1], [1, 0]], np.ones((4, 6), int)).astype("uint8")
    counts = PixelCounts(2)
    counts.add(truth, np.array([[0, 1], [1, 0]], np.uint8))
    assert counts.matrix.tolist() == [[48, 0], [0, 48]]
