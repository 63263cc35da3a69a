"""AutoAugment's operations on the content of boxes, one object at a time."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from efficientvision.data.transforms.boxes import has_area
from efficientvision.data.transforms.color_ops import fill_rectangle, paste

# Objects are close to each other: the published policies were searched with this divisor, so that
# not too many of a group are distorted.
RARER = 3.0


def on_boxes(
    image: tf.Tensor,
    boxes_normalized_yxyx: tf.Tensor,
    probability: tf.Tensor,
    seed: tf.Tensor,
    change: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> tf.Tensor:
    """Changes the content of some of the boxes; the boxes themselves stay.

    Args:
        image: uint8 [h, w, 3].
        boxes_normalized_yxyx: float32 [n, 4] in [0, 1].
        probability: Probability of each box to be chosen, before division by `RARER`.
        seed: int [2].
        change: (part uint8 [p, q, 3], its own seed) -> the same shape.
    """
    drawn = tf.random.stateless_uniform([tf.shape(boxes_normalized_yxyx)[0]], seed)
    chosen = (drawn < probability / RARER) & has_area(boxes_normalized_yxyx)
    size = tf.shape(image)[:2]
    begins, ends = pixel_corners(tf.boolean_mask(boxes_normalized_yxyx, chosen), size)

    def change_one(index: tf.Tensor, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        begin, end = begins[index], ends[index]
        part = image[begin[0] : end[0], begin[1] : end[1]]
        part = change(part, tf.random.experimental.stateless_fold_in(seed, index))
        return index + 1, tf.ensure_shape(paste(image, part, begin), [None, None, 3])

    return tf.while_loop(
        lambda index, _: index < tf.shape(begins)[0],
        change_one,
        [0, image],
        shape_invariants=[tf.TensorShape([]), tf.TensorShape([None, None, 3])],
    )[1]


def cutout_in_box(
    image: tf.Tensor, boxes_normalized_yxyx: tf.Tensor, fraction: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """Paints part of one object grey.

    Args:
        image: uint8 [h, w, 3].
        boxes_normalized_yxyx: float32 [n, 4] in [0, 1]; without any, nothing is done.
        fraction: Sides of the grey part, as a fraction of the box's; its centre is anywhere in
            the box.
        seed: int [2].
    """

    def paint() -> tf.Tensor:
        numbers = tf.random.stateless_uniform([3], seed)
        count = tf.shape(boxes_normalized_yxyx)[0]
        index = tf.cast(numbers[0] * tf.cast(count, tf.float32), tf.int32)
        begins, ends = pixel_corners(boxes_normalized_yxyx, tf.shape(image)[:2])
        begin, side = begins[index], tf.cast(ends[index] - begins[index], tf.float32)
        center = begin + tf.cast(side * numbers[1:], tf.int32)
        half = tf.cast(fraction * side / 2.0, tf.int32)
        return fill_rectangle(image, center - half, center + half)

    return tf.cond(tf.shape(boxes_normalized_yxyx)[0] > 0, paint, lambda: image)


def pixel_corners(
    boxes_normalized_yxyx: tf.Tensor, size_hw: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """First pixel and the one after the last, int32 [n, 2] (y, x) each; at least one pixel."""
    corners = boxes_normalized_yxyx * tf.cast(tf.tile(size_hw, [2]), tf.float32)
    begins = tf.clip_by_value(tf.cast(corners[:, :2], tf.int32), 0, size_hw - 1)
    ends = tf.cast(tf.math.ceil(corners[:, 2:]), tf.int32)
    return begins, tf.minimum(tf.maximum(ends, begins + 1), size_hw)
