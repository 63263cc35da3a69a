"""Colour jitter: SSD's (brightness, contrast, saturation, hue, channels) and YOLOX's (HSV)."""

from __future__ import annotations

import tensorflow as tf

BRIGHTNESS = 32.0
CONTRAST = SATURATION = (0.5, 1.5)
HUE = 18.0 / 360.0
# Largest change of hue (as a share of the circle), saturation and value.
HSV = (0.015, 0.7, 0.4)
_ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


def distort_colors(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Applies each distortion to half of the images, with an amount drawn uniformly from its range.

    Brightness comes first and the order of the channels last; contrast comes either before
    saturation and hue or after them.

    Args:
        image: float32 [h, w, 3], 0..255.
        seed: int [2]; one seed, one distortion.

    Returns:
        The same shape, not rounded; values may leave 0..255.

    Source: Liu et al. 2016, https://arxiv.org/abs/1512.02325, section 2.2, by way of Howard 2013,
    https://arxiv.org/abs/1312.5402.
    """
    numbers = tf.random.stateless_uniform([11], seed)
    image += tf.where(numbers[0] < 0.5, BRIGHTNESS * (2.0 * numbers[1] - 1.0), 0.0)
    factor = _factor(numbers[2:4], CONTRAST)
    contrast_first = numbers[4] < 0.5
    image *= tf.where(contrast_first, factor, 1.0)
    # Hue and saturation are defined for valid colours only.
    image = tf.clip_by_value(image, 0.0, 255.0)
    image = tf.image.adjust_saturation(image, _factor(numbers[5:7], SATURATION))
    turn = tf.where(numbers[7] < 0.5, HUE * (2.0 * numbers[8] - 1.0), 0.0)
    image = tf.image.adjust_hue(image, turn)
    image *= tf.where(contrast_first, 1.0, factor)
    order = tf.where(numbers[9] < 0.5, tf.cast(numbers[10] * len(_ORDERS), tf.int32), 0)
    return tf.gather(image, tf.constant(_ORDERS)[order], axis=-1)


def jitter_hsv(image: tf.Tensor, seed: tf.Tensor, strength: float) -> tf.Tensor:
    """Changes hue, saturation and value of an image by amounts drawn uniformly.

    Args:
        image: uint8 [h, w, 3].
        seed: int [2]; one seed, one change.
        strength: Factor of the largest changes, `HSV`.

    Returns:
        The same shape and type.

    Source: Ge et al. 2021, YOLOX, https://arxiv.org/abs/2107.08430, section 2.1.
    """
    drawn = tf.random.stateless_uniform([3], seed, -strength, strength) * tf.constant(HSV)
    changed = tf.image.adjust_hue(tf.cast(image, tf.float32), drawn[0])
    changed = tf.image.adjust_saturation(changed, 1.0 + drawn[1]) * (1.0 + drawn[2])
    return tf.cast(tf.clip_by_value(tf.round(changed), 0.0, 255.0), tf.uint8)


def _factor(numbers: tf.Tensor, bounds: tuple[float, float]) -> tf.Tensor:
    """Random factor for half of the first numbers, 1 for the others."""
    low, high = bounds
    return tf.where(numbers[0] < 0.5, low + (high - low) * numbers[1], 1.0)
