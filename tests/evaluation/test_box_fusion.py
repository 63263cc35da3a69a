import pathlib

import numpy as np
import pytest

from efficientvision.evaluation.box_fusion import fuse_boxes

GOLDENS = pathlib.Path(__file__).resolve().parents[1] / "goldens"
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
