"""SSD's geometry: puts the photo on a larger canvas, then crops a part that shows objects well.

The network sees a frame, a rectangle of whole pixels that may reach beyond the photo. It is planned
first, from sizes and boxes alone; then only the part inside the photo is decoded.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from efficientvision.data import boxes as box_ops
from efficientvision.data.transforms.placement import Placement
from efficientvision.data.transforms.preprocess import Size

# Minimum IoUs with an object; each frame draws one. 0: any; None: no crop at all.
LEAST_IOUS = (None, 0.1, 0.3, 0.7, 0.9, 0.0)
LEAST_SIDE = 0.3
SHAPES = (0.5, 2.0)  # height / width.
# Number of minimum IoUs drawn in turn, and of attempts for each.
_ROUNDS, _TRIES = 4, 50


class Frame(NamedTuple):
    """A rectangle in pixels of the photo.

    Attributes:
        yx: int32 [2], first row and column; negative to the left of and above the photo.
        hw: int32 [2], size.
    """

    yx: tf.Tensor
    hw: tf.Tensor


def draw_expansion(
    seed: tf.Tensor, source_hw: tf.Tensor, probability: float, greatest: float
) -> Frame:
    """Puts the photo at a random place on a canvas with up to `greatest` times its sides.

    Args:
        seed: int [2].
        source_hw: int32 [2], the photo's size.
        probability: Probability of a canvas larger than the photo.
        greatest: 1 or more.

    Source: Liu et al. 2016, https://arxiv.org/abs/1512.02325, section 3.6.
    """
    numbers = tf.random.stateless_uniform([4], seed)
    ratio = tf.where(numbers[0] < probability, 1.0 + (greatest - 1.0) * numbers[1], 1.0)
    hw = tf.cast(tf.cast(source_hw, tf.float32) * ratio, tf.int32)
    free = tf.cast(hw - source_hw + 1, tf.float32)
    return Frame(-tf.cast(free * numbers[2:], tf.int32), hw)


def draw_sample(seed: tf.Tensor, frame: Frame, boxes_yxyx: tf.Tensor) -> Frame:
    """Crops a part of a frame.

    Its sides are .3 to 1 of the frame's, and at most twice as long as each other. It overlaps an
    object by at least an IoU drawn from `LEAST_IOUS`, and contains the centre of an object. After
    50 failed attempts another IoU is drawn; without objects the frame stays unchanged.

    Args:
        seed: int [2].
        frame: Frame to crop.
        boxes_yxyx: float32 [n, 4], pixels of the photo.

    Source: Liu et al. 2016, https://arxiv.org/abs/1512.02325, section 2.2. (EdgeNets' published
    code also compares with an infinite upper bound, and so never asks for an overlap.)
    """
    kinds = tf.random.stateless_uniform([_ROUNDS], seed)
    numbers = tf.random.stateless_uniform(
        [_ROUNDS * _TRIES, 4], tf.random.experimental.stateless_fold_in(seed, 1)
    )
    kinds = tf.repeat(tf.cast(kinds * len(LEAST_IOUS), tf.int32), _TRIES)
    least = tf.gather([float("nan") if v is None else v for v in LEAST_IOUS], kinds)
    whole = tf.cast(frame.hw, tf.float32)
    sides = tf.cast(whole * (LEAST_SIDE + (1.0 - LEAST_SIDE) * numbers[:, :2]), tf.int32)
    sides = tf.maximum(sides, 1)
    corners = frame.yx + tf.cast(
        tf.cast(frame.hw - sides + 1, tf.float32) * numbers[:, 2:], tf.int32
    )
    uncut = tf.math.is_nan(least)
    fits = uncut | _shows_objects(corners, sides, least, boxes_yxyx)
    chosen = tf.argmax(fits, output_type=tf.int32)
    cut = tf.reduce_any(fits) & ~uncut[chosen]
    return Frame(tf.where(cut, corners[chosen], frame.yx), tf.where(cut, sides[chosen], frame.hw))


def _shows_objects(corners, sides, least, boxes_yxyx) -> tf.Tensor:
    """Bool [tries]: whether an attempt has an allowed shape and shows an object well."""
    begins, ends = (tf.cast(v, tf.float32) for v in (corners, corners + sides))
    shape = (ends - begins)[:, 0] / (ends - begins)[:, 1]
    tried = tf.concat([begins, ends], axis=1)[:, tf.newaxis]
    overlaps = box_ops.iou(tried, boxes_yxyx[tf.newaxis])
    centers = (boxes_yxyx[:, :2] + boxes_yxyx[:, 2:]) / 2.0
    inside = tf.reduce_all(
        (centers > begins[:, tf.newaxis]) & (centers < ends[:, tf.newaxis]), axis=-1
    )
    return (
        (shape >= SHAPES[0])
        & (shape <= SHAPES[1])
        & tf.reduce_any(overlaps >= least[:, tf.newaxis], axis=1)
        & tf.reduce_any(inside, axis=1)
    )


def place_frame(frame: Frame, source_hw: tf.Tensor, image_hw: Size) -> Placement:
    """Places the photo's part of a frame that is stretched to the network's input."""
    end = tf.minimum(frame.yx + frame.hw, source_hw)
    crop_yx = tf.minimum(tf.maximum(frame.yx, 0), source_hw - 1)
    crop_hw = tf.maximum(end - crop_yx, 1)
    zoom = tf.constant(image_hw, tf.float32) / tf.cast(frame.hw, tf.float32)
    first, last = (
        tf.cast(tf.round(tf.cast(corner - frame.yx, tf.float32) * zoom), tf.int32)
        for corner in (crop_yx, crop_yx + crop_hw)
    )
    first = tf.minimum(first, tf.constant(image_hw) - 1)
    return Placement(crop_yx, crop_hw, first, tf.maximum(last - first, 1), image_hw)


def boxes_in_frame(boxes_yxyx: tf.Tensor, frame: Frame) -> tf.Tensor:
    """Bool [n]: boxes, in pixels of the photo, whose centre is inside a frame."""
    begin, end = (tf.cast(corner, tf.float32) for corner in (frame.yx, frame.yx + frame.hw))
    centers = (boxes_yxyx[:, :2] + boxes_yxyx[:, 2:]) / 2.0
    return tf.reduce_all((centers > begin) & (centers < end), axis=1)
