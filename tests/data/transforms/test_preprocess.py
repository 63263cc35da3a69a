"""Resize, pad, normalise: against the original's numbers and against a resize of our own."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientvision.data.transforms import decode, preprocess

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "goldens"
CASES = json.loads((GOLDENS / "input.json").read_text())["cases"]


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDENS / "input.npz")


@pytest.fixture(scope="module")
def photo(shared_dir):
    path = shared_dir / "data" / "photos" / "street_img1.jpg"
    if not path.exists():
        pytest.skip(f"needs the photo {path}")
    return decode.decode_image(tf.constant(path.read_bytes()))


def size_of(case):
    size = case["size"]
    return (size, size) if isinstance(size, int) else tuple(size)


@pytest.mark.parametrize("name", ["d0_512", "d0_384x640", "lite0_320"])
def test_golden_pixels(golden, photo, name):
    case = CASES[name]
    image, scale, valid_hw = preprocess.resize_and_pad(photo, size_of(case))
    pixels = preprocess.normalize(image, valid_hw, case["mean_rgb"], case["stddev_rgb"]).numpy()
    assert valid_hw.numpy().tolist() == case["scaled_hw"]
    np.testing.assert_allclose(scale, case["image_scale_to_original"], rtol=1e-7)
    np.testing.assert_allclose(pixels[100], golden[f"{name}/row100"], atol=2e-6)
    np.testing.assert_allclose(pixels[::32, ::32], golden[f"{name}/slice32"], atol=2e-6)
    np.testing.assert_allclose(pixels.mean(), case["mean"], atol=1e-6)
    np.testing.assert_allclose(np.abs(pixels).sum(), case["abs_sum"], rtol=1e-6)


def test_photo_decodes_to_the_originals_bytes(photo):
    expected = json.loads((GOLDENS / "input.json").read_text())["image_uint8_sum"]
    assert int(tf.reduce_sum(tf.cast(photo, tf.int64))) == expected


def bilinear(image, height, width):
    """Half-pixel bilinear without antialias, in float64."""

    def axis(source, target):
        position = (np.arange(target) + 0.5) * source / target - 0.5
        low = np.floor(position)
        weight = position - low
        low, high = (np.clip(p, 0, source - 1).astype(int) for p in (low, low + 1))
        return low, high, weight

    top, bottom, wy = axis(image.shape[0], height)
    left, right, wx = axis(image.shape[1], width)
    image = image.astype(np.float64)
    wy, wx = wy[:, None, None], wx[None, :, None]
    upper = image[top][:, left] * (1 - wx) + image[top][:, right] * wx
    lower = image[bottom][:, left] * (1 - wx) + image[bottom][:, right] * wx
    return upper * (1 - wy) + lower * wy


@pytest.mark.parametrize("source_hw", [(50, 70), (70, 50), (64, 64), (7, 300)])
def test_resize_and_pad_independently(source_hw):
    image = np.random.default_rng(0).integers(0, 256, (*source_hw, 3), np.uint8)
    canvas, scale, valid_hw = preprocess.resize_and_pad(image, (64, 96))
    factor = min(64 / source_hw[0], 96 / source_hw[1])
    expected_hw = [int(np.float32(side) * np.float32(factor)) for side in source_hw]
    assert valid_hw.numpy().tolist() == expected_hw
    np.testing.assert_allclose(scale, 1 / factor, rtol=1e-6)
    height, width = expected_hw
    np.testing.assert_allclose(canvas[:height, :width], bilinear(image, height, width), atol=1e-3)
    assert canvas.shape == (64, 96, 3)
    assert not canvas[height:].numpy().any() and not canvas[:, width:].numpy().any()


def test_batches_and_dynamic_shapes_give_the_same():
    images = np.random.default_rng(1).integers(0, 256, (2, 30, 50, 3), np.uint8)
    signature = [tf.TensorSpec([None, None, None, 3], tf.uint8)]
    batched = tf.function(
        lambda x: preprocess.resize_and_pad(x, (64, 64)), input_signature=signature
    )
    canvas, scale, valid_hw = batched(images)
    assert canvas.shape == (2, 64, 64, 3) and scale.shape == (2,) and valid_hw.shape == (2, 2)
    for index in range(2):
        one, one_scale, one_hw = preprocess.resize_and_pad(images[index], (64, 64))
        np.testing.assert_allclose(canvas[index], one, atol=1e-4)
        assert scale[index] == one_scale and (valid_hw[index] == one_hw).numpy().all()


def test_padding_is_zero_after_normalisation():
    images = tf.zeros((2, 8, 8, 3), tf.uint8)
    valid_hw = tf.constant([[4, 8], [8, 2]])
    out = preprocess.normalize(images, valid_hw, [10.0, 20.0, 30.0], [1.0, 2.0, 5.0]).numpy()
    np.testing.assert_array_equal(out[0, :4], np.broadcast_to([-10, -10, -6], (4, 8, 3)))
    assert not out[0, 4:].any() and not out[1, :, 2:].any() and out[1, :, :2].all()
    assert out.dtype == np.float32


def test_crop_of_a_jpeg_is_part_of_the_whole(encode_image):
    array = np.random.default_rng(2).integers(0, 256, (6, 8, 3), np.uint8)
    array = np.kron(array, np.ones((8, 8, 1), np.uint8))
    for image_format in ("JPEG", "PNG"):
        encoded = tf.constant(encode_image(array, image_format))
        whole = decode.decode_image(encoded)
        crop = decode.decode_crop(encoded, tf.constant([7, 11]), tf.constant([20, 33]))
        assert decode.image_size(encoded).numpy().tolist() == [48, 64]
        assert crop.shape == (20, 33, 3)
        # JPEG interpolates colour between neighbours; at the rim of a crop one of them is missing.
        np.testing.assert_array_equal(crop[1:-1, 1:-1], whole[8:26, 12:43])


SSD = json.loads((GOLDENS / "edgenets/ssd/functions.json").read_text())["detection_preprocess"]


@pytest.mark.parametrize("name", sorted(SSD))
def test_stretched_photos_are_the_originals(shared_dir, name):
    """SSD's input, by OpenCV; its demonstration gave the channels in the wrong order."""
    golden = SSD[name]["demo_bgr_512"]
    photo = np.asarray(Image.open(shared_dir / "data/photos" / f"{name}.jpg").convert("RGB"))
    mean, stddev = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    stretched = preprocess.stretch(photo[..., ::-1].copy(), (512, 512))
    values = preprocess.normalize(stretched, None, mean, stddev).numpy().transpose(2, 0, 1)
    assert list(values.shape) == golden["shape"]
    # OpenCV computes in integers: a value may be one of 255 levels off, the mean a sixth of one.
    for statistic, tolerance in (("mean", 3e-3), ("std", 3e-3), ("min", 0.02), ("max", 0.02)):
        assert getattr(values, statistic)() == pytest.approx(golden[statistic], abs=tolerance)
    for key, found in (("first8", values.ravel()[:8]), ("last8", values.ravel()[-8:])):
        np.testing.assert_allclose(found, golden[key], atol=1.01 / 57)
