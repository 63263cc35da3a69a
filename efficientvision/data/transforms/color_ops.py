"""Colour operations of AutoAugment: what PIL's ImageOps and ImageEnhance do, in the graph.

Images are uint8 [h, w, 3]. Where TensorFlow code of the time differed from PIL (Contrast blended
with white instead of the mean grey, Sharpness cut instead of rounding), PIL is followed.
"""

from __future__ import annotations

import tensorflow as tf

GREY = 128


def autocontrast(image: tf.Tensor) -> tf.Tensor:
    """Stretches each channel so that its darkest value becomes 0 and its brightest 255."""
    low = tf.cast(tf.reduce_min(image, axis=[0, 1]), tf.float64)
    high = tf.cast(tf.reduce_max(image, axis=[0, 1]), tf.float64)
    flat = high <= low
    scale = tf.where(flat, tf.ones_like(low), 255.0 / tf.where(flat, tf.ones_like(low), high - low))
    offset = tf.where(flat, tf.zeros_like(low), -low * scale)
    levels = tf.range(256, dtype=tf.float64)
    table = levels * scale[:, tf.newaxis] + offset[:, tf.newaxis]
    return _look_up(image, tf.cast(tf.clip_by_value(table, 0.0, 255.0), tf.uint8))


def equalize(image: tf.Tensor) -> tf.Tensor:
    """Spreads the values of each channel so that all of them are about as frequent."""
    channel = tf.range(3) * 256
    counts = tf.math.bincount(tf.reshape(tf.cast(image, tf.int32) + channel, [-1]), minlength=768)
    counts = tf.reshape(counts, [3, 256])
    brightest = tf.cast(tf.reduce_max(image, axis=[0, 1]), tf.int32)
    last = tf.gather(counts, brightest, batch_dims=1)
    step = ((tf.reduce_sum(counts, axis=1) - last) // 255)[:, tf.newaxis]
    table = (step // 2 + tf.cumsum(counts, axis=1, exclusive=True)) // tf.maximum(step, 1)
    table = tf.where(step > 0, tf.minimum(table, 255), tf.range(256))
    return _look_up(image, tf.cast(table, tf.uint8))


def posterize(image: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Keeps the highest ``bits`` (1..8, int32 []) of each value."""
    low_values = tf.bitwise.left_shift(1, 8 - bits)
    return image - image % tf.cast(tf.minimum(low_values, 255), tf.uint8)


def solarize(image: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Inverts the values from ``threshold`` (int32 [], 0..256 or more) on."""
    inverted = tf.range(256) >= threshold
    table = tf.where(inverted, 255 - tf.range(256), tf.range(256))
    return tf.gather(tf.cast(table, tf.uint8), tf.cast(image, tf.int32))


def solarize_add(image: tf.Tensor, addition: tf.Tensor) -> tf.Tensor:
    """Adds ``addition`` (int32 []) to the values below 128."""
    levels = tf.range(256)
    table = tf.where(levels < 128, tf.clip_by_value(levels + addition, 0, 255), levels)
    return tf.gather(tf.cast(table, tf.uint8), tf.cast(image, tf.int32))


def color(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Saturation: 0 gives grey, 1 the image."""
    return _blend(_luminance(image)[..., tf.newaxis], image, factor)


def contrast(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Contrast: 0 gives the mean grey everywhere, 1 the image."""
    mean = tf.reduce_mean(tf.cast(_luminance(image), tf.float64))
    return _blend(tf.cast(tf.floor(mean + 0.5), tf.int32), image, factor)


def brightness(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Brightness: 0 gives black, 1 the image."""
    return _blend(tf.constant(0), image, factor)


def sharpness(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Sharpness: 0 gives the image smoothed by a 3x3 kernel (5 amid 1, over 13), 1 the image."""
    values = tf.cast(image, tf.int32)
    rows = values[:-2] + values[1:-1] + values[2:]
    around = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    smooth = (2 * (around + 4 * values[1:-1, 1:-1]) + 13) // 26
    # The outermost pixels have no neighbours: they stay as they are.
    difference = tf.pad(values[1:-1, 1:-1] - smooth, [[1, 1], [1, 1], [0, 0]])
    large = tf.reduce_all(tf.shape(image)[:2] >= 3)
    return tf.cond(large, lambda: _blend(values - difference, image, factor), lambda: image)


def cutout(image: tf.Tensor, half_side: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Paints a square grey, anywhere on the image (DeVries and Taylor, 2017).

    Args:
        image: uint8 [h, w, 3].
        half_side: int32 [], half the square's side, pixels; it may stand over the edge.
        seed: int [2].
    """
    size = tf.shape(image)[:2]
    center = tf.cast(tf.random.stateless_uniform([2], seed) * tf.cast(size, tf.float32), tf.int32)
    return fill_rectangle(image, center - half_side, center + half_side)


def fill_rectangle(image: tf.Tensor, begin_yx: tf.Tensor, end_yx: tf.Tensor) -> tf.Tensor:
    """Paints grey from ``begin_yx`` up to, not including, ``end_yx``."""
    return tf.where(
        rectangle_mask(tf.shape(image)[:2], begin_yx, end_yx), tf.cast(GREY, tf.uint8), image
    )


def rectangle_mask(size_hw: tf.Tensor, begin_yx: tf.Tensor, end_yx: tf.Tensor) -> tf.Tensor:
    """Bool [h, w, 1]: True from ``begin_yx`` up to, not including, ``end_yx``."""
    rows, columns = tf.range(size_hw[0]), tf.range(size_hw[1])
    rows = (rows >= begin_yx[0]) & (rows < end_yx[0])
    columns = (columns >= begin_yx[1]) & (columns < end_yx[1])
    return (rows[:, tf.newaxis] & columns)[..., tf.newaxis]


def _look_up(image: tf.Tensor, table: tf.Tensor) -> tf.Tensor:
    """Replaces the values of each channel by a table's, [3, 256]."""
    return tf.gather(tf.reshape(table, [-1]), tf.cast(image, tf.int32) + tf.range(3) * 256)


def _luminance(image: tf.Tensor) -> tf.Tensor:
    """ITU-R 601 grey levels in PIL's integer arithmetic, int32 [h, w]."""
    red, green, blue = tf.unstack(tf.cast(image, tf.int32), axis=-1)
    return (red * 19595 + green * 38470 + blue * 7471 + 32768) // 65536


def _blend(degenerate: tf.Tensor, image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """``degenerate + factor * (image - degenerate)``, cut off to whole values in 0..255."""
    degenerate = tf.cast(degenerate, tf.float32)
    mixed = degenerate + factor * (tf.cast(image, tf.float32) - degenerate)
    return tf.cast(tf.clip_by_value(mixed, 0.0, 255.0), tf.uint8)
