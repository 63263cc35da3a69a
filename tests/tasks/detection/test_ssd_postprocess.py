"""SSD's detections against those of the original's box predictor."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.tasks.detection import nms as nms_ops
from efficientvision.tasks.detection.base_config import NmsConfig
from efficientvision.tasks.detection.priors import generate_priors
from efficientvision.tasks.detection.ssd_postprocess import postprocess_ssd

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "goldens" / "edgenets" / "ssd"
CASES = json.loads((GOLDENS / "functions.json").read_text())
ARRAYS = np.load(GOLDENS / "functions.npz")
PRIORS = generate_priors(300)


def nms_config(**options):
    return NmsConfig(**{"method": "hard", "iou_thresh": 0.45, "max_output_size": 200, **options})


@pytest.mark.parametrize("threshold, name", [(0.45, "nms_out_045"), (0.3, "nms_out_03")])
def test_suppression_is_the_originals(threshold, name):
    boxes, scores = ARRAYS["nms_in"][:, :4], ARRAYS["nms_in"][:, 4]
    thresholds = nms_ops.resolve_thresholds("hard", iou_thresh=threshold)
    kept, kept_scores, count = nms_ops.suppress(boxes, scores, thresholds, 40, pad=False)
    assert int(count) == CASES["nms"]["n_out_045" if threshold == 0.45 else "n_out_03"]
    np.testing.assert_array_equal(np.column_stack([boxes[kept], kept_scores]), ARRAYS[name])


@pytest.mark.parametrize("max_nms_inputs", [0, 5000])
def test_detections_are_the_originals(max_nms_inputs):
    conf, loc = (ARRAYS[f"bp_{name}"].astype(np.float32) for name in ("conf", "loc"))
    # A photo of 320 x 240, width by height.
    found = postprocess_ssd(
        conf,
        loc,
        np.int32([[240, 320]]),
        priors_yxyx=PRIORS,
        nms=nms_config(score_thresh=0.3, max_nms_inputs=max_nms_inputs),
    )
    count = int(found.valid_len[0])
    assert count == CASES["box_predictor"]["n_det"]
    boxes, scores, classes = (field[0, :count].numpy() for field in found[:3])
    assert (np.diff(scores) <= 0).all()
    # Theirs are ordered by class, then score.
    order = np.lexsort([-scores, classes])
    np.testing.assert_array_equal(classes[order], ARRAYS["bp_labels"])
    np.testing.assert_allclose(scores[order], ARRAYS["bp_scores"], atol=1e-6)
    np.testing.assert_allclose(boxes[order][:, [1, 0, 3, 2]], ARRAYS["bp_boxes"], atol=1e-4)
    assert not any(field[0, count:].numpy().any() for field in found[:3])


def test_in_a_graph_of_a_batch():
    """Images of a batch do not mix; a threshold that nothing reaches leaves nothing."""
    conf = np.repeat(ARRAYS["bp_conf"].astype(np.float32), 2, axis=0)
    loc = np.repeat(ARRAYS["bp_loc"].astype(np.float32), 2, axis=0)
    conf[1, :, 0] += 20.0
    nms = nms_config(score_thresh=0.3, max_nms_inputs=1000)

    @tf.function(
        input_signature=[tf.TensorSpec([None, *x.shape[1:]], tf.float32) for x in (conf, loc)]
    )
    def detect(conf, loc):
        return postprocess_ssd(conf, loc, priors_yxyx=PRIORS, nms=nms)

    found = detect(conf, loc)
    assert found.valid_len.numpy().tolist() == [64, 0]
    alone = postprocess_ssd(conf[:1], loc[:1], priors_yxyx=PRIORS, nms=nms)
    np.testing.assert_allclose(found.boxes_yxyx[0], alone.boxes_yxyx[0], atol=1e-6)
