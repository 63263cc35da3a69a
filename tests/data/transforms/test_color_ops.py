"""Colour operations against PIL's, pixel by pixel."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from efficientvision.data.transforms import color_ops


def picture(kind):
    random = np.random.default_rng(4)
    if kind == "noise":
        return random.integers(0, 256, (37, 53, 3), np.uint8)
    if kind == "dull":  # few values, none of them black or white
        return random.integers(90, 140, (40, 30, 3), np.uint8)
    if kind == "flat channels":
        image = random.integers(0, 256, (20, 30, 3), np.uint8)
        image[..., 1] = 77
        return image
    return np.tile(np.linspace(0, 255, 64).astype(np.uint8)[:, None, None], (1, 48, 3))  # ramp


PICTURES = ("noise", "dull", "flat channels", "ramp")


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("name", ["autocontrast", "equalize"])
def test_histogram_operations(name, kind):
    image = picture(kind)
    expected = np.asarray(getattr(ImageOps, name)(Image.fromarray(image)))
    np.testing.assert_array_equal(getattr(color_ops, name)(image), expected)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_posterize(bits):
    image = picture("noise")
    expected = np.asarray(ImageOps.posterize(Image.fromarray(image), bits))
    np.testing.assert_array_equal(color_ops.posterize(image, tf.constant(bits)), expected)


@pytest.mark.parametrize("threshold", [0, 51, 128, 255, 256, 384])
def test_solarize(threshold):
    image = picture("noise")
    expected = np.asarray(ImageOps.solarize(Image.fromarray(image), threshold))
    np.testing.assert_array_equal(color_ops.solarize(image, tf.constant(threshold)), expected)


@pytest.mark.parametrize("addition", [0, 66, 165])
def test_solarize_add(addition):
    image = picture("noise")
    brighter = np.minimum(image.astype(int) + addition, 255)
    expected = np.where(image < 128, brighter, image)
    np.testing.assert_array_equal(color_ops.solarize_add(image, tf.constant(addition)), expected)


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("factor", [0.0, 0.1, 0.82, 1.0, 1.9, 2.8])
@pytest.mark.parametrize("name", ["color", "contrast", "brightness", "sharpness"])
def test_enhancements(name, factor, kind):
    image = picture(kind)
    expected = getattr(ImageEnhance, name.capitalize())(Image.fromarray(image)).enhance(factor)
    result = getattr(color_ops, name)(tf.constant(image), tf.constant(factor, tf.float32))
    assert result.dtype == tf.uint8
    # PIL also works in float32; a sum in another order may end on the other side of a whole value.
    difference = np.abs(result.numpy().astype(int) - np.asarray(expected))
    assert difference.max() <= 1 and (difference > 0).mean() < 0.005


def test_sharpness_of_a_part_too_small_to_smooth():
    image = picture("noise")[:2, :5]
    np.testing.assert_array_equal(color_ops.sharpness(tf.constant(image), tf.constant(1.9)), image)


def test_cutout_paints_one_grey_square_anywhere():
    image = picture("noise")[..., :1] // 3 + np.zeros(3, np.uint8)  # nothing grey in it
    corners = set()
    for index in range(60):
        result = color_ops.cutout(tf.constant(image), tf.constant(9), tf.constant([2, index]))
        changed = (result.numpy() != image).all(-1)
        assert (result.numpy()[changed] == 128).all()
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        assert changed.sum() == len(rows) * len(columns)
        assert 9 <= len(rows) <= 18 and 9 <= len(columns) <= 18
        assert len(rows) == 18 or rows[0] == 0 or rows[-1] == 36
        assert len(columns) == 18 or columns[0] == 0 or columns[-1] == 52
        corners.add((rows[0], columns[0]))
    assert len(corners) > 40
