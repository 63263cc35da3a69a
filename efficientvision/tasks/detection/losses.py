"""Losses of the detection heads: (quality) focal loss for classes, Huber and IoU for boxes.

All losses are computed in float32, whatever the network's precision.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from efficientvision.data import boxes as box_ops
from efficientvision.errors import UserError
from efficientvision.tasks.detection.matching import AnchorTargets

IOU_LOSS_TYPES = ("iou", "giou", "diou", "ciou")


@functools.cache
def _focal_terms(gamma: float, label_smoothing: float):
    """Returns (positive, negative): elementwise focal loss of logits for label 1 and label 0.

    With s = softplus(x): log(1 - p) = -s and log(p) = x - s, which avoids powers and sigmoids.
    The gradients are explicit because they recompute s from the logits, so that only the logits
    are kept from the forward pass.
    """
    smooth = 0.5 * label_smoothing

    @tf.custom_gradient
    def negative(logits):
        softplus = tf.math.softplus(logits)
        modulator = tf.exp(gamma * (logits - softplus))

        def gradient(upstream):
            softplus = tf.math.softplus(logits)
            log_prob = logits - softplus
            prob = tf.exp(log_prob)
            entropy = softplus - smooth * logits if smooth else softplus
            slope = gamma * (1.0 - prob) * entropy + prob - smooth
            return upstream * tf.exp(gamma * log_prob) * slope

        return modulator * (softplus - smooth * logits if smooth else softplus), gradient

    def positive(logits):
        # By symmetry: p -> 1 - p is x -> -x.
        return negative(-logits)

    return positive, negative


def _class_loss_sum(logits, class_targets, *, num_classes, alpha, gamma, label_smoothing):
    """Sums the focal loss over one level without a one-hot tensor.

    Every logit is first counted as a negative; then the logit of each anchor's class is replaced by
    the positive term.

    Args:
        logits: [B, h, w, A*K].
        class_targets: int32 [B, h*w*A].
    """
    positive, negative = _focal_terms(gamma, label_smoothing)
    logits = tf.reshape(tf.cast(logits, tf.float32), [-1, num_classes])
    targets = tf.reshape(class_targets, [-1])
    negatives = tf.reduce_sum(negative(logits), axis=-1)
    target_logits = tf.gather(logits, tf.maximum(targets, 0), batch_dims=1)
    exchange = alpha * positive(target_logits) - (1.0 - alpha) * negative(target_logits)
    exchange = tf.where(targets >= 0, exchange, 0.0)
    return (1.0 - alpha) * tf.reduce_sum(negatives) + tf.reduce_sum(exchange)


def quality_focal(logits: tf.Tensor, targets: tf.Tensor, gamma: float = 2.0) -> tf.Tensor:
    """Quality focal loss: binary cross entropy with soft targets, times |target - p|^gamma.

    It is 0, with zero gradient, where the probability is the target.

    Args:
        logits: float32 [...].
        targets: float32 [...], 0..1; no gradient flows to them.
        gamma: The paper's beta.

    Returns:
        float32 [...].

    Source: Li et al. 2020, https://arxiv.org/abs/2006.04388, equation 2.
    """
    targets = tf.stop_gradient(targets)
    distance = tf.abs(targets - tf.sigmoid(logits))
    differs = distance > 0.0
    # The gradient of 0^gamma is NaN for gamma < 1.
    factor = tf.where(differs, tf.where(differs, distance, 1.0) ** gamma, 0.0)
    return factor * tf.nn.sigmoid_cross_entropy_with_logits(targets, logits)


def _quality_class_loss_sum(logits, class_targets, quality, *, num_classes, gamma):
    """Sums the quality focal loss over one level: |y - p|^gamma times the cross entropy of y.

    y is the quality for the class of an anchor and 0 for all others.

    Args:
        logits: [B, h, w, A*K].
        class_targets: int32 [B, h*w*A].
        quality: float32 [B, h*w*A].
    """
    _, negative = _focal_terms(gamma, 0.0)
    logits = tf.reshape(tf.cast(logits, tf.float32), [-1, num_classes])
    targets, quality = tf.reshape(class_targets, [-1]), tf.reshape(quality, [-1])
    target_logits = tf.gather(logits, tf.maximum(targets, 0), batch_dims=1)
    exchange = quality_focal(target_logits, quality, gamma) - negative(target_logits)
    exchange = tf.where(targets >= 0, exchange, 0.0)
    return tf.reduce_sum(negative(logits)) + tf.reduce_sum(exchange)


def all_levels(outputs: Sequence, channels: int) -> tf.Tensor:
    """Joins the levels [B, h, w, A*channels] of a head: float32 [B, A_total, channels]."""
    batch = tf.shape(outputs[0])[0]
    levels = [tf.reshape(tf.cast(level, tf.float32), [batch, -1, channels]) for level in outputs]
    return tf.concat(levels, axis=1)


def huber(errors: tf.Tensor, delta: float) -> tf.Tensor:
    """Elementwise Huber loss: e^2 / 2 up to `delta`, linear beyond."""
    size = tf.abs(errors)
    quadratic = tf.minimum(size, delta)
    return quadratic * (size - 0.5 * quadratic)


def box_loss(
    box_outputs: tf.Tensor,
    box_targets: tf.Tensor,
    *,
    num_positives: tf.Tensor | float,
    delta: float = 0.1,
    weights: tf.Tensor | None = None,
) -> tf.Tensor:
    """Huber loss of box deltas, over the non-zero targets, divided by 4 * `num_positives`.

    Args:
        box_outputs: [...] predicted deltas.
        box_targets: [...] target deltas; exact zeros mark what is not matched.
        num_positives: Normaliser; scalar.
        delta: Where the loss becomes linear, in units of the deltas.
        weights: Weight of each box, of the shape of the boxes without the last axis; None: 1.

    Returns:
        float32 scalar.
    """
    box_targets = tf.cast(box_targets, tf.float32)
    errors = tf.cast(box_outputs, tf.float32) - box_targets
    loss = tf.where(tf.not_equal(box_targets, 0.0), huber(errors, delta), 0.0)
    if weights is not None:
        loss *= weights[..., tf.newaxis]
    return tf.reduce_sum(loss) / (4.0 * tf.cast(num_positives, tf.float32))


def iou_loss(
    pred_boxes_yxyx: tf.Tensor, target_boxes_yxyx: tf.Tensor, iou_loss_type: str = "iou"
) -> tf.Tensor:
    """1 - IoU, GIoU, DIoU or CIoU of each pair of boxes; 0 if the target has no area.

    Args:
        pred_boxes_yxyx: [..., 4].
        target_boxes_yxyx: [..., 4], in the same unit.
        iou_loss_type: "iou", "giou" (arXiv:1902.09630), "diou" or "ciou" (arXiv:1911.08287).

    Returns:
        float32 [...].

    Raises:
        UserError: Unknown `iou_loss_type`.
    """
    if iou_loss_type not in IOU_LOSS_TYPES:
        raise UserError(
            f"Unknown iou_loss_type {iou_loss_type!r}; use one of {', '.join(IOU_LOSS_TYPES)}."
        )
    pred = tf.cast(pred_boxes_yxyx, tf.float32)
    target = tf.cast(target_boxes_yxyx, tf.float32)
    intersection, union = box_ops.intersection_and_union(pred, target)
    overlap = tf.math.divide_no_nan(intersection, union)
    similarity = overlap
    enclosing = tf.concat(
        [tf.minimum(pred[..., :2], target[..., :2]), tf.maximum(pred[..., 2:], target[..., 2:])],
        axis=-1,
    )
    if iou_loss_type == "giou":
        enclosing_area = box_ops.area(enclosing)
        similarity -= tf.math.divide_no_nan(enclosing_area - union, enclosing_area)
    elif iou_loss_type in ("diou", "ciou"):
        similarity -= _center_penalty(pred, target, enclosing)
    if iou_loss_type == "ciou":
        penalty = _shape_penalty(pred, target)
        similarity -= penalty * tf.math.divide_no_nan(penalty, 1.0 - overlap + penalty)
    return tf.where(box_ops.area(target) > 0.0, 1.0 - similarity, 0.0)


def _center_penalty(pred, target, enclosing):
    """Squared distance of the centres, divided by the squared diagonal of the enclosing box."""
    pred_y, pred_x, _, _ = box_ops.centers_and_sizes(pred)
    target_y, target_x, _, _ = box_ops.centers_and_sizes(target)
    _, _, height, width = box_ops.centers_and_sizes(enclosing)
    distance = (pred_y - target_y) ** 2 + (pred_x - target_x) ** 2
    return tf.math.divide_no_nan(distance, height**2 + width**2)


def _shape_penalty(pred, target):
    """v of CIoU: (2 / pi * difference of the aspect angles)^2."""
    _, _, height, width = box_ops.centers_and_sizes(pred)
    _, _, target_height, target_width = box_ops.centers_and_sizes(target)
    difference = tf.atan(tf.math.divide_no_nan(target_width, target_height)) - tf.atan(
        tf.math.divide_no_nan(tf.maximum(width, 0.0), tf.maximum(height, 0.0))
    )
    return (2.0 / math.pi * difference) ** 2


def box_iou_loss(
    box_outputs: tf.Tensor,
    box_targets: tf.Tensor,
    anchors_yxyx: tf.Tensor,
    *,
    num_positives: tf.Tensor | float,
    iou_loss_type: str,
    weights: tf.Tensor | None = None,
) -> tf.Tensor:
    """IoU loss of decoded boxes, divided by 4 * `num_positives`.

    Both sides are decoded; then coordinates whose target code is zero are set to zero.

    Args:
        box_outputs: [..., A_total, 4] predicted deltas.
        box_targets: [..., A_total, 4] target deltas; exact zeros mark what is not matched.
        anchors_yxyx: [A_total, 4], pixels.
        num_positives: Normaliser; scalar.
        iou_loss_type: See `iou_loss`.
        weights: See `box_loss`.

    Returns:
        float32 scalar.
    """
    box_targets = tf.cast(box_targets, tf.float32)
    mask = tf.cast(tf.not_equal(box_targets, 0.0), tf.float32)
    # Unmatched anchors are decoded from zeros: exp() of their outputs may overflow, and
    # inf * 0 would make the gradient NaN.
    matched = tf.reduce_any(mask > 0.0, axis=-1, keepdims=True)
    box_deltas = tf.where(matched, tf.cast(box_outputs, tf.float32), 0.0)
    pred = box_ops.decode(box_deltas, anchors_yxyx) * mask
    target = box_ops.decode(box_targets, anchors_yxyx) * mask
    loss = iou_loss(pred, target, iou_loss_type)
    loss = tf.reduce_sum(loss if weights is None else weights * loss)
    return loss / (4.0 * tf.cast(num_positives, tf.float32))


def detection_losses(
    class_outputs: Sequence,
    box_outputs: Sequence,
    labels: AnchorTargets,
    *,
    num_classes: int,
    anchors: np.ndarray,
    alpha: float = 0.25,
    gamma: float = 1.5,
    label_smoothing: float = 0.0,
    delta: float = 0.1,
    box_loss_weight: float = 50.0,
    iou_loss_type: str | None = None,
    iou_loss_weight: float = 1.0,
    quality: tf.Tensor | None = None,
    box_weights: tf.Tensor | None = None,
    normalizer: tf.Tensor,
) -> dict[str, tf.Tensor]:
    """Computes the losses of EfficientDet's two heads (arXiv:1911.09070, section 5.1).

    Args:
        class_outputs: Logits [B, h, w, A*K] per level, finest first.
        box_outputs: Box deltas [B, h, w, A*4] of each level.
        labels: Result of `matching.assign_targets`.
        num_classes: K, without background.
        anchors: float32 [A_total, 4], pixels; only used by the IoU loss.
        alpha: Weight of positives in the focal loss; negatives have 1 - alpha.
        gamma: Exponent of the focal factor (1 - p_t).
        label_smoothing: Cross-entropy targets become y (1 - s) + s / 2; the focal factor and alpha
            use the hard targets.
        delta: See `box_loss`.
        box_loss_weight: Weight of the Huber loss in `det_loss`; 0 disables it.
        iou_loss_type: See `iou_loss`; None disables the IoU loss.
        iou_loss_weight: Weight of the IoU loss in `det_loss`.
        quality: float32 [B, A_total], 0..1. If given, the class loss is the quality focal loss
            (arXiv:2006.04388, equation 2): the score of an anchor's class learns this number.
            `alpha` and `label_smoothing` have no part in it.
        box_weights: float32 [B, A_total], weights of the anchors in both box losses; None: 1.
        normalizer: (Sum of the positives over the *global* batch) + 1; scalar.

    Returns:
        float32 scalars `cls_loss`, `box_loss`, `det_loss`, and `box_iou_loss` if there is an IoU
        loss. They are sums over this batch divided by the normaliser, so they add up over
        replicas.
    """
    normalizer = tf.cast(normalizer, tf.float32)
    anchors_per_cell = class_outputs[0].shape[-1] // num_classes
    if anchors_per_cell * num_classes != class_outputs[0].shape[-1]:
        raise UserError(
            f"The class head has {class_outputs[0].shape[-1]} channels, which is not a multiple of "
            f"num_classes={num_classes}; build the model and the loss with the same num_classes."
        )
    sizes = [tf.shape(level)[1] * tf.shape(level)[2] * anchors_per_cell for level in class_outputs]
    level_targets = tf.split(labels.class_targets, sizes, axis=1)
    if quality is None:
        class_loss = functools.partial(
            _class_loss_sum, alpha=alpha, label_smoothing=label_smoothing
        )
        level_arguments = [class_outputs, level_targets]
    else:
        class_loss = _quality_class_loss_sum
        level_arguments = [class_outputs, level_targets, tf.split(quality, sizes, axis=1)]
    class_sum = tf.add_n(
        [
            class_loss(*level, num_classes=num_classes, gamma=gamma)
            for level in zip(*level_arguments, strict=True)
        ]
    )
    box_deltas = all_levels(box_outputs, 4)
    cls_loss = class_sum / normalizer
    huber_loss = box_loss(
        box_deltas,
        labels.box_targets,
        num_positives=normalizer,
        delta=delta,
        weights=box_weights,
    )
    det_loss = cls_loss + box_loss_weight * huber_loss
    losses = {"cls_loss": cls_loss, "box_loss": huber_loss}
    if iou_loss_type:
        losses["box_iou_loss"] = box_iou_loss(
            box_deltas,
            labels.box_targets,
            anchors,
            num_positives=normalizer,
            iou_loss_type=iou_loss_type,
            weights=box_weights,
        )
        det_loss += iou_loss_weight * losses["box_iou_loss"]
    losses["det_loss"] = det_loss
    return losses
