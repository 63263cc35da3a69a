"""Computes detections from raw network outputs in numpy, for exports with `nms=none`.

Gives the same numbers as the NMS inside the other exports. Needs no TensorFlow.
"""

from __future__ import annotations

import numpy as np


def detect_ssd(
    confidences: np.ndarray,
    locations: np.ndarray,
    priors: np.ndarray,
    *,
    image_hw: tuple[int, int],
    **limits: float,
) -> np.ndarray:
    """Like `detect`, for the outputs of an SSD.

    Args:
        confidences: float32 [P, K + 1], background first.
        locations: float32 [P, 4]: x, y, width, height.
        priors: float32 [P, 4], fractions of the network input's sides: `priors.generate_priors`.
        image_hw: (height, width) of the network input, pixels.
        **limits: `iou_thresh`, `score_thresh`, `max_output_size`, `max_candidates`.
    """
    exponents = np.exp(confidences - confidences.max(axis=1, keepdims=True))
    scores = exponents[:, 1:] / exponents.sum(axis=1, keepdims=True)
    box_deltas = locations[:, [1, 0, 3, 2]] * np.float32([0.1, 0.1, 0.2, 0.2])
    sides = np.float32([*image_hw, *image_hw])
    return _detect(scores.max(axis=1), scores, box_deltas, priors * sides, **limits)


def detect(
    logits: np.ndarray,
    box_deltas: np.ndarray,
    anchors: np.ndarray,
    *,
    iou_thresh: float,
    score_thresh: float,
    max_output_size: int,
    max_candidates: int,
) -> np.ndarray:
    """Decodes the boxes of one image and applies hard per-class NMS.

    Each anchor is assigned its best class.

    Args:
        logits: float32 [A, K].
        box_deltas: float32 [A, 4].
        anchors: float32 [A, 4], pixels of the network input.
        iou_thresh: IoU above which the box with the lower score is dropped.
        score_thresh: Minimum score, exclusive.
        max_output_size: Maximum number of boxes to keep.
        max_candidates: Maximum number of boxes before NMS.

    Returns:
        float32 [max_output_size, 6]: ymin, xmin, ymax, xmax in pixels of the network input, score,
        class (1..K); best first, padded with zeros.
    """
    return _detect(
        _sigmoid(logits.max(axis=1)),
        logits,
        box_deltas,
        anchors,
        iou_thresh=iou_thresh,
        score_thresh=score_thresh,
        max_output_size=max_output_size,
        max_candidates=max_candidates,
    )


def _detect(
    scores,
    values,
    box_deltas,
    anchors,
    *,
    iou_thresh,
    score_thresh,
    max_output_size,
    max_candidates,
) -> np.ndarray:
    """Detects from scores [A], and values [A, K] whose maximum gives the class."""
    rows = np.flatnonzero(scores > score_thresh)
    if len(rows) > max_candidates:
        rows = rows[np.argpartition(-scores[rows], max_candidates)[:max_candidates]]
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    boxes = decode(box_deltas[rows], anchors[rows])
    classes = values[rows].argmax(axis=1)
    kept = suppress(boxes, classes, iou_thresh, max_output_size)
    result = np.zeros((max_output_size, 6), np.float32)
    result[: len(kept), :4] = boxes[kept]
    result[: len(kept), 4] = scores[rows[kept]]
    result[: len(kept), 5] = classes[kept] + 1
    return result


def decode(box_deltas: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Boxes [n, 4] of deltas [n, 4] = ty, tx, th, tw; see `boxes.decode`."""
    half = (anchors[:, 2:] - anchors[:, :2]) / 2.0
    center = (anchors[:, 2:] + anchors[:, :2]) / 2.0 + box_deltas[:, :2] * 2.0 * half
    with np.errstate(over="ignore"):
        half = half * np.exp(box_deltas[:, 2:])
    return np.concatenate([center - half, center + half], axis=1)


def suppress(
    boxes: np.ndarray, classes: np.ndarray, iou_thresh: float, max_output_size: int
) -> np.ndarray:
    """Applies hard per-class NMS and returns the indices of the boxes kept.

    Args:
        boxes: float32 [n, 4], best score first.
        classes: int [n].
        iou_thresh: IoU above which the later box is dropped.
        max_output_size: Maximum number of boxes to keep.
    """
    areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0), axis=1)
    alive = np.ones(len(boxes), bool)
    kept: list[int] = []
    # One round per kept box; each round compares it with all others at once.
    while len(kept) < max_output_size and alive.any():
        first = int(alive.argmax())
        kept.append(first)
        corner = np.maximum(boxes[first, :2], boxes[:, :2])
        sides = np.maximum(np.minimum(boxes[first, 2:], boxes[:, 2:]) - corner, 0.0)
        shared = sides[:, 0] * sides[:, 1]
        overlaps = shared > iou_thresh * (areas[first] + areas - shared)
        alive &= ~(overlaps & (classes == classes[first]))
        alive[first] = False
    return np.array(kept, int)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-logits))
