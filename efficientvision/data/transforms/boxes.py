"""Clips, filters and pads the boxes of a picture."""

from __future__ import annotations

import tensorflow as tf

from efficientvision.data.boxes import clip_boxes
from efficientvision.data.transforms.preprocess import Size

# Smallest visible part of a box in a cropped photo that is kept: side in pixels of the network
# input, and share of the area.
MIN_SIDE, MIN_SHARE = 2.0, 0.1


def clip_to_last_pixel(boxes_yxyx: tf.Tensor, canvas_hw: Size) -> tf.Tensor:
    """Clips boxes, in pixels, to [0, size - 1], as EfficientDet's published training does."""
    return clip_boxes(boxes_yxyx, (canvas_hw[0] - 1, canvas_hw[1] - 1))


def has_area(boxes_yxyx: tf.Tensor) -> tf.Tensor:
    """Bool [n]: True for boxes whose height and width are positive."""
    return tf.reduce_all(boxes_yxyx[:, 2:] > boxes_yxyx[:, :2], axis=-1)


def crop_boxes(boxes_yxyx: tf.Tensor, frame_hw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Clips boxes to a frame, and tells which are still worth learning.

    Args:
        boxes_yxyx: float32 [n, 4] in pixels, relative to the frame.
        frame_hw: int32 [2].

    Returns:
        (boxes, kept): float32 [n, 4] and bool [n]; boxes reduced to slivers are not kept.
    """
    clipped = clip_boxes(boxes_yxyx, frame_hw)
    size, whole = (b[:, 2:] - b[:, :2] for b in (clipped, boxes_yxyx))
    share = tf.reduce_prod(size, axis=1) / tf.maximum(tf.reduce_prod(whole, axis=1), 1e-6)
    return clipped, (tf.reduce_min(size, axis=1) >= MIN_SIDE) & (share >= MIN_SHARE)


def pad_rows(values: tf.Tensor, count: int, fill: float | int) -> tf.Tensor:
    """[n, ...] -> [count, ...]: the first ``count`` rows, padded with ``fill``."""
    values = values[:count]
    paddings = [[0, count - tf.shape(values)[0]]] + [[0, 0]] * (values.shape.rank - 1)
    padded = tf.pad(values, paddings, constant_values=tf.cast(fill, values.dtype))
    padded.set_shape([count, *values.shape[1:]])
    return padded
