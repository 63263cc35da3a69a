"""ONNX, OpenVINO and LiteRT files: the network's detections again, in their own runtimes."""

import json

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.exports.artifacts import FORMATS, is_artifact
from efficientvision.tasks.detection import agreement
from efficientvision.tasks.detection.metadata import DetectionMetadata
from efficientvision.tasks.detection.portable import portable_function
from efficientvision.tasks.detection.predictor import Detector
from efficientvision.tasks.metadata import metadata_from_json
from tests.filled_detector import textured_photo
from tests.small_networks import DETECTOR_HW, OBJECT_NAMES, portable_file, small_detector

RUNTIMES = {
    "onnx": "onnxruntime",
    "openvino": "openvino",
    "litert": "ai_edge_litert",
    "litert_fp16": "ai_edge_litert",
    "litert_int8": "ai_edge_litert",
}


def photo(seed=0, height=96, width=140):
    return textured_photo(height, width, seed)


@pytest.fixture(scope="module", params=["onnx", "openvino", "litert", "litert_fp16"])
def exported(request):
    """(format, path) of each format that computes in float."""
    pytest.importorskip(RUNTIMES[request.param])
    path = portable_file("detector", request.param, min_score_thresh=0.7)
    return FORMATS[request.param], path


@pytest.fixture(scope="module")
def network():
    return Detector.from_loaded(small_detector(), nms_mode="offset")


def test_detections_are_the_networks(exported, network):
    form, path = exported
    detector = Detector.from_checkpoint(path, min_score_thresh=0.0)
    for seed, size in enumerate([(96, 140), (200, 150), DETECTOR_HW]):
        picture = photo(seed, *size)
        expected = network.detect_batch(picture[None])[0]
        assert (expected[:, 5] > 0).sum() > 20
        found = agreement.compare(expected, detector.detect_batch(picture[None])[0], 0.6)
        assert found.unmatched <= (0 if form.precision == "float32" else 2)
        assert found.box < form.box_tolerance
        assert found.score < form.score_tolerance


def test_the_file_says_what_it_is(exported):
    form, path = exported
    detector = Detector.from_checkpoint(path)
    assert detector.class_names == OBJECT_NAMES
    assert detector.thresholds.default == 0.7
    assert all(detector(photo()).scores >= 0.7)
    facts = detector.metadata
    assert (facts.model_name, facts.image_hw) == ("efficientdet-d0", DETECTOR_HW)
    assert facts.precision == form.precision
    assert facts.nms["kind"] == "offset"
    assert facts.nms["method"] == "hard"
    assert facts.nms["score_thresh"] == 0.6


def test_a_file_that_was_cut_short_is_told(exported, tmp_path):
    form, path = exported
    short = tmp_path / f"short{form.suffix}"
    with open(path, "rb") as file:
        content = file.read()
    short.write_bytes(content[: len(content) // 2])
    if form.name == "openvino":
        (tmp_path / "short.bin").write_bytes(b"")
    with pytest.raises(UserError, match=r"short.* cut short"):
        Detector.from_checkpoint(short)


def test_settings_that_are_baked_in_cannot_be_changed(exported):
    _, path = exported
    with pytest.raises(UserError, match="nms_method cannot be changed"):
        Detector.from_checkpoint(path, nms_method="gaussian")


def test_openvino_without_its_weights(tmp_path):
    pytest.importorskip("openvino")
    (tmp_path / "a.xml").write_text("<net/>")
    with pytest.raises(UserError, match=r"a\.bin is missing"):
        Detector.from_checkpoint(tmp_path / "a.xml")


def test_a_text_file_is_no_litert_file(tmp_path):
    pytest.importorskip("ai_edge_litert")
    (tmp_path / "a.tflite").write_text("hello, this is text")
    with pytest.raises(UserError, match="is not a LiteRT file"):
        Detector.from_checkpoint(tmp_path / "a.tflite")


def test_a_missing_file():
    with pytest.raises(UserError, match="there is no exported model nowhere.onnx"):
        Detector.from_checkpoint("nowhere.onnx")


def test_a_missing_runtime_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    (tmp_path / "a.onnx").write_bytes(b"x")
    with pytest.raises(UserError, match=r"pip install 'efficientvision\[onnx\]'"):
        Detector.from_checkpoint(tmp_path / "a.onnx")


@pytest.fixture(scope="module")
def int8():
    pytest.importorskip("ai_edge_litert")
    return portable_file("detector", "litert_int8")


def test_int8_is_smaller_and_near(int8, network):
    detector = Detector.from_checkpoint(int8, min_score_thresh=0.0)
    assert detector.metadata.nms["kind"] == "none"
    network_bytes = 4 * sum(int(np.prod(w.shape)) for w in small_detector().model.weights)
    assert int8.stat().st_size < 0.5 * network_bytes
    # Random weights are the hardest case: most detections are the same, not all.
    expected = network.detect_batch(photo(1, *DETECTOR_HW)[None])[0]
    found = agreement.compare(expected, detector.detect_batch(photo(1, *DETECTOR_HW)[None])[0], 0.6)
    assert found.unmatched < found.detections


def test_raw_outputs_give_the_same_detections(network):
    pytest.importorskip("ai_edge_litert")
    path = portable_file("detector", "litert", nms="none")
    detector = Detector.from_checkpoint(path, min_score_thresh=0.0)
    picture = photo(3)
    expected = network.detect_batch(picture[None])[0]
    found = detector.detect_batch(picture[None])[0]
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_suppression_inside_takes_one_image_and_is_hard():
    loaded = small_detector()
    with pytest.raises(UserError, match="one image at a time"):
        portable_function(loaded.model, loaded.config, nms="offset", batch_size=2)
    with pytest.raises(UserError, match="must be one of offset, none"):
        portable_function(loaded.model, loaded.config, nms="soft")


def test_portable_graph_has_static_shapes():
    loaded = small_detector()
    function = portable_function(loaded.model, loaded.config, nms="none", batch_size=2)
    outputs = function(tf.zeros((2, *DETECTOR_HW, 3)))
    anchors = 9 * (12 * 16 + 6 * 8 + 3 * 4)
    assert outputs["logits"].shape == (2, anchors, 3)
    assert outputs["codes"].shape == (2, anchors, 4)


@pytest.mark.parametrize(
    ("name", "is_one"), [("a.onnx", True), ("b.tflite", True), ("c.pb", False), ("dir", False)]
)
def test_artifacts_are_known_by_their_names(name, is_one):
    assert is_artifact(name) == is_one


def test_older_metadata_is_read():
    text = json.loads(DetectionMetadata("m", (1, 2), 3).to_json())
    for name in ("precision", "preprocessing", "anchors", "min_score_thresh"):
        del text[name]
    assert metadata_from_json(json.dumps(text), "x").precision == "float32"
