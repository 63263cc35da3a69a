"""ONNX, OpenVINO and LiteRT files of a segmenter: its class maps, in their own runtimes."""

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.exports.artifacts import FORMATS
from efficientvision.exports.write_portable import write_portable
from efficientvision.loading import serving_metadata
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.segmentation.predictor import Segmenter
from tests.exports.test_portable import RUNTIMES
from tests.filled_detector import textured_photo
from tests.small_networks import PIXEL_NAMES, portable_file, small_segmenter

PHOTOS = [textured_photo(96, 140, 3), textured_photo(200, 150, 4), textured_photo(64, 64, 5)]


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("litert", "class_map"),
        ("litert_fp16", "logits"),
        ("onnx", "class_map"),
        ("openvino", "class_map"),
        pytest.param("openvino", "logits", marks=pytest.mark.slow),
    ],
)
def test_class_maps_are_the_networks(name, result):
    pytest.importorskip(RUNTIMES[name])
    form = FORMATS[name]
    path = portable_file("segmenter", name, result=result)
    network, export = Segmenter.from_loaded(small_segmenter()), Segmenter.from_checkpoint(path)
    metadata = export.metadata
    assert (metadata.class_names, metadata.precision) == (PIXEL_NAMES, form.precision)
    assert metadata.result == result
    for expected, found in zip(network.predict(PHOTOS), export.predict(PHOTOS), strict=True):
        assert found.dtype == np.uint8 and found.shape == expected.shape
        assert (found != expected).mean() <= (0.02 if name == "litert_fp16" else 1e-3)


@pytest.mark.parametrize("name", ["litert_int8", "litert_mixed"])
def test_int8_is_smaller_and_runs(name):
    """How near it comes says something of trained weights only; `--runmode=export` measures it."""
    pytest.importorskip("ai_edge_litert")
    path = portable_file("segmenter", name, result="class_map")
    plain = portable_file("segmenter", "litert", result="class_map")
    assert path.stat().st_size < 0.8 * plain.stat().st_size
    network, export = Segmenter.from_loaded(small_segmenter()), Segmenter.from_checkpoint(path)
    assert export.metadata.precision == FORMATS[name].precision
    assert (export.predict(PHOTOS[0]) == network.predict(PHOTOS[0])).mean() > 0.5


def test_suppression_is_for_detectors(tmp_path):
    loaded, path = small_segmenter(), tmp_path / "x.tflite"
    metadata = serving_metadata(loaded, batch_size=1)
    says = "`nms=none` applies to detectors only; espnetv2_s_0.5 is a segmenter"
    with pytest.raises(UserError, match=says):
        write_portable(loaded.model, loaded.config, metadata, FORMATS["litert"], path, nms="none")
    assert not list(tmp_path.iterdir())


def test_mixed_is_not_for_dicenet(tmp_path):
    config = get_config("dicenet_s_0.2", task="segmentation")
    metadata = serving_metadata(small_segmenter(), batch_size=1)
    with pytest.raises(UserError, match="litert_mixed is not available for DiCENet"):
        write_portable(None, config, metadata, FORMATS["litert_mixed"], tmp_path / "d.tflite")
    assert not list(tmp_path.iterdir())
