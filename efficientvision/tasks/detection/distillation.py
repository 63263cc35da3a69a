"""Distillation of EfficientDets: losses of a student's outputs against a teacher's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from efficientvision.data import boxes as box_ops
from efficientvision.errors import UserError
from efficientvision.tasks.detection.anchors import generate_anchors
from efficientvision.tasks.detection.efficientdet_config import EfficientDetConfig
from efficientvision.tasks.detection.losses import all_levels, iou_loss, quality_focal
from efficientvision.tasks.teacher import Teacher

# Boxes of anchors in which the teacher sees nothing were never trained: they teach nothing. With
# this bound the weights of a batch sum to about its number of positive anchors.
LEAST_CONFIDENCE = 0.1
# IoU from which an anchor is matched with an object: so far apart may anchors of the same place be.
_LEAST_ANCHOR_IOU = 0.5


def distillation_losses(
    outputs: Sequence[Sequence],
    teacher_outputs: Sequence[Sequence],
    teacher: Teacher,
    *,
    anchors: np.ndarray,
    teacher_anchors: np.ndarray,
    parts: Sequence[str],
    normalizer: tf.Tensor,
) -> dict[str, tf.Tensor]:
    """Computes the losses of both heads against those of a teacher, over all anchors.

    Classes: `quality_focal` with the teacher's probabilities as targets, for the classes that
    both have. Boxes: GIoU loss of the decoded boxes, weighted by the teacher's confidence, its
    highest probability of these classes; anchors below `LEAST_CONFIDENCE` do not count.

    Args:
        outputs: The student's logits [B, h, w, A*K] and box deltas [B, h, w, A*4], each a list of
            levels, finest first.
        teacher_outputs: The teacher's, for the same cells and A.
        teacher: Says which classes both have.
        anchors: float32 [A_total, 4], pixels; the student's.
        teacher_anchors: float32 [A_total, 4], pixels.
        parts: Losses to compute: "distill_class_loss", "distill_box_loss".
        normalizer: The number of positive anchors of the *global* batch, plus one, as for the
            losses of the labels; scalar.

    Returns:
        float32 scalars by name: sums over this batch divided by the normaliser, so they add up
        over replicas.

    Reference: Zheng et al. 2021, https://arxiv.org/abs/2102.12252, which distils boxes only where
    the teacher's are worth learning.
    """
    normalizer = tf.cast(normalizer, tf.float32)
    class_outputs, box_outputs = outputs
    their_classes, their_boxes = teacher_outputs
    anchors_per_cell = box_outputs[0].shape[-1] // 4
    sums, confidences = [], []
    for level, their_level in zip(class_outputs, their_classes, strict=True):
        batch = tf.shape(level)[0]
        logits, theirs = (
            tf.reshape(x, [batch, -1, x.shape[-1] // anchors_per_cell])
            for x in (level, their_level)
        )
        targets = tf.sigmoid(teacher.of_teacher(theirs))
        sums.append(tf.reduce_sum(quality_focal(teacher.of_student(logits), targets)))
        confidences.append(tf.reduce_max(targets, axis=-1))
    losses = {}
    if "distill_class_loss" in parts:
        losses["distill_class_loss"] = tf.add_n(sums) / normalizer
    if "distill_box_loss" in parts:
        confidence = tf.concat(confidences, axis=1)
        weights = tf.where(confidence >= LEAST_CONFIDENCE, confidence, 0.0)
        boxes = _decoded(box_outputs, anchors, weights)
        their_boxes = tf.stop_gradient(_decoded(their_boxes, teacher_anchors, weights))
        terms = weights * iou_loss(boxes, their_boxes, "giou")
        losses["distill_box_loss"] = tf.reduce_sum(terms) / normalizer
    return losses


def _decoded(box_outputs: Sequence, anchors: np.ndarray, weights: tf.Tensor) -> tf.Tensor:
    """Boxes [B, A_total, 4] in pixels; anchors that do not count keep theirs."""
    deltas = all_levels(box_outputs, 4)
    # exp() of untrained deltas may overflow, and inf * 0 would make the gradient NaN.
    deltas = tf.where(weights[..., tf.newaxis] > 0.0, deltas, 0.0)
    return box_ops.decode(deltas, anchors)


def check_teacher(config: EfficientDetConfig, teacher: Teacher) -> None:
    """Checks that a student's anchors can be compared with a teacher's, one by one.

    Raises:
        UserError: The teacher is no EfficientDet, or has other levels or anchors.
    """
    theirs, what = teacher.config, f"`distill_from={teacher.path}`"
    if not isinstance(theirs, EfficientDetConfig):
        raise UserError(
            f"{what} is an SSD ({theirs.name}), but {config.name} can only learn from an "
            "EfficientDet."
        )
    if "object_detection" not in theirs.heads:
        raise UserError(f"{what} has no detection head: use an EfficientDet that detects.")
    levels, their_levels = ((c.min_level, c.max_level) for c in (config, theirs))
    if levels != their_levels:
        raise UserError(
            f"{what} has the feature levels {_range(their_levels)}, but this run has "
            f"{_range(levels)}: set min_level={their_levels[0]},max_level={their_levels[1]}, or "
            "use another teacher."
        )
    wanted = f"num_scales={theirs.num_scales},aspect_ratios={_text(theirs.aspect_ratios)}"
    counts = [c.anchors_per_location for c in (theirs, config)]
    if counts[0] != counts[1]:
        raise UserError(
            f"{what} has {counts[0]} anchors per cell, but this run has {counts[1]}: set {wanted}, "
            "or use another teacher."
        )
    boxes, their_boxes = (generate_anchors(**c.anchor_options) for c in (config, theirs))
    least = float(box_ops.iou(boxes, their_boxes, xp=np).min())
    if least < _LEAST_ANCHOR_IOU:
        wanted += f",anchor_scale={_text(theirs.anchor_scale)}"
        raise UserError(
            f"{what} has anchors that overlap this run's of the same place by an IoU of only "
            f"{least:.2f}, and at least {_LEAST_ANCHOR_IOU} is needed to compare the outputs: set "
            f"{wanted}, or use another teacher."
        )


def _range(levels: tuple[int, int]) -> str:
    return f"{levels[0]}..{levels[1]}"


def _text(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return f"[{','.join(map(_text, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
