"""Photos to class maps in one graph, against Pillow, numpy and the network one by one."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientvision.exports.frozen_graph import graph_function, read_frozen_graph, read_metadata
from efficientvision.tasks.choice import build_serving
from efficientvision.tasks.metadata import metadata_from_json
from efficientvision.tasks.segmentation.metadata import SegmentationMetadata
from efficientvision.tasks.segmentation.serving import to_photo_size, to_photo_sizes
from tests.filled_detector import textured_photo
from tests.filled_segmenter import MEAN, STDDEV
from tests.small_networks import PIXEL_NAMES, SEGMENTER, exported, small_segmenter
from tests.small_networks import SEGMENTER_HW as HW

PHOTOS = [textured_photo(100, 180), textured_photo(230, 120, 1), textured_photo(50, 40, 2)]
# Near ties of the folded network, and a row where two pixels are as near.
SHARE = 0.01


def step_by_step(photo):
    """Class map and logits by the original's steps: Pillow, numpy, the network, Pillow."""
    picture = Image.fromarray(photo).resize(HW[::-1], Image.Resampling.BILINEAR)
    pixels = (np.asarray(picture, np.float32) - MEAN) / STDDEV
    logits = np.asarray(small_segmenter().model(np.float32(pixels)[np.newaxis]))[0]
    classes = Image.fromarray(logits.argmax(-1).astype(np.uint8))
    height, width = photo.shape[:2]
    return np.asarray(classes.resize((width, height), Image.Resampling.NEAREST)), logits


def png(photo):
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "PNG")
    return file.getvalue()


def test_every_entrance_equals_the_steps_one_by_one():
    folder = exported("segmenter", result="class_map")
    signatures = tf.saved_model.load(str(folder)).signatures
    graph = read_frozen_graph(folder / f"{SEGMENTER}_frozen.pb")
    frozen_arrays = graph_function(graph, ["image_arrays:0"], ["class_map:0"])
    frozen_files = graph_function(graph, ["image_files:0"], ["class_map:0"])
    for photo in PHOTOS:
        arrays, files = photo[np.newaxis], np.array([png(photo)])
        expected, _ = step_by_step(photo)
        assert len(np.unique(expected)) > 2
        for class_map in (
            signatures["serving_default"](image_arrays=tf.constant(arrays))["class_map"],
            signatures["serving_base64"](image_files=tf.constant(files))["class_map"],
            *frozen_arrays(arrays),
            *frozen_files(files),
        ):
            assert class_map.dtype == tf.uint8 and class_map.shape == (1, *photo.shape[:2])
            assert (class_map.numpy()[0] != expected).mean() <= SHARE


def test_logits_on_request():
    folder = exported("segmenter", result="logits")
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    logits = signature(image_arrays=tf.constant(PHOTOS[0][np.newaxis]))["logits"].numpy()
    _, expected = step_by_step(PHOTOS[0])
    assert logits.shape == (1, *HW, 5)
    assert np.abs(logits[0] - expected).max() < 0.05 * np.abs(expected).max()


def test_files_of_several_sizes_in_one_batch():
    loaded = small_segmenter()
    serving = build_serving(loaded.model, loaded.config)
    from_files = tf.function(
        serving.results_from_files, input_signature=[tf.TensorSpec((None,), tf.string)]
    )
    class_maps = from_files(tf.constant([png(photo) for photo in PHOTOS])).numpy()
    assert class_maps.shape == (3, 230, 180)
    for class_map, photo in zip(class_maps, PHOTOS, strict=True):
        height, width = photo.shape[:2]
        expected, _ = step_by_step(photo)
        assert (class_map[:height, :width] != expected).mean() <= SHARE
        assert (class_map[height:] == 255).all() and (class_map[:, width:] == 255).all()


@pytest.mark.parametrize("photo_hw", [(7, 5), (200, 331), (64, 96), (63, 190)])
def test_nearest_as_pillow_does_it(photo_hw):
    classes = np.random.default_rng(0).integers(0, 20, (1, *HW)).astype(np.int32)
    found = to_photo_sizes(tf.constant(classes), tf.constant([photo_hw])).numpy()[0]
    class_maps = classes.astype(np.uint8)
    np.testing.assert_array_equal(to_photo_size(class_maps, photo_hw)[0], found)
    picture = Image.fromarray(class_maps[0])
    expected = np.asarray(picture.resize(photo_hw[::-1], Image.Resampling.NEAREST))
    # Where a pixel's centre lies on a border, Pillow's sums of fractions decide.
    clear = np.outer(*[_inside_a_pixel(*sides) for sides in zip(photo_hw, HW, strict=True)])
    assert clear.mean() > 0.6
    np.testing.assert_array_equal(found[clear], expected[clear])


def _inside_a_pixel(size, source):
    return (2 * np.arange(size) + 1) * source % (2 * size) != 0


def test_metadata_travels_with_both_files():
    folder = exported("segmenter", result="logits")
    metadata = metadata_from_json((folder / "metadata.json").read_text(), "here")
    assert isinstance(metadata, SegmentationMetadata)
    assert (metadata.model_name, metadata.image_hw, metadata.num_classes) == (SEGMENTER, HW, 5)
    assert (metadata.class_names, metadata.result) == (PIXEL_NAMES, "logits")
    assert len(metadata.palette) == 5 and metadata.palette[0] == [0, 0, 0]
    np.testing.assert_allclose(metadata.preprocessing["mean_rgb"], MEAN)
    text = read_metadata(read_frozen_graph(folder / f"{SEGMENTER}_frozen.pb"))
    assert metadata_from_json(text, "there") == metadata
