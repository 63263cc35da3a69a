"""ONNX, OpenVINO and LiteRT files of a segmenter: its class maps, in their own runtimes."""

import dataclasses

import numpy as np
import pytest

from efficientvision.configs import get_config
from efficientvision.errors import UserError
from efficientvision.export.artifacts import FORMATS
from efficientvision.export.segmentation_serving import fit_photos
from efficientvision.export.write_portable import write_portable
from efficientvision.loading import serving_metadata
from efficientvision.segmenter import Segmenter
from tests.export.test_portable import RUNTIMES
from tests.filled_detector import textured_photo
from tests.filled_segmenter import HW, NAMES, loaded_segmenter

PHOTOS = [textured_photo(96, 140, 3), textured_photo(200, 150, 4), textured_photo(64, 64, 5)]


def write(name, path, *, result="class_map", **options):
    loaded = loaded_segmenter()
    metadata = dataclasses.replace(serving_metadata(loaded, batch_size=1), result=result)
    write_portable(loaded.model, loaded.config, metadata, FORMATS[name], path, **options)
    return str(path)


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("litert", "class_map"),
        ("litert_fp16", "logits"),
        pytest.param("onnx", "class_map", marks=pytest.mark.slow),
        pytest.param("openvino", "class_map", marks=pytest.mark.slow),
        pytest.param("openvino", "logits", marks=pytest.mark.slow),
    ],
)
def test_class_maps_are_the_networks(name, result, tmp_path):
    pytest.importorskip(RUNTIMES[name])
    form = FORMATS[name]
    path = write(name, tmp_path / f"made{form.suffix}", result=result)
    network, export = Segmenter.from_loaded(loaded_segmenter()), Segmenter.from_checkpoint(path)
    metadata = export.metadata
    assert (metadata.class_names, metadata.precision) == (NAMES, form.precision)
    assert metadata.result == result
    for expected, found in zip(network.predict(PHOTOS), export.predict(PHOTOS), strict=True):
        assert found.dtype == np.uint8 and found.shape == expected.shape
        assert (found != expected).mean() <= (0.02 if name == "litert_fp16" else 1e-3)


@pytest.mark.parametrize("name", ["litert_int8", "litert_mixed"])
def test_int8_is_smaller_and_runs(name, tmp_path):
    """How near it comes says something of trained weights only; `--runmode=export` measures it."""
    pytest.importorskip("ai_edge_litert")
    images = [np.float32(fit_photos(photo[np.newaxis], HW)) for photo in PHOTOS]
    path = write(name, tmp_path / "s_int8.tflite", calibration=images)
    plain = write("litert", tmp_path / "s.tflite")
    with open(path, "rb") as small, open(plain, "rb") as large:
        assert len(small.read()) < 0.8 * len(large.read())
    network, export = Segmenter.from_loaded(loaded_segmenter()), Segmenter.from_checkpoint(path)
    assert export.metadata.precision == FORMATS[name].precision
    assert (export.predict(PHOTOS[0]) == network.predict(PHOTOS[0])).mean() > 0.5


def test_suppression_is_for_detectors(tmp_path):
    with pytest.raises(UserError, match="--nms=none is for detectors; espnetv2_s_0.5 is a segm"):
        write("litert", tmp_path / "x.tflite", nms="none")
    assert not list(tmp_path.iterdir())


def test_mixed_is_not_for_dicenet(tmp_path):
    config = get_config("dicenet_s_0.2", task="segmentation")
    metadata = serving_metadata(loaded_segmenter(), batch_size=1)
    with pytest.raises(UserError, match="litert_mixed is not for DiCENet"):
        write_portable(None, config, metadata, FORMATS["litert_mixed"], tmp_path / "d.tflite")
    assert not list(tmp_path.iterdir())
