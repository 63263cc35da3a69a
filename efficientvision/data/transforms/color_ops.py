"""AutoAugment's colour operations: PIL's ImageOps and ImageEnhance, in the graph.

Images are uint8 [h, w, 3]. Selections over whole images (`tf.where`) are written as arithmetic,
which takes a fraction of the time. Where the original TensorFlow code differed from PIL (Contrast
blended with white instead of the mean grey, Sharpness truncated instead of rounding), this is PIL.
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
    """Spreads the values of each channel so that all are about equally frequent."""
    counts = tf.reshape(tf.math.bincount(_table_index(image), minlength=768), [3, 256])
    brightest = tf.cast(tf.reduce_max(image, axis=[0, 1]), tf.int32)
    last = tf.gather(counts, brightest, batch_dims=1)
    step = ((tf.reduce_sum(counts, axis=1) - last) // 255)[:, tf.newaxis]
    table = (step // 2 + tf.cumsum(counts, axis=1, exclusive=True)) // tf.maximum(step, 1)
    table = tf.where(step > 0, tf.minimum(table, 255), tf.range(256))
    return _look_up(image, tf.cast(table, tf.uint8))


def posterize(image: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Keeps the highest ``bits`` (1..8, int32 []) of each value."""
    mask = 256 - tf.bitwise.left_shift(1, 8 - bits)
    return tf.bitwise.bitwise_and(image, tf.cast(mask, tf.uint8))


def solarize(image: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Inverts values that are at least ``threshold`` (int32 [], 0..256 or more)."""
    inverted = tf.cast(tf.cast(image, tf.int32) >= threshold, tf.uint8)
    return tf.bitwise.bitwise_xor(image, inverted * 255)


def solarize_add(image: tf.Tensor, addition: tf.Tensor) -> tf.Tensor:
    """Adds ``addition`` (int32 [], 0..255) to values below 128."""
    room = tf.minimum(image, tf.cast(255 - addition, tf.uint8))
    added = room + tf.cast(addition, tf.uint8)
    dark = tf.cast(image < 128, tf.uint8)
    return image + dark * (added - image)  # Modulo 256, if that is negative.


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
    values = tf.cast(image, tf.int16)
    rows = values[:-2] + values[1:-1] + values[2:]
    inner = values[1:-1, 1:-1]
    total = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] + 4 * inner
    smooth = tf.round(tf.cast(total, tf.float32) / 13.0)
    # The outermost pixels have no neighbours and stay unchanged.
    detail = tf.pad(tf.cast(inner, tf.float32) - smooth, [[1, 1], [1, 1], [0, 0]])
    large = tf.reduce_all(tf.shape(image)[:2] >= 3)
    return tf.cond(
        large, lambda: _blend(tf.cast(image, tf.float32) - detail, image, factor), lambda: image
    )


def cutout(image: tf.Tensor, half_side: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Paints a grey square anywhere on the image (DeVries and Taylor, 2017).

    Args:
        image: uint8 [h, w, 3].
        half_side: int32 [], half the side of the square, in pixels; it may reach over the edge.
        seed: int [2].
    """
    size = tf.shape(image)[:2]
    center = tf.cast(tf.random.stateless_uniform([2], seed) * tf.cast(size, tf.float32), tf.int32)
    return fill_rectangle(image, center - half_side, center + half_side)


def fill_rectangle(image: tf.Tensor, begin_yx: tf.Tensor, end_yx: tf.Tensor) -> tf.Tensor:
    """Paints grey from ``begin_yx`` up to, but not including, ``end_yx``, within the image."""
    size = tf.shape(image)[:2]
    begin = tf.clip_by_value(begin_yx, 0, size)
    shape = tf.concat([tf.maximum(tf.minimum(end_yx, size) - begin, 0), [3]], axis=0)
    return paste(image, tf.fill(shape, tf.cast(GREY, tf.uint8)), begin)


def paste(image: tf.Tensor, part: tf.Tensor, begin_yx: tf.Tensor) -> tf.Tensor:
    """Replaces the rectangle that begins at ``begin_yx`` (int32 [2]) by ``part`` [p, q, 3]."""
    return tf.raw_ops.TensorStridedSliceUpdate(
        input=image,
        begin=tf.pad(begin_yx, [[0, 1]]),
        end=tf.pad(begin_yx, [[0, 1]]) + tf.shape(part),
        strides=tf.ones([3], tf.int32),
        value=part,
    )


def _table_index(image: tf.Tensor) -> tf.Tensor:
    """Value plus 256 times the channel, int32 [h * w * 3]."""
    # Row by row: adding three numbers along the last axis would take five times as long.
    height, width = tf.unstack(tf.shape(image)[:2])
    rows = tf.cast(tf.reshape(image, [height, width * 3]), tf.int32)
    return tf.reshape(rows + tf.tile(tf.range(3) * 256, [width]), [-1])


def _look_up(image: tf.Tensor, table: tf.Tensor) -> tf.Tensor:
    """Replaces the values of each channel by those of a table, [3, 256]."""
    return tf.reshape(tf.gather(tf.reshape(table, [-1]), _table_index(image)), tf.shape(image))


def _luminance(image: tf.Tensor) -> tf.Tensor:
    """ITU-R 601 grey levels in PIL's integer arithmetic, int32 [h, w]."""
    red, green, blue = tf.unstack(tf.cast(image, tf.int32), axis=-1)
    return tf.bitwise.right_shift(red * 19595 + green * 38470 + blue * 7471 + 32768, 16)


def _blend(degenerate: tf.Tensor, image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """``degenerate + factor * (image - degenerate)``, truncated to whole values in 0..255."""
    degenerate = tf.cast(degenerate, tf.float32)
    mixed = degenerate + factor * (tf.cast(image, tf.float32) - degenerate)
    return tf.cast(tf.clip_by_value(mixed, 0.0, 255.0), tf.uint8)
