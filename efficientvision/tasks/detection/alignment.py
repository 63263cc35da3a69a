"""Task-aligned assignment of ground-truth boxes to anchors (TOOD, arXiv:2108.07755, section 3.2).

The anchors of an object are those whose predictions already suit it best, by class score and
overlap together, so that one anchor learns to be good at both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from efficientvision.data import boxes as box_ops


class AlignedTargets(NamedTuple):
    """Training targets of each anchor.

    Attributes:
        class_targets: int32 [B, A_total]: class - 1 (0..K-1), -1 background.
        boxes_yxyx: float32 [B, A_total, 4], pixels: the matched box; zeros where unmatched.
        quality: float32 [B, A_total], 0..1: how well the anchor's prediction suits its object,
            compared with the object's other anchors; 0 where unmatched.
    """

    class_targets: tf.Tensor
    boxes_yxyx: tf.Tensor
    quality: tf.Tensor


def task_aligned_targets(
    class_logits: tf.Tensor,
    pred_boxes_yxyx: tf.Tensor,
    anchors_yxyx: np.ndarray,
    anchor_strides: np.ndarray,
    gt_boxes_yxyx: tf.Tensor,
    gt_classes: tf.Tensor,
    *,
    top_k: int = 13,
    score_power: float = 1.0,
    iou_power: float = 6.0,
) -> AlignedTargets:
    """Assigns each object to the anchors whose predictions suit it best.

    The candidates of an object are the anchors whose centre is inside its box, or at most half a
    stride from the box's centre. Of these, the `top_k` with the largest alignment
    t = score^score_power * IoU^iou_power are positive; an anchor of several objects belongs to the
    one with the largest IoU. The quality is t, scaled so that an object's largest t becomes its
    largest IoU. The IoU is that of the predicted box or of the anchor itself, whichever is larger:
    the paper starts with another assignment because the first predictions are poor; here an
    anchor that fits counts as such until its prediction is better, without which small objects are
    learnt much later. No gradient flows through the assignment. The loop over the objects
    holds [B, A_total] values at a time, and ends after the last object of the batch.

    Args:
        class_logits: [B, A_total, K].
        pred_boxes_yxyx: float32 [B, A_total, 4], pixels: decoded predictions.
        anchors_yxyx: float32 [A_total, 4], pixels.
        anchor_strides: float32 [A_total, 2], pixels: (y, x) distance of neighbouring centres.
        gt_boxes_yxyx: float32 [B, M, 4], pixels, padded with -1.
        gt_classes: int [B, M], 1..K; anything below 1 is padding.
        top_k: Largest number of anchors for an object; the paper's m.
        score_power: The paper's alpha.
        iou_power: The paper's beta.
    """
    logits = tf.stop_gradient(tf.cast(class_logits, tf.float32))
    predicted = tf.stop_gradient(pred_boxes_yxyx)
    gt_boxes = tf.convert_to_tensor(gt_boxes_yxyx, tf.float32)
    gt_classes = tf.cast(gt_classes, tf.int32)
    valid = gt_classes > 0
    batch, num_anchors = tf.shape(predicted)[0], len(anchors_yxyx)
    rows = tf.range(tf.shape(gt_boxes)[1])
    num_rows = tf.reduce_max(tf.where(valid, rows[tf.newaxis] + 1, 0))
    anchors = tf.constant(anchors_yxyx)[tf.newaxis]
    center_y, center_x, _, _ = box_ops.centers_and_sizes(anchors)
    reach_y, reach_x = anchor_strides[:, 0] / 2.0, anchor_strides[:, 1] / 2.0
    top_k = min(top_k, num_anchors)

    def match_row(row, best_iou, best_row, quality):
        box = gt_boxes[:, row, tf.newaxis]
        y, x, height, width = box_ops.centers_and_sizes(box)
        near = (tf.abs(center_y - y) <= tf.maximum(height / 2.0, reach_y)) & (
            tf.abs(center_x - x) <= tf.maximum(width / 2.0, reach_x)
        )
        near &= valid[:, row, tf.newaxis]
        overlap = tf.maximum(box_ops.iou(predicted, box), box_ops.iou(anchors, box))
        # Also if the box of an outlying prediction overflows, so that its overlap is NaN.
        overlap = tf.where(near & (overlap > 0.0), overlap, 0.0)
        own_class = tf.maximum(gt_classes[:, row] - 1, 0)
        score = tf.sigmoid(tf.gather(logits, own_class, axis=2, batch_dims=1))
        aligned = score**score_power * overlap**iou_power
        least = tf.math.top_k(aligned, top_k).values[:, -1:]
        chosen = (aligned >= least) & (aligned > 0.0)
        largest = tf.reduce_max(aligned, axis=1, keepdims=True)
        largest_iou = tf.reduce_max(tf.where(chosen, overlap, 0.0), axis=1, keepdims=True)
        scaled = tf.math.divide_no_nan(aligned, largest) * largest_iou
        better = chosen & (overlap > best_iou)
        return (
            row + 1,
            tf.where(better, overlap, best_iou),
            tf.where(better, row, best_row),
            tf.where(better, scaled, quality),
        )

    nothing = tf.zeros([batch, num_anchors])
    _, _, best_row, quality = tf.while_loop(
        lambda row, *_: row < num_rows,
        match_row,
        (0, nothing, tf.fill([batch, num_anchors], -1), nothing),
    )
    # Row 0 stands in for "no row", so that a batch without any box can still gather.
    gt_boxes = tf.concat([tf.zeros([batch, 1, 4]), gt_boxes], axis=1)
    gt_classes = tf.concat([tf.zeros([batch, 1], tf.int32), gt_classes], axis=1)
    return AlignedTargets(
        tf.gather(gt_classes, best_row + 1, batch_dims=1) - 1,
        tf.gather(gt_boxes, best_row + 1, batch_dims=1),
        quality,
    )
