"""Turns the outputs of the heads into detections in photo pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from efficientvision.data import boxes as box_ops
from efficientvision.errors import UserError
from efficientvision.tasks.detection import nms as nms_ops
from efficientvision.tasks.detection.base_config import NmsConfig

NMS_MODES = ("per_class", "global", "combined", "offset")


class Detections(NamedTuple):
    """Detections of a batch, best score first; rows after `valid_len` are padding.

    Attributes:
        boxes_yxyx: float32 [B, max_output_size, 4], in photo pixels.
        scores: float32 [B, max_output_size]; 0 in padding.
        classes: int32 [B, max_output_size], 1..K.
        valid_len: int32 [B].
    """

    boxes_yxyx: tf.Tensor
    scores: tf.Tensor
    classes: tf.Tensor
    valid_len: tf.Tensor


class Candidates(NamedTuple):
    """Decoded boxes before suppression: float32 [B, n, 4] in pixels of the network input,
    float32 [B, n] scores, int32 [B, n] classes 0..K-1."""

    boxes_yxyx: tf.Tensor
    scores: tf.Tensor
    classes: tf.Tensor


def merge_levels(outputs: Sequence, channels: int) -> tf.Tensor:
    """Merges head outputs [B, h, w, A*channels] per level to float32 [B, A_total, channels]."""
    batch = outputs[0].shape[0] or tf.shape(outputs[0])[0]
    return tf.concat(
        [tf.cast(tf.reshape(level, [batch, -1, channels]), tf.float32) for level in outputs], axis=1
    )


def select_candidates(
    class_outputs: Sequence,
    box_outputs: Sequence,
    *,
    anchors: np.ndarray,
    num_classes: int,
    max_nms_inputs: int = 0,
) -> Candidates:
    """Selects and decodes the candidates for NMS.

    Args:
        class_outputs: Logits [B, h, w, A*K] per level, finest first.
        box_outputs: Box deltas [B, h, w, A*4] of each level.
        anchors: float32 [A_total, 4], pixels of the network input.
        num_classes: K, without background.
        max_nms_inputs: Number of (anchor, class) pairs to keep, best first; 0 keeps every anchor
            with its best class, in anchor order.
    """
    logits = merge_levels(class_outputs, num_classes)
    box_deltas = merge_levels(box_outputs, 4)
    anchors = tf.convert_to_tensor(anchors, tf.float32)
    if max_nms_inputs <= 0:
        return Candidates(
            box_ops.decode(box_deltas, anchors),
            tf.sigmoid(tf.reduce_max(logits, axis=-1)),
            tf.argmax(logits, axis=-1, output_type=tf.int32),
        )
    top_logits, anchor_ids, classes = top_pairs(logits, max_nms_inputs)
    boxes = box_ops.decode(
        tf.gather(box_deltas, anchor_ids, batch_dims=1), tf.gather(anchors, anchor_ids)
    )
    return Candidates(boxes, tf.sigmoid(top_logits), classes)


def top_pairs(values: tf.Tensor, count: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Selects the (anchor, class) pairs with the greatest values in each image.

    Args:
        values: float32 [B, A_total, K], static except for B.
        count: Maximum number of pairs.

    Returns:
        (values float32 [B, n], anchors int32 [B, n], classes int32 [B, n]), greatest first; ties go
        to the first anchor.
    """
    total, num_classes = values.shape[1:]
    # The best n pairs lie within the n anchors with the best maxima: selecting those first makes
    # the sort K times smaller. Anchor order is restored because it breaks ties.
    _, rows = tf.math.top_k(tf.reduce_max(values, axis=-1), min(count, total))
    rows = tf.sort(rows, axis=-1)
    kept = tf.gather(values, rows, batch_dims=1)
    kept = tf.reshape(kept, [-1, rows.shape[1] * num_classes])
    top_values, top = tf.math.top_k(kept, min(count, total * num_classes))
    anchor_ids = tf.gather(rows, top // num_classes, batch_dims=1)
    return top_values, anchor_ids, top % num_classes


def postprocess(
    class_outputs: Sequence,
    box_outputs: Sequence,
    image_scales: tf.Tensor | None = None,
    *,
    anchors: np.ndarray,
    image_hw: tuple[int, int],
    num_classes: int,
    nms: NmsConfig,
    mode: str = "per_class",
) -> Detections:
    """Decodes the heads' outputs and applies NMS.

    Args:
        class_outputs: Logits [B, h, w, A*K] per level, finest first.
        box_outputs: Box deltas [B, h, w, A*4] of each level.
        image_scales: float [B], photo pixels per input pixel; None means 1.
        anchors: float32 [A_total, 4], pixels of the network input.
        image_hw: Size of the network input in pixels.
        num_classes: K, without background.
        nms: Method and thresholds.
        mode: "per_class": within each class; boxes may extend beyond the image. "global": NMS
            across all classes; boxes clipped to the network input. "combined": TensorFlow's
            combined NMS over every class of every anchor: hard at IoU 0.5, ignoring the method,
            overlap and `max_nms_inputs` of `nms`; clipped. "offset": hard per-class NMS with static
            shapes for every runtime (see `nms.suppress_with_class_offsets`).

    Returns:
        `Detections`. Padding rows are zeros, except that "global" repeats the first candidate
        and "combined" has class 1, as in the original.

    Raises:
        UserError: The mode or method is unknown.

    Source: `tf2/postprocess.py` of google/automl.
    """
    if mode not in NMS_MODES:
        raise UserError(f"Unknown NMS mode {mode!r}; use one of {', '.join(NMS_MODES)}.")
    if mode == "combined":
        detections = _combined(class_outputs, box_outputs, anchors, num_classes, nms)
    else:
        thresholds = nms_ops.resolve_thresholds(
            nms.method, iou_thresh=nms.iou_thresh, score_thresh=nms.score_thresh, sigma=nms.sigma
        )
        candidates = select_candidates(
            class_outputs,
            box_outputs,
            anchors=anchors,
            num_classes=num_classes,
            max_nms_inputs=nms.max_nms_inputs,
        )
        size = nms.max_output_size
        if mode == "offset":
            detections = suppress_by_offsets(candidates, num_classes, image_hw, nms)
        elif mode == "global":
            kept = _map_images(
                lambda boxes, scores, _: nms_ops.suppress(
                    boxes, scores, thresholds, size, pad=True
                ),
                candidates,
                size,
            )
            detections = _gather(candidates, *kept, zero_padding=False)
        else:
            kept = _kept_per_class(candidates, thresholds, size, num_classes)
            detections = _gather(candidates, *kept, zero_padding=True)
    boxes = detections.boxes_yxyx
    if mode in ("global", "combined"):
        boxes = box_ops.clip_boxes(boxes, image_hw)
    if image_scales is not None:
        boxes *= tf.cast(image_scales, tf.float32)[:, tf.newaxis, tf.newaxis]
    return detections._replace(boxes_yxyx=boxes)


def suppress_by_offsets(
    candidates: Candidates, num_classes: int, image_hw: tuple[int, int], nms: NmsConfig
) -> Detections:
    """Like `suppress_candidates`, but hard NMS with static shapes for every runtime.

    Args:
        candidates: Boxes in pixels of the network input.
        num_classes: K, without background.
        image_hw: Size of the network input in pixels.
        nms: Thresholds.

    Raises:
        UserError: The method is unknown, or soft-NMS.
    """
    thresholds = nms_ops.resolve_thresholds(
        nms.method, iou_thresh=nms.iou_thresh, score_thresh=nms.score_thresh, sigma=nms.sigma
    )
    kept = nms_ops.suppress_with_class_offsets(
        *candidates, thresholds, nms.max_output_size, num_classes, image_hw
    )
    return _gather(candidates, *kept, zero_padding=True)


def suppress_candidates(candidates: Candidates, *, num_classes: int, nms: NmsConfig) -> Detections:
    """Applies per-class NMS to candidates from any source, such as several input sizes.

    Args:
        candidates: See `Candidates`; boxes may be in any unit.
        num_classes: K, without background.
        nms: Method and thresholds.

    Returns:
        `Detections` with boxes in the candidates' unit; padding rows are zeros.

    Raises:
        UserError: Unknown method.
    """
    thresholds = nms_ops.resolve_thresholds(
        nms.method, iou_thresh=nms.iou_thresh, score_thresh=nms.score_thresh, sigma=nms.sigma
    )
    kept = _kept_per_class(candidates, thresholds, nms.max_output_size, num_classes)
    return _gather(candidates, *kept, zero_padding=True)


def _kept_per_class(candidates: Candidates, thresholds, size: int, num_classes: int):
    return _map_images(
        lambda boxes, scores, classes: nms_ops.suppress_per_class(
            boxes, scores, classes, thresholds, size, num_classes
        ),
        candidates,
        size,
    )


def _gather(candidates: Candidates, indices, scores, valid_len, *, zero_padding: bool):
    boxes = tf.gather(candidates.boxes_yxyx, indices, batch_dims=1)
    classes = tf.gather(candidates.classes, indices, batch_dims=1) + 1
    if zero_padding:
        valid = tf.range(scores.shape[1])[tf.newaxis] < valid_len[:, tf.newaxis]
        boxes = tf.where(valid[..., tf.newaxis], boxes, 0.0)
        classes = tf.where(valid, classes, 0)
    return Detections(boxes, scores, classes, valid_len)


def _combined(class_outputs, box_outputs, anchors, num_classes: int, nms: NmsConfig) -> Detections:
    boxes = box_ops.decode(merge_levels(box_outputs, 4), tf.convert_to_tensor(anchors, tf.float32))
    result = tf.image.combined_non_max_suppression(
        boxes[:, :, tf.newaxis],
        tf.sigmoid(merge_levels(class_outputs, num_classes)),
        nms.max_output_size,
        nms.max_output_size,
        iou_threshold=nms_ops.DEFAULT_IOU_THRESH,
        score_threshold=nms.score_thresh or float("-inf"),
        clip_boxes=False,
    )
    classes = tf.cast(result.nmsed_classes, tf.int32) + 1
    return Detections(result.nmsed_boxes, result.nmsed_scores, classes, result.valid_detections)


def _map_images(suppress: Callable, candidates: Candidates, size: int):
    """Runs `suppress(boxes, scores, classes)` on each image of a batch."""
    if candidates.scores.shape[0] == 1:
        kept = suppress(*(tensor[0] for tensor in candidates))
        kept = [tensor[tf.newaxis] for tensor in kept]
    else:
        kept = tf.map_fn(
            lambda image: tuple(suppress(*image)),
            tuple(candidates),
            fn_output_signature=(tf.int32, tf.float32, tf.int32),
        )
    indices, scores, valid_len = kept
    return tf.ensure_shape(indices, [None, size]), tf.ensure_shape(scores, [None, size]), valid_len
