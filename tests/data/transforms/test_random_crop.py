"""Crops and resizes of classification against Pillow and against torchvision's rules in Python."""

import math

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientvision.data.transforms.random_crop import (
    draw_crop,
    evaluation_crop,
    place_crop,
    resize_like_pillow,
)

RATIO = (3 / 4, 4 / 3)


def crop_by_torchvisions_rules(numbers, source_hw, scale, ratio):
    """`RandomResizedCrop.get_params`, with given random numbers."""
    height, width = source_hw
    for area_number, shape_number, row, column in np.float64(numbers):
        area = height * width * (scale[0] + area_number * (scale[1] - scale[0]))
        low, high = math.log(ratio[0]), math.log(ratio[1])
        shape = math.exp(low + shape_number * (high - low))
        w, h = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < w <= width and 0 < h <= height:
            return int(row * (height - h + 1)), int(column * (width - w + 1)), h, w
    w, h = width, height
    if width / height < ratio[0]:
        h = round(width / ratio[0])
    elif width / height > ratio[1]:
        w = round(height * ratio[1])
    return (height - h) // 2, (width - w) // 2, h, w


@pytest.mark.parametrize("source_hw", [(100, 150), (300, 40), (33, 400), (5, 7), (224, 224)])
@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.9, 1.0)])
def test_crop_is_torchvisions(source_hw, scale):
    rng = np.random.default_rng(source_hw[0])
    for _ in range(50):
        numbers = rng.random((10, 4)).astype("float32")
        crop = place_crop(numbers, tf.constant(source_hw), (8, 8), scale=scale, ratio=RATIO)
        expected = crop_by_torchvisions_rules(numbers, source_hw, scale, RATIO)
        # A side halfway between two numbers may be rounded otherwise in float32.
        np.testing.assert_allclose([*crop.crop_yx.numpy(), *crop.crop_hw.numpy()], expected, atol=1)


def test_a_photo_too_long_for_any_try_is_cut_in_the_middle():
    """1000 x 10: the widest allowed part of the middle."""
    crop = draw_crop(
        tf.constant([1, 2]), tf.constant([10, 1000]), (8, 8), scale=(0.5, 1.0), ratio=RATIO
    )
    assert (*crop.crop_yx.numpy(), *crop.crop_hw.numpy()) == (0, (1000 - 13) // 2, 10, 13)


def photo(height, width, seed=0):
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("size_hw", [(64, 64), (256, 171), (30, 200), (400, 300), (480, 320)])
def test_resize_is_pillows(size_hw):
    pixels = photo(240, 160)
    expected = Image.fromarray(pixels).resize(size_hw[::-1], Image.Resampling.BILINEAR)
    found = resize_like_pillow(tf.constant(pixels), size_hw).numpy()
    difference = np.abs(found.astype(int) - np.asarray(expected))
    assert difference.max() <= 1
    # Twice as large, halves are frequent. Pillow's weights are whole numbers of 22 bits, and where
    # a photo gets much wider its columns come first.
    shares = {(480, 320): 1e-3, (30, 200): 0.3}
    assert difference.mean() < shares.get(size_hw, 0.05)


@pytest.mark.parametrize("source_hw", [(240, 160), (161, 240), (64, 64)])
def test_evaluation_is_torchvisions_resize_and_centre_crop(source_hw):
    pixels, side = photo(*source_hw), 56
    height, width = pixels.shape[:2]
    short = int(side / 0.875)
    size = (
        (short, int(short * height / width))
        if width < height
        else (
            int(short * width / height),
            short,
        )
    )
    resized = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)
    left, top = round((size[0] - side) / 2), round((size[1] - side) / 2)
    expected = np.asarray(resized.crop((left, top, left + side, top + side)))
    found = evaluation_crop(tf.constant(pixels), (side, side), 0.875, squash=False).numpy()
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_multi_label_evaluation_sees_the_whole_photo():
    pixels = photo(120, 80)
    expected = Image.fromarray(pixels).resize((48, 48), Image.Resampling.BILINEAR)
    found = evaluation_crop(tf.constant(pixels), (48, 48), 1.0, squash=True).numpy()
    assert np.abs(found.astype(int) - np.asarray(expected)).max() <= 1
