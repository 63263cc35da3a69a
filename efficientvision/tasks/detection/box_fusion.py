"""Weighted box fusion: one set of detections from several models or views (arXiv:1910.13302)."""

from __future__ import annotations

import numpy as np

from efficientvision.data import boxes as box_ops

DEFAULT_IOU_THRESH = 0.55


def fuse_boxes(
    boxes_yxyx: np.ndarray,
    scores: np.ndarray,
    classes: np.ndarray,
    *,
    num_models: int,
    iou_thresh: float = DEFAULT_IOU_THRESH,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fuses the detections that several models found on one image.

    Each detection, in the order given, joins the cluster of its class whose fused box overlaps
    it most, if by at least `iou_thresh`, or opens one. A fused box is the average of its
    cluster's boxes weighted by score; its score is their mean score, lowered where fewer boxes
    than models agree.

    Args:
        boxes_yxyx: float [n, 4]: the detections of all models, pixels; usually best score first.
        scores: float [n], positive.
        classes: int [n].
        num_models: How many models gave the detections.
        iou_thresh: Least overlap of the members of a cluster.

    Returns:
        (boxes_yxyx float32 [m, 4], scores float32 [m], classes int32 [m]), best score first.

    Source: `tf2/wbf.py` of google/automl.
    """
    boxes = np.asarray(boxes_yxyx, np.float32).reshape(-1, 4)
    scores = np.asarray(scores, np.float32)
    labels, label_of = np.unique(classes, return_inverse=True)
    fused_boxes = [np.zeros((0, 4), np.float32)]
    fused_scores = [np.zeros(0, np.float32)]
    fused_classes = [np.zeros(0, np.int32)]
    for index, label in enumerate(labels):
        members = label_of == index
        averages, means, sizes = _clusters(boxes[members], scores[members], iou_thresh)
        fused_boxes.append(averages)
        fused_scores.append(means * np.minimum(1.0, sizes / num_models))
        fused_classes.append(np.full(len(means), label, np.int32))
    all_scores = np.concatenate(fused_scores).astype(np.float32)
    order = np.argsort(-all_scores, kind="stable")
    return (
        np.concatenate(fused_boxes)[order],
        all_scores[order],
        np.concatenate(fused_classes)[order],
    )


def fuse_views(
    boxes_yxyx: np.ndarray,
    scores: np.ndarray,
    classes: np.ndarray,
    valid_len: np.ndarray,
    *,
    max_output_size: int,
    iou_thresh: float = DEFAULT_IOU_THRESH,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Fuses the detections of several views (or models) of one image: V sets of N rows.

    Args:
        boxes_yxyx: float [V, N, 4], pixels of the image.
        scores: float [V, N].
        classes: int [V, N].
        valid_len: int [V]: how many rows of each view count; the rest is padding.
        max_output_size: Rows of the result.
        iou_thresh: See `fuse_boxes`.

    Returns:
        (boxes_yxyx float32 [max_output_size, 4], scores float32 [max_output_size], classes int32
        [max_output_size], valid_len), best score first; padding is zeros.
    """
    num_views, rows = scores.shape
    real = np.arange(rows) < np.asarray(valid_len)[:, np.newaxis]
    order = np.argsort(-scores[real], kind="stable")
    found = fuse_boxes(
        boxes_yxyx[real][order],
        scores[real][order],
        classes[real][order],
        num_models=num_views,
        iou_thresh=iou_thresh,
    )
    count = min(len(found[1]), max_output_size)
    padded = (
        np.concatenate(
            [part[:count], np.zeros((max_output_size - count, *part.shape[1:]), part.dtype)]
        )
        for part in found
    )
    return *padded, count


def _clusters(
    boxes: np.ndarray, scores: np.ndarray, iou_thresh: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Average boxes [m, 4], mean scores [m] and sizes [m] of the clusters of one class.

    Which cluster a box joins depends on all boxes before it, hence the loop; what it is compared
    with is updated in place.
    """
    averages = np.zeros_like(boxes)
    weighted, weights = np.zeros(boxes.shape, np.float64), np.zeros(len(boxes), np.float64)
    sizes = np.zeros(len(boxes), np.int64)
    count = 0
    for box, score in zip(boxes, scores, strict=True):
        overlap = box_ops.iou(box, averages[:count], xp=np)
        best = int(np.argmax(overlap)) if count else -1
        if best < 0 or overlap[best] < iou_thresh:
            best, count = count, count + 1
        weighted[best] += box.astype(np.float64) * score
        weights[best] += score
        sizes[best] += 1
        averages[best] = weighted[best] / weights[best]
    return averages[:count], (weights[:count] / sizes[:count]).astype(np.float32), sizes[:count]
