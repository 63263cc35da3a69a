"""An SSD's exports: its detections again, in every runtime, in pixels of the photo."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientvision.data.transforms.preprocess import stretch
from efficientvision.errors import UserError
from efficientvision.exports.artifacts import FORMATS
from efficientvision.exports.saved_model import export_saved_model
from efficientvision.exports.write_portable import write_portable
from efficientvision.loading import serving_metadata
from efficientvision.tasks.choice import build_serving
from efficientvision.tasks.detection import agreement
from efficientvision.tasks.detection.predictor import Detector
from efficientvision.tasks.detection.priors import generate_priors
from efficientvision.tasks.detection.ssd_postprocess import postprocess_ssd
from efficientvision.tasks.detection.ssd_serving import ssd_serving
from tests.filled_detector import textured_photo
from tests.filled_ssd import loaded_ssd
from tests.small_networks import (
    OBJECT_NAMES,
    PRIOR_SCALES,
    portable_file,
    small_ssd,
)
from tests.small_networks import SSD_HW as IMAGE_HW

RUNTIMES = {"onnx": "onnxruntime", "openvino": "openvino", "litert": "ai_edge_litert"}
PHOTO = textured_photo(120, 150)


@pytest.fixture(scope="module")
def loaded():
    return small_ssd()


def test_a_detector_finds_what_the_network_says(loaded):
    """By hand: resized as it stands, normalised, decoded, in pixels of the photo."""
    pixels = stretch(PHOTO, IMAGE_HW).numpy()
    resized = tf.image.resize(PHOTO, IMAGE_HW).numpy()  # Bilinear, without antialias.
    assert np.abs(pixels - resized).max() <= 0.5
    mean, stddev = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    outputs = loaded.model(((pixels - mean) / stddev).astype(np.float32)[None], training=False)
    expected = postprocess_ssd(
        *outputs,
        np.int32([PHOTO.shape[:2]]),
        priors_yxyx=generate_priors(IMAGE_HW, **PRIOR_SCALES),
        nms=loaded.config.nms_configs,
    )
    count = int(expected.valid_len[0])
    found = Detector.from_loaded(loaded)(PHOTO)
    assert len(found) == count > 5
    np.testing.assert_allclose(found.scores, expected.scores[0, :count], atol=1e-5)
    np.testing.assert_allclose(found.boxes_yxyx, expected.boxes_yxyx[0, :count], atol=0.01)
    assert set(found.names) <= set(OBJECT_NAMES.values())


@pytest.mark.slow
def test_a_saved_model_finds_the_same(loaded, tmp_path):
    metadata = serving_metadata(loaded, batch_size=None)
    assert (metadata.family, metadata.num_classes) == ("ssd", 3)
    folder = export_saved_model(
        build_serving(loaded.model, loaded.config), tmp_path / "model", metadata
    )
    expected = Detector.from_loaded(loaded)([PHOTO, PHOTO[:, ::-1].copy()], batch_size=2)
    for path in (folder, f"{folder}/{metadata.model_name}_frozen.pb"):
        found = Detector.from_checkpoint(path)([PHOTO, PHOTO[:, ::-1].copy()], batch_size=2)
        for one, other in zip(found, expected, strict=True):
            assert len(one) == len(other) > 5
            np.testing.assert_allclose(one.boxes_yxyx, other.boxes_yxyx, atol=0.02)
            np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
            assert one.names == other.names
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    serving = tf.saved_model.load(folder).signatures["serving_base64"]
    rows = serving(tf.constant([(tmp_path / "photo.png").read_bytes()]))["detections"].numpy()
    np.testing.assert_allclose(rows[0, : len(expected[0]), 1:5], expected[0].boxes_yxyx, atol=0.02)


@pytest.mark.parametrize(
    ("name", "nms"),
    [
        ("onnx", None),
        ("onnx", "none"),
        pytest.param("openvino", None, marks=pytest.mark.slow),
        ("litert", None),
    ],
)
def test_portable_files_find_the_same(loaded, name, nms):
    pytest.importorskip(RUNTIMES[name])
    path = portable_file("ssd", name, nms=nms, min_score_thresh=0.5)
    assert Detector.from_checkpoint(path).class_names == OBJECT_NAMES
    assert_same_detections(path, loaded)


@pytest.mark.slow
@pytest.mark.published_depth
def test_a_published_networks_file_finds_the_same(tmp_path):
    pytest.importorskip("ai_edge_litert")
    loaded = loaded_ssd(score_thresh=0.5)
    form, path = FORMATS["litert"], tmp_path / "ssd.tflite"
    metadata = dataclasses.replace(serving_metadata(loaded, batch_size=1), min_score_thresh=0.5)
    write_portable(loaded.model, loaded.config, metadata, form, path)
    assert_same_detections(path, loaded)


def assert_same_detections(path, loaded):
    detector = Detector.from_checkpoint(path)
    network = Detector.from_loaded(loaded, nms_mode="offset")
    for photo in (PHOTO, textured_photo(90, 60, 1)):
        expected, found = (d.detect_batch(photo[None])[0] for d in (network, detector))
        assert (expected[:, 5] > 0).sum() > 3
        same = agreement.compare(expected, found, 0.5, 0.1)
        assert same.unmatched == same.displaced == 0
        assert same.box < 0.05 and same.score < 1e-3


def test_int8_gives_its_raw_outputs(loaded):
    pytest.importorskip("ai_edge_litert")
    path = portable_file("ssd", "litert_int8")
    photo = textured_photo(100, 100)
    rows = Detector.from_checkpoint(path, min_score_thresh=0.0).detect_batch(photo[None])[0]
    network = Detector.from_loaded(loaded, nms_mode="offset").detect_batch(photo[None])[0]
    assert rows.shape == network.shape
    # Eight bits: the strongest detection is the same object.
    best = network[0]
    overlapping = rows[(rows[:, 6] == best[6]) & (np.abs(rows[:, 1:5] - best[1:5]).max(1) < 15)]
    assert len(overlapping) and overlapping[:, 5].max() > 0.4


def test_other_kinds_of_suppression_are_refused(loaded):
    with pytest.raises(UserError, match="must be per_class or offset"):
        ssd_serving(loaded.model, loaded.config, nms_mode="global")
