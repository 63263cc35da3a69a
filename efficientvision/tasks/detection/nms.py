"""Non-maximum suppression in the TensorFlow graph: hard, and soft (gaussian).

Boxes are [n, 4] = ymin, xmin, ymax, xmax in any unit. Soft-NMS: arXiv:1704.04503.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import tensorflow as tf

from efficientvision.errors import UserError

DEFAULT_IOU_THRESH = 0.5
DEFAULT_SIGMA = 0.5

# (indices of the boxes kept, their scores, number of valid rows before the padding)
Kept: TypeAlias = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


class Thresholds(NamedTuple):
    """Arguments of TensorFlow's NMS kernel, resolved from the hyper-parameters."""

    iou: float
    score: float
    soft_sigma: float


def resolve_thresholds(
    method: str | None,
    *,
    iou_thresh: float | None = None,
    score_thresh: float | None = None,
    sigma: float | None = None,
) -> Thresholds:
    """Fills in the defaults of a method.

    Args:
        method: "hard" (or empty), or "gaussian".
        iou_thresh: IoU above which hard NMS drops a box; None or 0 means 0.5. Not for soft-NMS.
        score_thresh: Minimum score, exclusive; None or 0 means no threshold.
        sigma: Width of the gaussian exp(-iou^2 / sigma); None or 0 means 0.5.

    Raises:
        UserError: The method is unknown.
    """
    score = score_thresh or float("-inf")
    if not method or method == "hard":
        return Thresholds(iou_thresh or DEFAULT_IOU_THRESH, score, 0.0)
    if method == "gaussian":
        # TensorFlow's kernel computes exp(-iou^2 / (2 sigma)), the paper exp(-iou^2 / sigma).
        return Thresholds(1.0, score, (sigma or DEFAULT_SIGMA) / 2.0)
    raise UserError(f"Unknown nms_configs.method {method!r}; use hard or gaussian.")


def suppress(
    boxes_yxyx: tf.Tensor,
    scores: tf.Tensor,
    thresholds: Thresholds,
    max_output_size: int,
    *,
    pad: bool,
) -> Kept:
    """Applies NMS to all boxes of one image, regardless of class.

    Args:
        boxes_yxyx: float32 [n, 4].
        scores: float32 [n].
        thresholds: See `resolve_thresholds`.
        max_output_size: Maximum number of boxes to keep.
        pad: Pad the result to `max_output_size` (indices and scores 0).

    Returns:
        (indices int32 [m], scores float32 [m] after the soft decay, valid_len int32 []), best
        score first.
    """
    return tf.raw_ops.NonMaxSuppressionV5(
        boxes=boxes_yxyx,
        scores=scores,
        max_output_size=max_output_size,
        iou_threshold=thresholds.iou,
        score_threshold=thresholds.score,
        soft_nms_sigma=thresholds.soft_sigma,
        pad_to_max_output_size=pad,
    )


