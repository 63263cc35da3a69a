import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.data.boxes import centers_and_sizes
from efficientvision.errors import UserError
from efficientvision.tasks.detection.anchors import generate_anchors
from efficientvision.tasks.detection.base_config import NmsConfig
from efficientvision.tasks.detection.postprocess import (
    Candidates,
    merge_levels,
    postprocess,
    select_candidates,
)

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "goldens"
FIELDS = {"boxes": "boxes_yxyx", "scores": "scores", "classes": "classes", "valid_len": "valid_len"}
POST = json.loads((GOLDENS / "functions.json").read_text())["post"]
CASES = POST["cases"]
# Those of the original's suppression outside the graph have no counterpart here.
ROWS = {
    name: case
    for name, case in POST["generate_detections"].items()
    if name != "columns" and not case["nms"]["pyfunc"]
}
EXTRA = {
    name: case
    for name, case in json.loads((GOLDENS / "post_extra.json").read_text())["cases"].items()
    if "fn" in case
}
ANCHORS = generate_anchors(256)


def _nms(case, **changes):
    names = ("method", "iou_thresh", "score_thresh", "sigma", "max_nms_inputs")
    return NmsConfig(**{**{name: case[name] for name in names if name in case}, **changes})


def _run(heads, case, image_scales, mode=None, **changes):
    return postprocess(
        *heads,
        image_scales,
        anchors=ANCHORS,
        image_hw=(256, 256),
        num_classes=5,
        nms=_nms(case, **changes),
        mode=mode or case["fn"],
    )


def _check(detections, golden, prefix):
    for name, field in FIELDS.items():
        expected = golden[f"{prefix}/{name}"]
        np.testing.assert_allclose(
            getattr(detections, field), expected, rtol=1e-5, atol=1e-4, err_msg=name
        )


@pytest.mark.parametrize("name", CASES)
def test_full_results(name, heads, arrays):
    """In a graph, as exports have it; the other tests run each operation at once."""

    @tf.function(autograph=False)  # Autograph would wrap our errors in its own.
    def run(*heads):
        return _run(heads, CASES[name], arrays["post/image_scales"])

    _check(run(*heads), arrays, f"post/{name}")


@pytest.mark.parametrize("name", EXTRA)
def test_results_with_padding(name, heads, arrays, extra_arrays):
    detections = _run(heads, EXTRA[name], arrays["post/image_scales"])
    _check(detections, extra_arrays, name)


@pytest.mark.parametrize("name", ROWS)
def test_rows_of_seven_numbers(name, heads, arrays):
    """The original's exchange format: image, xmin, ymin, xmax, ymax, score, class."""
    case, scales = ROWS[name], arrays["post/image_scales"]
    mode = "per_class" if case["per_class_nms"] else "global"
    found = _run(heads, case["nms"], scales, mode=mode)
    ymin, xmin, ymax, xmax = np.moveaxis(found.boxes_yxyx.numpy(), -1, 0)
    if case["flip"]:
        width = 256 * scales[:, np.newaxis]
        xmin, xmax = width - xmax, width - xmin
    ids = np.float32([[42.0], [7.0]]) + 0 * xmin
    rows = np.stack([ids, xmin, ymin, xmax, ymax, found.scores, found.classes], axis=-1)
    np.testing.assert_allclose(rows, arrays[f"post/gen/{name}"], rtol=1e-5, atol=1e-4)


def test_without_image_scales(heads, extra_arrays):
    detections = _run(heads, EXTRA["global_hard_0.87"], None)
    _check(detections, extra_arrays, "global_hard_0.87_noscale")


@pytest.mark.parametrize("score_thresh", ["0.8", "0.99"])
def test_class_offsets_equal_hard_nms_per_class(score_thresh, heads, arrays, extra_arrays):
    name = f"per_class_hard_{score_thresh}"
    detections = _run(heads, EXTRA[name], arrays["post/image_scales"], mode="offset")
    _check(detections, extra_arrays, name)


