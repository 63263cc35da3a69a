import pathlib

import numpy as np
import pytest

from efficientvision.tasks.detection.box_fusion import fuse_boxes, fuse_views

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "goldens"
YXYX = [2, 1, 4, 3]


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDENS / "functions.npz") as file:
        return {name: file[name] for name in file.files if name.startswith("wbf/")}


def _check(detections, expected, num_models):
    boxes, scores, classes = fuse_boxes(
        detections[:, YXYX], detections[:, 5], detections[:, 6], num_models=num_models
    )
    np.testing.assert_allclose(boxes, expected[:, YXYX], rtol=1e-5)
    np.testing.assert_allclose(scores, expected[:, 5], rtol=1e-5)
    np.testing.assert_array_equal(classes, expected[:, 6])


@pytest.mark.parametrize("num_models", [1, 3, 8])
def test_fused_boxes_are_the_originals(num_models, golden):
    _check(golden["wbf/detections"], golden[f"wbf/out_models{num_models}"], num_models)


def test_a_class_does_not_depend_on_the_others(golden):
    detections = golden["wbf/detections"]
    _check(detections[detections[:, 6] < 3], golden["wbf/out_models3_num_classes3"], 3)


def test_nothing_to_fuse():
    boxes, scores, classes = fuse_boxes(np.zeros((0, 4)), np.zeros(0), np.zeros(0), num_models=2)
    assert boxes.shape == (0, 4) and scores.shape == (0,) and classes.shape == (0,)


def test_views_of_one_image():
    """Two looks agree on an object of class 2 (the overlap is 0.9); one alone sees another."""
    boxes = np.zeros((2, 3, 4), np.float32)
    boxes[0, 0], boxes[1, 0] = [0, 0, 10, 10], [0, 1, 10, 10]
    boxes[1, 1] = [50, 50, 60, 70]
    boxes[:, 2] = [0, 0, 10, 10]  # Padding.
    scores = np.array([[0.9, 0.0, 0.95], [0.3, 0.8, 0.95]], np.float32)
    classes = np.array([[2, 2, 2], [2, 1, 2]], np.int32)
    fused, means, labels, count = fuse_views(
        boxes, scores, classes, np.array([1, 2]), max_output_size=4
    )
    assert count == 2 and fused.shape == (4, 4) and labels.dtype == np.int32
    np.testing.assert_allclose(means, [0.6, 0.4, 0, 0], rtol=1e-6)
    np.testing.assert_array_equal(labels, [2, 1, 0, 0])
    np.testing.assert_allclose(fused[0], [0, 0.3 / 1.2, 10, 10], rtol=1e-6)
    np.testing.assert_allclose(fused[1], [50, 50, 60, 70])
    np.testing.assert_array_equal(fused[2:], 0)


def test_only_the_best_fused_boxes_are_kept():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 900, (3, 20, 2))
    boxes = np.concatenate([corner, corner + 5], axis=-1).astype(np.float32)
    scores = rng.uniform(0.1, 1, (3, 20)).astype(np.float32)
    classes = np.ones((3, 20), np.int32)
    options = {"valid_len": np.full(3, 20), "iou_thresh": 0.9}
    many = fuse_views(boxes, scores, classes, max_output_size=60, **options)
    few = fuse_views(boxes, scores, classes, max_output_size=7, **options)
    assert few[3] == 7 and many[3] > 40
    for whole, best in zip(many[:3], few[:3], strict=True):
        np.testing.assert_array_equal(whole[:7], best)


def test_a_stricter_overlap_fuses_less():
    boxes = np.array([[[0, 0, 10, 10]], [[0, 2, 10, 12]]], np.float32)  # IoU 2/3.
    one = (np.array([[0.8], [0.6]], np.float32), np.ones((2, 1), np.int32), np.ones(2, int))
    assert fuse_views(boxes, *one, max_output_size=5, iou_thresh=0.66)[3] == 1
    assert fuse_views(boxes, *one, max_output_size=5, iou_thresh=0.67)[3] == 2