def suppress_per_class(
    boxes_yxyx: tf.Tensor,
    scores: tf.Tensor,
    classes: tf.Tensor,
    thresholds: Thresholds,
    max_output_size: int,
    num_classes: int,
) -> Kept:
    """Applies NMS within each class of one image, then keeps the best boxes of all classes.

    Loops over the classes that occur; each sees only its own candidates.

    Args:
        boxes_yxyx: float32 [n, 4].
        scores: float32 [n].
        classes: int32 [n], 0..num_classes-1.
        thresholds: See `resolve_thresholds`.
        max_output_size: Maximum number of boxes to keep, per class and in total.
        num_classes: K.

    Returns:
        (indices int32 [max_output_size], scores float32 [max_output_size], valid_len int32 []),
        best score first, padded with 0.
    """
    counts = tf.math.bincount(classes, minlength=num_classes, maxlength=num_classes)
    present = tf.cast(tf.where(counts > 0)[:, 0], tf.int32)

    def merge_class(i, best_scores, best_indices):
        members = tf.cast(tf.where(tf.equal(classes, present[i]))[:, 0], tf.int32)
        kept, kept_scores, _ = suppress(
            tf.gather(boxes_yxyx, members),
            tf.gather(scores, members),
            thresholds,
            max_output_size,
            pad=False,
        )
        all_indices = tf.concat([best_indices, tf.gather(members, kept)], axis=0)
        top_scores, top = tf.math.top_k(
            tf.concat([best_scores, kept_scores], axis=0), max_output_size
        )
        return i + 1, top_scores, tf.gather(all_indices, top)

    _, best_scores, best_indices = tf.while_loop(
        lambda i, *_: i < tf.size(present),
        merge_class,
        (
            0,
            tf.fill([max_output_size], float("-inf")),
            tf.zeros([max_output_size], tf.int32),
        ),
    )
    valid = best_scores > float("-inf")
    valid_len = tf.reduce_sum(tf.cast(valid, tf.int32))
    return best_indices, tf.where(valid, best_scores, 0.0), valid_len


def suppress_with_class_offsets(
    boxes_yxyx: tf.Tensor,
    scores: tf.Tensor,
    classes: tf.Tensor,
    thresholds: Thresholds,
    max_output_size: int,
    num_classes: int,
    image_hw: tuple[int, int],
) -> Kept:
    """Hard per-class NMS by one class-agnostic operation with static shapes.

    See `move_to_class_cells`. `tf.image.non_max_suppression_padded` runs in SavedModel, LiteRT,
    ONNX and OpenVINO.

    Args:
        boxes_yxyx: float32 [B, n, 4], pixels of the network input.
        scores: float32 [B, n].
        classes: int32 [B, n], 0..num_classes-1.
        thresholds: Thresholds of the method "hard".
        max_output_size: Maximum number of boxes to keep.
        num_classes: K.
        image_hw: Size of the network input in pixels.

    Returns:
        (indices int32 [B, max_output_size], scores float32 [B, max_output_size],
        valid_len int32 [B]), best score first, padded with 0.

    Raises:
        UserError: The method is soft-NMS.
    """
    if thresholds.soft_sigma:
        raise UserError(
            "Class-offset NMS is hard only; set nms_configs.method=hard or use per-class NMS."
        )
    moved = move_to_class_cells(boxes_yxyx, classes, num_classes, image_hw)
    indices, valid_len = tf.image.non_max_suppression_padded(
        moved,
        scores,
        max_output_size,
        iou_threshold=thresholds.iou,
        score_threshold=thresholds.score,
        pad_to_max_output_size=True,
    )
    valid = tf.range(max_output_size)[tf.newaxis] < valid_len[:, tf.newaxis]
    kept_scores = tf.gather(scores, indices, batch_dims=1)
    return indices, tf.where(valid, kept_scores, 0.0), valid_len


def move_to_class_cells(
    boxes_yxyx: tf.Tensor, classes: tf.Tensor, num_classes: int, image_hw: tuple[int, int]
) -> tf.Tensor:
    """Moves the boxes of each class to its own cell of a square grid.

    Boxes of different classes then cannot overlap, so class-agnostic NMS acts within each class. A
    grid rather than a row keeps the coordinates small enough for float32 to be accurate to about a
    thousandth of a pixel.

    Args:
        boxes_yxyx: float32 [..., n, 4], pixels of the network input.
        classes: int32 [..., n], 0..num_classes-1.
        num_classes: K.
        image_hw: Size of the network input in pixels.
    """
    side = float(max(image_hw))
    columns = math.ceil(math.sqrt(num_classes))
    cell = tf.cast(tf.stack([classes // columns, classes % columns], axis=-1), tf.float32)
    offsets = tf.concat([cell, cell], axis=-1) * (3.0 * side + 1.0)
    return tf.clip_by_value(boxes_yxyx, -side, 2.0 * side) + offsets