@pytest.mark.parametrize("mode", ["per_class", "global", "offset"])
def test_one_image_gives_what_a_batch_gives(mode, heads, arrays):
    scales = arrays["post/image_scales"]
    case = {"method": "hard", "score_thresh": 0.8, "max_nms_inputs": 300}
    batch = _run(heads, case, scales, mode=mode)
    one = _run([[level[:1] for level in head] for head in heads], case, scales[:1], mode=mode)
    for a, b in zip(batch, one, strict=True):
        np.testing.assert_allclose(a[:1], b, rtol=1e-5)


def test_fewer_outputs_than_default(heads, arrays):
    case = CASES["per_class_hard_0.4"]
    detections = _run(heads, case, arrays["post/image_scales"], max_output_size=7)
    assert detections.boxes_yxyx.shape == (2, 7, 4)
    np.testing.assert_allclose(
        detections.boxes_yxyx, arrays["post/per_class_hard_0.4/boxes"][:, :7], rtol=1e-5
    )


def test_candidates_of_every_anchor(heads, arrays):
    candidates = select_candidates(*heads, anchors=ANCHORS, num_classes=5)
    for name, field in (("boxes", 0), ("scores", 1), ("classes", 2)):
        expected = arrays[f"post/pre_nms_maxreduce/{name}_every101"]
        np.testing.assert_allclose(candidates[field][:, ::101], expected, rtol=1e-5, atol=1e-4)


def test_inputs_of_the_mobile_postprocessing(heads, arrays):
    """What TensorFlow Lite's own operation takes: scores, raw box deltas, normalised anchors."""
    golden = {
        n: arrays[f"post/tflite/{n}_every101"] for n in ("scores", "box_encodings", "anchors")
    }
    scores = tf.sigmoid(merge_levels([level[:1] for level in heads[0]], 5))[:, ::101]
    box_deltas = merge_levels([level[:1] for level in heads[1]], 4)[:, ::101]
    anchors = np.stack(centers_and_sizes(ANCHORS), axis=-1)[::101] / 256
    np.testing.assert_allclose(scores, golden["scores"].reshape(scores.shape), rtol=1e-5)
    np.testing.assert_allclose(
        box_deltas, golden["box_encodings"].reshape(box_deltas.shape), rtol=1e-6
    )
    np.testing.assert_allclose(anchors, golden["anchors"], rtol=1e-5, atol=1e-6)


def test_best_candidates_are_those_of_a_full_sort(heads):
    found = select_candidates(*heads, anchors=ANCHORS, num_classes=5, max_nms_inputs=700)
    logits = np.concatenate([level.reshape(2, -1, 5) for level in heads[0]], axis=1)
    flat = logits.reshape(2, -1)
    order = np.argsort(-flat, axis=-1, kind="stable")[:, :700]
    expected = 1 / (1 + np.exp(-np.take_along_axis(flat, order, -1).astype(np.float64)))
    np.testing.assert_allclose(found.scores, expected, rtol=1e-5)
    np.testing.assert_array_equal(found.classes, order % 5)
    everything = select_candidates(*heads, anchors=ANCHORS, num_classes=5)
    boxes = np.take_along_axis(everything.boxes_yxyx.numpy(), (order // 5)[..., None], axis=1)
    np.testing.assert_allclose(found.boxes_yxyx, boxes, rtol=1e-5, atol=1e-4)


def test_more_nms_inputs_than_candidates(heads):
    found = select_candidates(*heads, anchors=ANCHORS, num_classes=5, max_nms_inputs=10**6)
    assert isinstance(found, Candidates)
    assert found.scores.shape == (2, len(ANCHORS) * 5)


def test_unknown_mode_and_soft_offsets(heads):
    with pytest.raises(UserError, match="'each'.*per_class"):
        _run(heads, {"method": "hard"}, None, mode="each")
    with pytest.raises(UserError, match="hard only"):
        _run(heads, {"method": "gaussian"}, None, mode="offset")
