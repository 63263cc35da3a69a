"""Flips and quarter turns: the eight orientations of a photo.

All eight are an optional swap of the axes followed by two optional mirrors. A crop chosen in the
oriented photo is mapped back to the stored one, so that only that part need be decoded.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


class Orientation(NamedTuple):
    """Operations applied to a photo, in this order.

    Attributes:
        transpose: bool [], swap rows and columns.
        flip_y: bool [], swap top and bottom.
        flip_x: bool [], swap left and right.
    """

    transpose: tf.Tensor
    flip_y: tf.Tensor
    flip_x: tf.Tensor


def draw_orientation(
    seed: tf.Tensor, *, horizontal_flip: bool, vertical_flip: bool, quarter_turns: bool
) -> Orientation:
    """Draws an orientation; switch on only the changes that make no difference to the data.

    Args:
        seed: int [2]; one seed, one orientation.
        horizontal_flip: Mirror half of the photos left to right.
        vertical_flip: Mirror half of the photos top to bottom.
        quarter_turns: Rotate by 0, 90, 180 or 270 degrees with equal probability.
    """
    numbers = tf.random.stateless_uniform([3], seed)
    turn = tf.cast(4.0 * numbers[2], tf.int32) if quarter_turns else tf.constant(0)
    # A quarter turn (anticlockwise) is a swap of the axes followed by a mirror of the rows.
    flip_y = tf.logical_or(tf.equal(turn, 1), tf.equal(turn, 2))
    flip_x = tf.greater_equal(turn, 2)
    return Orientation(
        tf.equal(turn % 2, 1),
        tf.not_equal(flip_y, tf.logical_and(numbers[1] < 0.5, vertical_flip)),
        tf.not_equal(flip_x, tf.logical_and(numbers[0] < 0.5, horizontal_flip)),
    )


def oriented_size(orientation: Orientation, size_hw: tf.Tensor) -> tf.Tensor:
    """(height, width) of the oriented photo, int32 [2]; the same call maps back."""
    return tf.where(orientation.transpose, tf.reverse(size_hw, [0]), size_hw)


def orient_boxes(orientation: Orientation, boxes_normalized_yxyx: tf.Tensor) -> tf.Tensor:
    """Maps boxes [n, 4], in [0, 1], from the stored photo to the oriented one."""
    boxes = boxes_normalized_yxyx
    boxes = tf.where(orientation.transpose, tf.gather(boxes, [1, 0, 3, 2], axis=1), boxes)
    ymin, xmin, ymax, xmax = tf.unstack(boxes, axis=1)
    ymin, ymax = (
        tf.where(orientation.flip_y, 1.0 - ymax, ymin),
        tf.where(orientation.flip_y, 1.0 - ymin, ymax),
    )
    xmin, xmax = (
        tf.where(orientation.flip_x, 1.0 - xmax, xmin),
        tf.where(orientation.flip_x, 1.0 - xmin, xmax),
    )
    return tf.stack([ymin, xmin, ymax, xmax], axis=1)


def stored_crop(
    orientation: Orientation, crop_yx: tf.Tensor, crop_hw: tf.Tensor, source_hw: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Maps a rectangle of the oriented photo back to the stored one.

    Args:
        orientation: Orientation applied to the stored photo.
        crop_yx, crop_hw: int32 [2], first row and column, and size, in the oriented photo.
        source_hw: int32 [2], size of the stored photo.

    Returns:
        (yx, hw), int32 [2] each, in the stored photo.
    """
    oriented_hw = oriented_size(orientation, source_hw)
    mirrored = oriented_hw - crop_yx - crop_hw
    yx = tf.where(tf.stack([orientation.flip_y, orientation.flip_x]), mirrored, crop_yx)
    return oriented_size(orientation, yx), oriented_size(orientation, crop_hw)


def orient_image(orientation: Orientation, image: tf.Tensor) -> tf.Tensor:
    """Orients an image of any type, [h, w, C], to the same shape or [w, h, C]."""
    image = tf.cond(orientation.transpose, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    image = tf.cond(orientation.flip_y, lambda: tf.reverse(image, axis=[0]), lambda: image)
    return tf.cond(orientation.flip_x, lambda: tf.reverse(image, axis=[1]), lambda: image)
