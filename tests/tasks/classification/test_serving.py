"""Photos to probabilities in one graph, against Pillow, numpy and the network one by one."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientvision.exports.frozen_graph import graph_function, read_frozen_graph, read_metadata
from efficientvision.loading import serving_metadata
from efficientvision.tasks.choice import build_serving
from efficientvision.tasks.classification.metadata import ClassificationMetadata
from efficientvision.tasks.metadata import metadata_from_json
from tests.filled_classifier import MEAN, STDDEV
from tests.filled_detector import textured_photo
from tests.small_networks import CLASS_NAMES, CLASSIFIER, SIDE, exported, small_classifier

PHOTOS = [
    textured_photo(100, 180),
    textured_photo(230, 120, seed=1),
    textured_photo(50, 40, seed=2),
]


def step_by_step(photo, multi_label=False):
    """The same probabilities by the original's steps: Pillow, numpy, the network, numpy."""
    picture = Image.fromarray(photo)
    if multi_label:
        picture = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    else:
        width, height = picture.size
        short = int(SIDE / 0.875)
        if width < height:
            size = (short, int(short * height / width))
        else:
            size = (int(short * width / height), short)
        picture = picture.resize(size, Image.Resampling.BILINEAR)
        left, top = (round((side - SIDE) / 2.0) for side in size)
        picture = picture.crop((left, top, left + SIDE, top + SIDE))
    pixels = (np.asarray(picture, np.float32) - MEAN) / STDDEV
    model = small_classifier(multi_label).model
    logits = keras.ops.convert_to_numpy(model(pixels[np.newaxis], training=False))[0]
    logits = logits.astype(np.float64)
    if multi_label:
        return 1 / (1 + np.exp(-logits))
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def png(photo):
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("multi_label", [False, True])
def test_every_entrance_equals_the_steps_one_by_one(multi_label):
    folder = exported("classifier_of_labels" if multi_label else "classifier")
    signatures = tf.saved_model.load(str(folder)).signatures
    graph = read_frozen_graph(folder / f"{CLASSIFIER}_frozen.pb")
    frozen_arrays = graph_function(graph, ["image_arrays:0"], ["probabilities:0"])
    frozen_files = graph_function(graph, ["image_files:0"], ["probabilities:0"])
    seen = []
    for photo in PHOTOS:
        arrays, files = photo[np.newaxis], np.array([png(photo)])
        expected = step_by_step(photo, multi_label)
        seen.append(expected)
        for rows in (
            signatures["serving_default"](image_arrays=tf.constant(arrays))["probabilities"],
            signatures["serving_base64"](image_files=tf.constant(files))["probabilities"],
            *frozen_arrays(arrays),
            *frozen_files(files),
        ):
            assert rows.shape == (1, 6)
            # A grey level of rounding here and there.
            np.testing.assert_allclose(rows.numpy()[0], expected, atol=0.01)
    assert np.ptp(seen, axis=0).max() > 0.2  # The photos differ, or this would prove little.


def test_a_dynamic_batch_takes_files_of_several_sizes():
    loaded = small_classifier()
    serving = build_serving(loaded.model, loaded.config)
    from_files = tf.function(
        serving.results_from_files, input_signature=[tf.TensorSpec((None,), tf.string)]
    )
    rows = from_files(tf.constant([png(photo) for photo in PHOTOS])).numpy()
    expected = [step_by_step(photo) for photo in PHOTOS]
    np.testing.assert_allclose(rows, expected, atol=0.01)
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)


def test_metadata_travels_with_both_files():
    folder = exported("classifier_of_labels")
    metadata = metadata_from_json((folder / "metadata.json").read_text(), "here")
    assert metadata == serving_metadata(small_classifier(True), batch_size=1)
    assert metadata == ClassificationMetadata(
        CLASSIFIER, (SIDE, SIDE), 6, CLASS_NAMES, batch_size=1, multilabel=True, crop_fraction=None
    )
    text = read_metadata(read_frozen_graph(folder / f"{CLASSIFIER}_frozen.pb"))
    assert metadata_from_json(text, "there") == metadata
    single = serving_metadata(small_classifier(), batch_size=None)
    assert (single.multilabel, single.crop_fraction) == (False, 0.875)
