"""Boxes from raw outputs in numpy: the graph's numbers."""

import numpy as np
import pytest

from efficientvision.tasks.detection import raw_outputs
from efficientvision.tasks.detection.anchors import generate_anchors
from efficientvision.tasks.detection.base_config import NmsConfig
from efficientvision.tasks.detection.postprocess import postprocess

HW = (64, 64)
OPTIONS = {
    "image_hw": HW,
    "min_level": 3,
    "max_level": 4,
    "num_scales": 3,
    "aspect_ratios": [1.0, 2.0, 0.5],
    "anchor_scale": 2.0,
}
CLASSES = 5


@pytest.mark.parametrize("max_output_size", [10, 100])
@pytest.mark.parametrize("iou_thresh", [0.3, 0.5])
def test_it_is_what_the_graph_gives(max_output_size, iou_thresh):
    rng = np.random.default_rng(0)
    sides = [8, 4]
    logits = [rng.normal(-1, 2, (1, s, s, 9 * CLASSES)).astype("float32") for s in sides]
    box_deltas = [rng.normal(0, 0.3, (1, s, s, 36)).astype("float32") for s in sides]
    anchors = np.asarray(generate_anchors(**OPTIONS), np.float32)
    settings = NmsConfig(
        method="hard", iou_thresh=iou_thresh, score_thresh=0.4, max_output_size=max_output_size
    )
    expected = postprocess(
        logits,
        box_deltas,
        anchors=anchors,
        image_hw=HW,
        num_classes=CLASSES,
        nms=settings,
        mode="offset",
    )
    found = raw_outputs.detect(
        np.concatenate([level.reshape(-1, CLASSES) for level in logits]),
        np.concatenate([level.reshape(-1, 4) for level in box_deltas]),
        anchors,
        iou_thresh=iou_thresh,
        score_thresh=0.4,
        max_output_size=max_output_size,
        max_candidates=len(anchors),
    )
    count = int(expected.valid_len[0])
    assert count >= 10
    assert (found[:, 4] > 0).sum() == count
    np.testing.assert_allclose(found[:, :4], expected.boxes_yxyx[0], atol=1e-3)
    np.testing.assert_allclose(found[:, 4], expected.scores[0], atol=1e-6)
    np.testing.assert_array_equal(found[:, 5], expected.classes[0])


def test_no_candidate_at_all():
    anchors = np.asarray(generate_anchors(**OPTIONS), np.float32)
    found = raw_outputs.detect(
        np.full((len(anchors), CLASSES), -9.0, np.float32),
        np.zeros((len(anchors), 4), np.float32),
        anchors,
        iou_thresh=0.5,
        score_thresh=0.3,
        max_output_size=7,
        max_candidates=100,
    )
    assert found.shape == (7, 6)
    assert not found.any()


def test_only_the_best_candidates_enter():
    anchors = np.float32([[0, 0, 10, 10], [20, 20, 30, 30], [40, 40, 50, 50]])
    logits = np.float32([[1.0], [3.0], [2.0]])
    found = raw_outputs.detect(
        logits,
        np.zeros((3, 4), np.float32),
        anchors,
        iou_thresh=0.5,
        score_thresh=0.0,
        max_output_size=3,
        max_candidates=2,
    )
    np.testing.assert_array_equal(found[:2, :4], anchors[[1, 2]])
    assert not found[2].any()
