"""Targets and losses of SSD.

Losses are computed in float32, whatever the network's precision.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from efficientvision.tasks.detection.matching import AnchorTargets, assign_targets
from efficientvision.tasks.detection.priors import box_deltas_to_locations

MATCH_THRESHOLD = 0.45
NEGATIVES_PER_POSITIVE = 3


def assign_priors(
    priors_yxyx: np.ndarray, gt_boxes_yxyx: tf.Tensor, gt_classes: tf.Tensor
) -> AnchorTargets:
    """Assigns a target class and box to each prior: SSD's version of `assign_targets`.

    A prior is matched to the box with the highest IoU if that is at least 0.45. In addition, every
    box claims its best prior; if two boxes claim the same one, the later wins. Compiles under XLA.

    Args:
        priors_yxyx: float32 [P, 4], as fractions of the network input's sides.
        gt_boxes_yxyx: float32 [B, M, 4] in the same unit; padding rows may contain anything.
        gt_classes: int [B, M], 1..C-1; anything below 1 is padding.

    Returns:
        `AnchorTargets`: `class_targets` 0..C-1, 0 for background; `box_targets` as
        `priors.box_deltas_to_locations` gives them, zeros where unmatched.

    Source: Liu et al. 2016, https://arxiv.org/abs/1512.02325, section 2.2.
    """
    targets = assign_targets(
        priors_yxyx, gt_boxes_yxyx, gt_classes, MATCH_THRESHOLD, last_box_forces=True
    )
    return targets._replace(
        class_targets=targets.class_targets + 1,
        box_targets=box_deltas_to_locations(targets.box_targets),
    )


def mined_negatives(
    background_losses: tf.Tensor, positive: tf.Tensor, ratio: int = NEGATIVES_PER_POSITIVE
) -> tf.Tensor:
    """Selects the background priors with the highest loss in each image (hard negatives).

    Args:
        background_losses: float32 [B, P], -log of the background probability.
        positive: bool [B, P].
        ratio: Maximum number of negatives per positive prior of the image.

    Returns:
        bool [B, P].
    """
    num_priors = tf.shape(positive)[1]
    wrongness = tf.where(positive, float("-inf"), tf.stop_gradient(background_losses))
    order = tf.argsort(wrongness, axis=1, direction="DESCENDING", stable=True)
    rank = tf.argsort(order, axis=1)
    num_positives = tf.reduce_sum(tf.cast(positive, tf.int32), axis=1, keepdims=True)
    wanted = tf.minimum(ratio * num_positives, num_priors - num_positives)
    return rank < wanted


def multibox_losses(
    confidences: tf.Tensor,
    locations: tf.Tensor,
    targets: AnchorTargets,
    *,
    normalizer: tf.Tensor | None = None,
    ratio: int = NEGATIVES_PER_POSITIVE,
) -> dict[str, tf.Tensor]:
    """Cross entropy of positive and mined priors, and box loss of positive priors.

    Args:
        confidences: Logits [B, P, C].
        locations: [B, P, 4].
        targets: Result of `assign_priors`.
        normalizer: Number of positive priors in the global batch, the divisor that makes the losses
            of its parts add up; None counts this batch. If there are none, 1.
        ratio: See `mined_negatives`.

    Returns:
        float32 scalars: `cls_loss`, `box_loss`, and their sum `det_loss`; 0 without positives.

    Source: Liu et al. 2016, equations 1 to 3; their box loss is the Huber loss with delta 1.
    """
    confidences, locations = (tf.cast(x, tf.float32) for x in (confidences, locations))
    positive = targets.class_targets > 0
    if normalizer is None:
        normalizer = tf.reduce_sum(targets.num_positives)
    normalizer = tf.maximum(normalizer, 1.0)
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=targets.class_targets, logits=confidences
    )
    # For background priors this already is the loss, so no second softmax is needed.
    counted = positive | mined_negatives(entropy, positive, ratio)
    cls_loss = tf.reduce_sum(tf.where(counted, entropy, 0.0)) / normalizer
    error = tf.abs(locations - targets.box_targets)
    huber = tf.where(error < 1.0, 0.5 * tf.square(error), error - 0.5)
    huber = tf.where(positive[..., tf.newaxis], huber, 0.0)
    box_loss = tf.reduce_sum(huber) / normalizer
    return {"cls_loss": cls_loss, "box_loss": box_loss, "det_loss": cls_loss + box_loss}
