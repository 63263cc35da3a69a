"""Weighted box fusion: one set of detections from several models (arXiv:1910.13302)."""

from __future__ import annotations

import numpy as np

from efficientvision.detection import boxes as box_ops


def fuse_boxes(
    boxes_yxyx: np.ndarray,
    scores: np.ndarray,
    classes: np.ndarray,
    *,
    num_models: int,
    iou_thresh: float = 0.55,
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
    boxes = np.asarray(boxes_yxyx, np.float32)
    scores = np.asarray(scores, np.float32)
    fused = []
    for label in np.unique(classes):
        clusters: list[list[int]] = []
        averages = np.zeros((0, 4), np.float32)
        for member in np.nonzero(classes == label)[0]:
            overlap = box_ops.iou(boxes[member], averages, xp=np)
            best = int(np.argmax(overlap)) if len(overlap) else -1
            if best >= 0 and overlap[best] >= iou_thresh:
                clusters[best].append(member)
                averages[best] = _weighted_average(boxes, scores, clusters[best])
            else:
                clusters.append([member])
                averages = np.concatenate([averages, boxes[None, member]])
        for box, cluster in zip(averages, clusters, strict=True):
            agreement = min(1.0, len(cluster) / num_models)
            fused.append((box, scores[cluster].mean() * agreement, label))
    fused.sort(key=lambda row: -row[1])
    return (
        np.array([row[0] for row in fused], np.float32).reshape(-1, 4),
        np.array([row[1] for row in fused], np.float32),
        np.array([row[2] for row in fused], np.int32),
    )


def _weighted_average(boxes: np.ndarray, scores: np.ndarray, members: list[int]) -> np.ndarray:
    weights = scores[members]
    return (boxes[members] * weights[:, None]).sum(axis=0) / weights.sum()
