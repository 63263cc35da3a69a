"""Assignment of ground-truth boxes to anchors (RetinaNet, arXiv:1708.02002, section 4)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from efficientvision.data import boxes as box_ops

BACKGROUND = -1


class AnchorTargets(NamedTuple):
    """Training targets of each anchor.

    Attributes:
        class_targets: int32 [B, A_total]: class - 1 (0..K-1), -1 background.
        box_targets: float32 [B, A_total, 4]: ty, tx, th, tw; zeros where unmatched.
        num_positives: float32 [B]: number of matched anchors per image.
    """

    class_targets: tf.Tensor
    box_targets: tf.Tensor
    num_positives: tf.Tensor


def assign_targets(
    anchors_yxyx: np.ndarray,
    gt_boxes_yxyx: tf.Tensor,
    gt_classes: tf.Tensor,
    match_threshold: float = 0.5,
    *,
    last_box_forces: bool = False,
) -> AnchorTargets:
    """Assigns a target class and box to each anchor.

    An anchor is matched to the ground-truth box with the highest IoU if that is at least
    `match_threshold`. In addition, every ground-truth box claims the anchor that it overlaps most,
    whatever the IoU (if two boxes claim the same anchor, the first one wins). The loop over the
    ground truth holds [B, A_total] values at a time, never [B, A_total, M], and ends after the last
    real box of the batch. It compiles under XLA.

    Args:
        anchors_yxyx: float32 [A_total, 4], pixels of the network input.
        gt_boxes_yxyx: float32 [B, M, 4] in the same pixels, padded with -1.
        gt_classes: int [B, M], 1..K; anything below 1 is padding.
        match_threshold: Minimum IoU of a positive anchor.
        last_box_forces: If two boxes claim the same anchor, the last one wins instead.

    Returns:
        `AnchorTargets`.

    Source: argmax matching with forced rows, of `object_detection/argmax_matcher.py`.
    """
    anchors = tf.convert_to_tensor(anchors_yxyx, tf.float32)
    gt_boxes = tf.stop_gradient(tf.convert_to_tensor(gt_boxes_yxyx, tf.float32))
    gt_classes = tf.cast(gt_classes, tf.int32)
    batch, max_boxes = tf.shape(gt_boxes)[0], tf.shape(gt_boxes)[1]
    num_anchors = tf.shape(anchors)[0]
    valid = gt_classes > 0
    rows = tf.range(max_boxes)
    num_rows = tf.reduce_max(tf.where(valid, rows[tf.newaxis] + 1, 0))
    anchor_ids = tf.range(num_anchors)[tf.newaxis]

    def match_row(row, best_iou, best_row, forced_row):
        row_iou = box_ops.iou(anchors[tf.newaxis], gt_boxes[:, row, tf.newaxis])
        row_iou = tf.where(valid[:, row, tf.newaxis], row_iou, 0.0)
        top = tf.argmax(row_iou, axis=-1, output_type=tf.int32)[:, tf.newaxis]
        forces = tf.equal(anchor_ids, top) & (row_iou > 0.0)
        if not last_box_forces:
            forces &= forced_row < 0
        forced_row = tf.where(forces, row, forced_row)
        better = row_iou > best_iou
        best_row = tf.where(better, row, best_row)
        return row + 1, tf.maximum(best_iou, row_iou), best_row, forced_row

    nobody = tf.fill([batch, num_anchors], -1)
    _, best_iou, best_row, forced_row = tf.while_loop(
        lambda row, *_: row < num_rows,
        match_row,
        (0, tf.zeros([batch, num_anchors]), nobody, nobody),
    )
    matched_row = tf.where(best_iou >= match_threshold, best_row, -1)
    matched_row = tf.where(forced_row >= 0, forced_row, matched_row)
    positive = matched_row >= 0

    # Row 0 stands in for "no row", so that a batch without any box can still gather.
    gt_boxes = tf.concat([tf.zeros([batch, 1, 4]), gt_boxes], axis=1)
    gt_classes = tf.concat([tf.zeros([batch, 1], tf.int32), gt_classes], axis=1)
    class_targets = tf.gather(gt_classes, matched_row + 1, batch_dims=1) - 1
    matched_boxes = tf.gather(gt_boxes, matched_row + 1, batch_dims=1)
    box_targets = box_ops.encode(matched_boxes, anchors[tf.newaxis])
    box_targets = tf.where(positive[..., tf.newaxis], box_targets, 0.0)
    num_positives = tf.reduce_sum(tf.cast(positive, tf.float32), axis=-1)
    return AnchorTargets(class_targets, box_targets, num_positives)
