"""Random crops for training classifiers; resize and centre crop for their evaluation.

Both are torchvision's (`RandomResizedCrop`, `Resize`, `CenterCrop`), with which the published
classifiers were trained and evaluated. Resizing is bilinear with antialiasing, rounded to whole
grey levels, as in Pillow.
"""

from __future__ import annotations

import tensorflow as tf

from efficientvision.data.transforms.placement import Placement
from efficientvision.data.transforms.preprocess import Size

_TRIES = 10

# Rounds halves up, including those that float32 left slightly smaller.
_HALF = 0.5001


def draw_crop(
    seed: tf.Tensor,
    source_hw: tf.Tensor,
    image_hw: Size,
    *,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Placement:
    """Draws a rectangle of random area and shape inside a photo.

    Makes ten attempts; if none fits, takes the largest central rectangle of an allowed shape.

    Args:
        seed: int [2]; one seed, one rectangle.
        source_hw: int32 [2], the photo's size.
        image_hw: (height, width) of the network input, which the rectangle fills.
        scale: Range of its share of the photo's area, uniform.
        ratio: Range of width / height, uniform in the logarithm.
    """
    numbers = tf.random.stateless_uniform([_TRIES, 4], seed)
    return place_crop(numbers, source_hw, image_hw, scale=scale, ratio=ratio)


def place_crop(
    numbers: tf.Tensor,
    source_hw: tf.Tensor,
    image_hw: Size,
    *,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Placement:
    """Computes the rectangle from random numbers; see `draw_crop`.

    Args:
        numbers: float32 [tries, 4] in [0, 1): area, shape, row, column of each attempt.
        source_hw: int32 [2].
        image_hw: (height, width) of the network input.
        scale, ratio: Ranges.
    """
    height, width = source_hw[0], source_hw[1]
    source = tf.cast(source_hw, tf.float32)
    area = source[0] * source[1] * (scale[0] + numbers[:, 0] * (scale[1] - scale[0]))
    low, high = tf.math.log(ratio[0]), tf.math.log(ratio[1])
    shape = tf.exp(low + numbers[:, 1] * (high - low))
    tried_hw = tf.stack([tf.sqrt(area / shape), tf.sqrt(area * shape)], axis=1)
    tried_hw = tf.cast(tf.round(tried_hw), tf.int32)
    fits = tf.reduce_all((tried_hw > 0) & (tried_hw <= source_hw), axis=1)
    chosen = tf.argmax(fits, output_type=tf.int32)
    free = tf.cast(source_hw - tried_hw[chosen] + 1, tf.float32)
    drawn_yx = tf.cast(numbers[chosen, 2:] * free, tf.int32)

    # tf.round, like Python's round, rounds halves to even.
    whole = source[1] / source[0]
    narrow = tf.cast(tf.round(source[1] / ratio[0]), tf.int32)
    wide = tf.cast(tf.round(source[0] * ratio[1]), tf.int32)
    middle_hw = tf.stack(
        [
            tf.where(whole < ratio[0], tf.minimum(narrow, height), height),
            tf.where(whole > ratio[1], tf.minimum(wide, width), width),
        ]
    )
    any_fits = tf.reduce_any(fits)
    hw = tf.where(any_fits, tried_hw[chosen], middle_hw)
    yx = tf.where(any_fits, drawn_yx, (source_hw - middle_hw) // 2)
    return Placement(yx, hw, tf.zeros_like(yx), tf.constant(image_hw), image_hw)


def resize_like_pillow(image: tf.Tensor, size_hw: tf.Tensor | Size) -> tf.Tensor:
    """Resizes bilinearly with antialiasing: uint8 [.., h, w, 3] -> uint8 [.., H, W, 3].

    Equals Pillow if the shape stays about the same: rows first, rounded (halves up) before the
    columns. Halves are frequent when a photo is enlarged to twice its size, and networks are
    sensitive to them.
    """
    for hw in ([tf.shape(image)[-3], size_hw[1]], [size_hw[0], size_hw[1]]):
        resized = tf.image.resize(image, hw, method="bilinear", antialias=True)
        image = tf.cast(tf.clip_by_value(tf.floor(resized + _HALF), 0.0, 255.0), tf.uint8)
    return image


def evaluation_crop(photo: tf.Tensor, image_hw: Size, share: float, *, squash: bool) -> tf.Tensor:
    """Cuts out the centre of a photo, or of each photo of a batch, at the input's size.

    The photo is scaled until it covers the input's sides divided by `share` (for a square input,
    its shorter side gets that length), and the input is cut out of the centre.

    Args:
        photo: uint8 [h, w, 3] or [N, h, w, 3].
        image_hw: (height, width) of the network input.
        share: Visible share of the scaled photo's shorter side, 0..1.
        squash: Instead, resize the whole photo to the input, without keeping its shape.

    Returns:
        uint8 [H, W, 3] or [N, H, W, 3].
    """
    shape = [*photo.shape[:-3], *image_hw, 3]
    if squash:
        return tf.ensure_shape(resize_like_pillow(photo, image_hw), shape)
    cover = tf.constant([int(side / share) for side in image_hw], tf.int32)
    source_hw = tf.shape(photo)[-3:-1]
    # In integers: the side with the greater (cover / source) decides.
    by_height = cover[0] * source_hw[1] >= cover[1] * source_hw[0]
    fitted_hw = tf.where(
        by_height,
        tf.stack([cover[0], tf.cast(cover[0] * source_hw[1] / source_hw[0], tf.int32)]),
        tf.stack([tf.cast(cover[1] * source_hw[0] / source_hw[1], tf.int32), cover[1]]),
    )
    fitted_hw = tf.maximum(fitted_hw, tf.constant(image_hw))
    resized = resize_like_pillow(photo, fitted_hw)
    free = tf.cast(fitted_hw - tf.constant(image_hw), tf.float32)
    y, x = tf.unstack(tf.cast(tf.round(free / 2.0), tf.int32))
    cut = resized[..., y : y + image_hw[0], x : x + image_hw[1], :]
    return tf.ensure_shape(cut, shape)
