"""Arithmetic of boxes: the one IoU of the project, the box code, clipping.

Every box here is [..., 4] = ymin, xmin, ymax, xmax; all boxes of one call are in the same
unit (pixels, unless a caller works in normalised coordinates).

Functions that take `xp` work on TensorFlow tensors (`xp=tf`, the default) and on numpy
arrays (`xp=np`) alike.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

Array: TypeAlias = tf.Tensor | np.ndarray

# Smallest side that the box code knows: log() of a degenerate box stays finite.
EPSILON = 1e-8


def area(boxes_yxyx: Array, *, xp: Any = tf, pixel_extent: float = 0.0) -> Array:
    """Areas [...] of boxes [..., 4]; a box with a negative side has area 0.

    Args:
        boxes_yxyx: Boxes [..., 4].
        xp: `tf` or `np`.
        pixel_extent: Added to every side: 1 for corners that are inclusive pixel indices.
    """
    height = xp.maximum(boxes_yxyx[..., 2] - boxes_yxyx[..., 0] + pixel_extent, 0.0)
    width = xp.maximum(boxes_yxyx[..., 3] - boxes_yxyx[..., 1] + pixel_extent, 0.0)
    return height * width


def intersection_and_union(
    boxes_a: Array, boxes_b: Array, *, xp: Any = tf, pixel_extent: float = 0.0
) -> tuple[Array, Array]:
    """Areas of intersection and union of boxes whose leading dimensions broadcast.

    For all pairs of [N, 4] and [M, 4] pass `a[:, None]` and `b[None]`: nothing of shape
    [N, M, 4] is made.

    Returns:
        (intersection, union), each [...], in squared units of the boxes.
    """
    height = xp.minimum(boxes_a[..., 2], boxes_b[..., 2]) - xp.maximum(
        boxes_a[..., 0], boxes_b[..., 0]
    )
    width = xp.minimum(boxes_a[..., 3], boxes_b[..., 3]) - xp.maximum(
        boxes_a[..., 1], boxes_b[..., 1]
    )
    intersection = xp.maximum(height + pixel_extent, 0.0) * xp.maximum(width + pixel_extent, 0.0)
    union = (
        area(boxes_a, xp=xp, pixel_extent=pixel_extent)
        + area(boxes_b, xp=xp, pixel_extent=pixel_extent)
        - intersection
    )
    return intersection, union


def iou(boxes_a: Array, boxes_b: Array, *, xp: Any = tf, pixel_extent: float = 0.0) -> Array:
    """Intersection over union [...] of boxes whose leading dimensions broadcast.

    Two boxes without area have IoU 0.
    """
    intersection, union = intersection_and_union(boxes_a, boxes_b, xp=xp, pixel_extent=pixel_extent)
    return divide_or_zero(intersection, union, xp=xp)


def divide_or_zero(numerator: Array, denominator: Array, *, xp: Any = tf) -> Array:
    """`numerator / denominator`, and 0 (with zero gradient) where the denominator is 0."""
    if xp is np:
        safe = np.where(denominator == 0, 1, denominator)
        return np.where(denominator == 0, 0, numerator / safe)
    return tf.math.divide_no_nan(numerator, denominator)


def centers_and_sizes(boxes_yxyx: Array) -> tuple[Array, Array, Array, Array]:
    """(y center, x center, height, width), each [...], of boxes [..., 4]."""
    ymin, xmin, ymax, xmax = (boxes_yxyx[..., i] for i in range(4))
    return (ymin + ymax) / 2.0, (xmin + xmax) / 2.0, ymax - ymin, xmax - xmin


def encode(boxes_yxyx: Array, anchors_yxyx: Array) -> tf.Tensor:
    """Deltas of boxes relative to anchors (Faster R-CNN, arXiv:1506.01497, equation 2).

    No variances: ty = (y - ya) / ha, tx = (x - xa) / wa, th = log(h / ha), tw = log(w / wa).

    Args:
        boxes_yxyx: float32 [..., 4].
        anchors_yxyx: float32, broadcastable to the boxes, in the same unit.

    Returns:
        float32 [..., 4]: ty, tx, th, tw.
    """
    y, x, height, width = centers_and_sizes(boxes_yxyx)
    anchor_y, anchor_x, anchor_height, anchor_width = centers_and_sizes(anchors_yxyx)
    anchor_height = anchor_height + EPSILON
    anchor_width = anchor_width + EPSILON
    return tf.stack(
        [
            (y - anchor_y) / anchor_height,
            (x - anchor_x) / anchor_width,
            tf.math.log((height + EPSILON) / anchor_height),
            tf.math.log((width + EPSILON) / anchor_width),
        ],
        axis=-1,
    )


def decode(box_deltas: Array, anchors_yxyx: Array) -> tf.Tensor:
    """Boxes of deltas (ty, tx, th, tw): the inverse of `encode`.

    Args:
        box_deltas: float32 [..., 4].
        anchors_yxyx: float32, broadcastable to the deltas.

    Returns:
        float32 [..., 4] boxes_yxyx in the anchors' unit, not clipped.
    """
    anchor_y, anchor_x, anchor_height, anchor_width = centers_and_sizes(anchors_yxyx)
    ty, tx, th, tw = tf.unstack(box_deltas, axis=-1)
    y = ty * anchor_height + anchor_y
    x = tx * anchor_width + anchor_x
    half_height = tf.exp(th) * anchor_height / 2.0
    half_width = tf.exp(tw) * anchor_width / 2.0
    return tf.stack([y - half_height, x - half_width, y + half_height, x + half_width], axis=-1)


def clip_boxes(boxes_yxyx: Array, size_hw: Any) -> tf.Tensor:
    """Clips boxes [..., 4] to [0, height] x [0, width]."""
    height, width = size_hw[0], size_hw[1]
    upper = tf.cast(tf.stack([height, width, height, width]), boxes_yxyx.dtype)
    return tf.clip_by_value(boxes_yxyx, tf.zeros_like(upper), upper)
