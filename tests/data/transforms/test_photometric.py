"""The distortions of colours against one pixel at a time, by Python's `colorsys`."""

import colorsys

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.data.transforms.photometric import HSV, distort_colors, jitter_hsv

ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


def by_colorsys(pixel, numbers):
    pixel = np.array(pixel, float)
    if numbers[0] < 0.5:
        pixel += 32 * (2 * numbers[1] - 1)
    contrast = 0.5 + numbers[3] if numbers[2] < 0.5 else 1.0
    first = numbers[4] < 0.5
    if first:
        pixel *= contrast
    hue, saturation, value = colorsys.rgb_to_hsv(*np.clip(pixel, 0, 255) / 255)
    if numbers[5] < 0.5:
        saturation = min(saturation * (0.5 + numbers[6]), 1.0)
    if numbers[7] < 0.5:
        hue = (hue + 18 / 360 * (2 * numbers[8] - 1)) % 1.0
    pixel = 255 * np.array(colorsys.hsv_to_rgb(hue, saturation, value))
    if not first:
        pixel *= contrast
    order = ORDERS[int(numbers[10] * 6)] if numbers[9] < 0.5 else (0, 1, 2)
    return pixel[list(order)]


@pytest.mark.parametrize("seed", range(12))
def test_pixels_are_those_of_colorsys(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 5, 3)).astype(np.float32)
    seed = tf.constant([3, seed], tf.int64)
    numbers = tf.random.stateless_uniform([11], seed).numpy()
    expected = np.array([[by_colorsys(pixel, numbers) for pixel in row] for row in pixels])
    found = distort_colors(tf.constant(pixels), seed).numpy()
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_half_of_the_distortions_happen():
    """A grey image shows its brightness and contrast: a quarter of them is left as it was."""
    grey = tf.fill([1, 1, 3], 100.0)
    distort = tf.function(distort_colors)
    values = [float(distort(grey, tf.constant([0, n]))[0, 0, 0]) for n in range(200)]
    unchanged = np.isclose(values, 100.0, atol=1e-3).mean()
    assert 0.15 < unchanged < 0.35
    assert 34.0 <= min(values) < 60 and 140 < max(values) <= 198.0


def test_colour_jitter_is_that_of_each_pixel():
    image = np.random.default_rng(5).integers(0, 256, (6, 7, 3)).astype(np.uint8)
    for seed in range(4):
        strength = 0.25 * (seed + 1)
        drawn = tf.random.stateless_uniform([3], [3, seed], -strength, strength).numpy() * HSV
        found = jitter_hsv(tf.constant(image), tf.constant([3, seed]), strength).numpy()
        for pixel, ours in zip(image.reshape(-1, 3), found.reshape(-1, 3), strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*(pixel / 255))
            saturation = min(saturation * (1 + drawn[1]), 1.0)
            rgb = np.array(colorsys.hsv_to_rgb((hue + drawn[0]) % 1.0, saturation, value))
            expected = np.clip(255 * rgb * (1 + drawn[2]), 0, 255)
            np.testing.assert_allclose(ours, expected, atol=0.51)
