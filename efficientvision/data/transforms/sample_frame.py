"""SSD's geometry: the photo on a larger canvas, then a part of that which shows objects well.

What the network sees is a frame, a rectangle of whole pixels that may reach beyond the photo.
Planned first, from sizes and boxes alone; then only the photo's part of it is decoded.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from efficientvision.data import boxes as box_ops
from efficientvision.data.transforms.preprocess import Size

# Least overlaps with an object, of which each frame draws one; 0: any; None: no cut at all.
LEAST_IOUS = (None, 0.1, 0.3, 0.7, 0.9, 0.0)
LEAST_SIDE = 0.3
SHAPES = (0.5, 2.0)  # height / width.
# Overlaps drawn one after the other, until one of so many tries has it.
_ROUNDS, _TRIES = 4, 50


class Frame(NamedTuple):
    """A rectangle in pixels of the photo.

    Attributes:
        yx: int32 [2], its first row and column; negative to the left of and above the photo.
        hw: int32 [2], its size.
    """

    yx: tf.Tensor
    hw: tf.Tensor


class Placement(NamedTuple):
    """Which part of the photo goes where on the network's input; the rest is filled.

    Attributes:
        crop_yx, crop_hw: int32 [2], pixels of the photo.
        part_yx, part_hw: int32 [2], pixels of the input.
    """

    crop_yx: tf.Tensor
    crop_hw: tf.Tensor
    part_yx: tf.Tensor
    part_hw: tf.Tensor


def draw_expansion(
    seed: tf.Tensor, source_hw: tf.Tensor, probability: float, greatest: float
) -> Frame:
    """Puts the photo somewhere on a canvas whose sides are up to `greatest` times its own.

    Args:
        seed: int [2].
        source_hw: int32 [2], the photo's size.
        probability: of a canvas that is larger than the photo.
        greatest: 1 or more.

    Source: Liu et al. 2016, https://arxiv.org/abs/1512.02325, section 3.6.
    """
    numbers = tf.random.stateless_uniform([4], seed)
    ratio = tf.where(numbers[0] < probability, 1.0 + (greatest - 1.0) * numbers[1], 1.0)
    hw = tf.cast(tf.cast(source_hw, tf.float32) * ratio, tf.int32)
    free = tf.cast(hw - source_hw + 1, tf.float32)
    return Frame(-tf.cast(free * numbers[2:], tf.int32), hw)


def draw_sample(seed: tf.Tensor, frame: Frame, boxes_yxyx: tf.Tensor) -> Frame:
    """Cuts a part out of a frame.

    Its sides are .3 to 1 of the frame's, no more than twice as long as each other. It overlaps an
    object by at least an IoU that is drawn from `LEAST_IOUS`, and holds the centre of an object.
    After 50 tries that fail another IoU is drawn; without objects the frame stays.

    Args:
        seed: int [2].
        frame: where to cut.
        boxes_yxyx: float32 [n, 4], pixels of the photo.

    Source: Liu et al. 2016, https://arxiv.org/abs/1512.02325, section 2.2. (The published code of
    EdgeNets compares with an infinite upper bound too, and so never asks for an overlap.)
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
    """Bool [tries]: whether a try is of a good shape and shows an object well."""
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
    """Where the photo's part of a frame lies once the frame is stretched to the network's input."""
    end = tf.minimum(frame.yx + frame.hw, source_hw)
    crop_yx = tf.minimum(tf.maximum(frame.yx, 0), source_hw - 1)
    crop_hw = tf.maximum(end - crop_yx, 1)
    zoom = tf.constant(image_hw, tf.float32) / tf.cast(frame.hw, tf.float32)
    first, last = (
        tf.cast(tf.round(tf.cast(corner - frame.yx, tf.float32) * zoom), tf.int32)
        for corner in (crop_yx, crop_yx + crop_hw)
    )
    first = tf.minimum(first, tf.constant(image_hw) - 1)
    return Placement(crop_yx, crop_hw, first, tf.maximum(last - first, 1))


def boxes_in_frame(boxes_yxyx: tf.Tensor, frame: Frame) -> tf.Tensor:
    """Bool [n]: the boxes whose centre a frame shows; boxes in pixels of the photo."""
    begin, end = (tf.cast(corner, tf.float32) for corner in (frame.yx, frame.yx + frame.hw))
    centers = (boxes_yxyx[:, :2] + boxes_yxyx[:, 2:]) / 2.0
    return tf.reduce_all((centers > begin) & (centers < end), axis=1)


def place_boxes(boxes_yxyx: tf.Tensor, placement: Placement, image_hw: Size) -> tf.Tensor:
    """Boxes [n, 4] in pixels of the photo -> of the network's input, clipped to it."""
    crop_yx, crop_hw, part_yx, part_hw = (tf.cast(v, tf.float32) for v in placement)
    zoom, offset = part_hw / crop_hw, part_yx
    placed = (boxes_yxyx - tf.tile(crop_yx, [2])) * tf.tile(zoom, [2]) + tf.tile(offset, [2])
    return tf.clip_by_value(placed, 0.0, tf.constant([*image_hw, *image_hw], tf.float32))
