"""Turns an SSD's outputs into detections in photo pixels."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from efficientvision.tasks.detection.base_config import NmsConfig
from efficientvision.tasks.detection.postprocess import (
    Candidates,
    Detections,
    suppress_by_offsets,
    suppress_candidates,
    top_pairs,
)
from efficientvision.tasks.detection.priors import decode_locations


def select_ssd_candidates(
    confidences: tf.Tensor,
    locations: tf.Tensor,
    *,
    priors_yxyx: np.ndarray,
    max_nms_inputs: int = 0,
) -> Candidates:
    """Selects and decodes the candidates for NMS.

    Args:
        confidences: Logits [B, P, C], background first.
        locations: [B, P, 4].
        priors_yxyx: float32 [P, 4], fractions of the network input's sides.
        max_nms_inputs: Number of (prior, class) pairs to keep; 0 keeps all.

    Returns:
        `Candidates`, best first, boxes in the same unit, classes 0..C-2 without the background.
    """
    priors = tf.convert_to_tensor(priors_yxyx, tf.float32)
    scores = tf.nn.softmax(tf.cast(confidences, tf.float32))[..., 1:]
    top_scores, prior_ids, classes = top_pairs(
        scores, max_nms_inputs or scores.shape[1] * scores.shape[2]
    )
    chosen = tf.gather(tf.cast(locations, tf.float32), prior_ids, batch_dims=1)
    return Candidates(decode_locations(chosen, tf.gather(priors, prior_ids)), top_scores, classes)


def best_class_candidates(
    confidences: tf.Tensor, locations: tf.Tensor, *, priors_yxyx: np.ndarray, max_nms_inputs: int
) -> Candidates:
    """Like `select_ssd_candidates`, but keeps only the best class of each prior.

    Args:
        confidences: Logits [B, P, C], background first.
        locations: [B, P, 4].
        priors_yxyx: float32 [P, 4], in any unit; boxes are returned in the same unit.
        max_nms_inputs: Number of priors to keep, best first.
    """
    priors = tf.convert_to_tensor(priors_yxyx, tf.float32)
    scores = tf.nn.softmax(tf.cast(confidences, tf.float32))[..., 1:]
    count = min(max_nms_inputs, int(priors.shape[0]))
    top, rows = tf.math.top_k(tf.reduce_max(scores, axis=-1), count)
    # Only for the selected rows, to save memory.
    classes = tf.argmax(tf.gather(scores, rows, batch_dims=1), axis=-1, output_type=tf.int32)
    chosen = tf.gather(tf.cast(locations, tf.float32), rows, batch_dims=1)
    return Candidates(decode_locations(chosen, tf.gather(priors, rows)), top, classes)


def postprocess_ssd(
    confidences: tf.Tensor,
    locations: tf.Tensor,
    photo_hw: tf.Tensor | None = None,
    *,
    priors_yxyx: np.ndarray,
    nms: NmsConfig,
    image_hw: tuple[int, int] | None = None,
) -> Detections:
    """Decodes an SSD's outputs and applies per-class NMS.

    Args:
        confidences: Logits [B, P, C], background first.
        locations: [B, P, 4].
        photo_hw: [B, 2], photo sizes in pixels; None leaves boxes as fractions of the sides.
        priors_yxyx: float32 [P, 4], fractions of the network input's sides.
        nms: Method and thresholds; `max_output_size` limits the detections per image and per class.
        image_hw: Size of the network input in pixels: use the NMS of the portable exports, which is
            hard, has static shapes and keeps only the best class of each prior
            (`best_class_candidates`). None: every class of a prior is a candidate.

    Returns:
        `Detections` with classes 1..C-1; padding rows are zeros.

    Raises:
        UserError: The method is unknown.
    """
    num_classes = confidences.shape[-1] - 1
    if image_hw is None:
        candidates = select_ssd_candidates(
            confidences, locations, priors_yxyx=priors_yxyx, max_nms_inputs=nms.max_nms_inputs
        )
        detections = suppress_candidates(candidates, num_classes=num_classes, nms=nms)
    else:
        sides = tf.constant([*image_hw, *image_hw], tf.float32)
        candidates = best_class_candidates(
            confidences,
            locations,
            priors_yxyx=priors_yxyx * sides,
            max_nms_inputs=nms.max_nms_inputs or len(priors_yxyx),
        )
        detections = suppress_by_offsets(candidates, num_classes, image_hw, nms)
        detections = detections._replace(boxes_yxyx=detections.boxes_yxyx / sides)
    if photo_hw is None:
        return detections
    sides = tf.tile(tf.cast(photo_hw, tf.float32), [1, 2])[:, tf.newaxis]
    return detections._replace(boxes_yxyx=detections.boxes_yxyx * sides)
