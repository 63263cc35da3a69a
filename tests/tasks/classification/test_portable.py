"""ONNX, OpenVINO and LiteRT files of a classifier: its probabilities, in their own runtimes."""

import dataclasses

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.exports.artifacts import FORMATS
from efficientvision.exports.load_export import load_export
from efficientvision.exports.write_portable import write_portable
from efficientvision.loading import serving_metadata
from efficientvision.tasks.classification.metadata import ClassificationMetadata
from efficientvision.tasks.classification.predictor import Classifier
from tests.exports.test_portable import RUNTIMES
from tests.filled_detector import textured_photo
from tests.small_networks import CLASS_NAMES, portable_file, small_classifier

PHOTOS = [textured_photo(96, 140, 3), textured_photo(200, 150, 4), textured_photo(64, 64, 5)]


@pytest.mark.parametrize("name", ["onnx", "openvino", "litert", "litert_fp16"])
def test_probabilities_are_the_networks(name):
    pytest.importorskip(RUNTIMES[name])
    form = FORMATS[name]
    path = portable_file("classifier", name)
    network = Classifier.from_loaded(small_classifier())
    run, metadata = load_export(path)
    for photo in PHOTOS:
        expected = network.classify_batch(photo[np.newaxis])
        np.testing.assert_allclose(run(photo[np.newaxis]), expected, atol=form.score_tolerance)
    assert isinstance(metadata, ClassificationMetadata)
    assert (metadata.class_names, metadata.precision) == (CLASS_NAMES, form.precision)


def test_int8_is_smaller_and_runs():
    """How near it comes says something of trained weights only; `--runmode=export` measures it."""
    pytest.importorskip("ai_edge_litert")
    path = portable_file("classifier", "litert_int8")
    assert path.stat().st_size < 0.7 * portable_file("classifier", "litert").stat().st_size
    classifier = Classifier.from_checkpoint(path)
    assert classifier.metadata.precision == "int8"
    found = classifier.probabilities(PHOTOS)
    assert found.shape == (3, 6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=6 / 256)


def test_a_multi_label_file_of_a_batch():
    pytest.importorskip("ai_edge_litert")
    path = portable_file("classifier_of_labels", "litert", batch_size=2)
    network = Classifier.from_loaded(small_classifier(True))
    classifier = Classifier.from_checkpoint(path)
    np.testing.assert_allclose(
        classifier.probabilities(PHOTOS), network.probabilities(PHOTOS), atol=1e-3
    )
    with pytest.raises(UserError, match="takes 2 photos at a time, not 1"):
        classifier.classify_batch(PHOTOS[0][np.newaxis])


def test_suppression_is_for_detectors(tmp_path):
    loaded, path = small_classifier(), tmp_path / "x.tflite"
    metadata = serving_metadata(loaded, batch_size=1)
    with pytest.raises(UserError, match="`nms=none` applies to detectors only; espnetv2_s_0.5 is"):
        write_portable(loaded.model, loaded.config, metadata, FORMATS["litert"], path, nms="none")
    assert not list(tmp_path.iterdir())


def test_the_metadata_is_not_that_of_a_detector(tmp_path):
    metadata = serving_metadata(small_classifier(), batch_size=1)
    assert dataclasses.replace(metadata, precision="int8").to_json() != metadata.to_json()
    assert '"format": "efficientvision-classifier-1"' in metadata.to_json()
