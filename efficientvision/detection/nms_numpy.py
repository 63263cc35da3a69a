"""Non-maximum suppression in numpy: the original's `pyfunc` path.

It knows two methods more than the graph (diou, linear), and counts corners as inclusive pixel
indices: a box from 0 to 9 is 10 pixels wide. Boxes are [n, 4] = ymin, xmin, ymax, xmax.

Source: `nms_np.py` of google/automl.
"""

from __future__ import annotations

import numpy as np

from efficientvision.detection import boxes as box_ops
from efficientvision.errors import UserError

METHODS = ("hard", "diou", "linear", "gaussian")
PADDING_SCORE = -1e5

_IOU_THRESH = {"hard": 0.5, "diou": 0.5, "linear": 0.3, "gaussian": 0.3}
_SIGMA = 0.5
_SOFT_SCORE_THRESH = 0.001


def _overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    return box_ops.iou(box, others, xp=np, pixel_extent=1.0)


def _center_penalty(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Squared distance of the centres over the squared diagonal of the enclosing box."""
    y, x, _, _ = box_ops.centers_and_sizes(box)
    other_y, other_x, _, _ = box_ops.centers_and_sizes(others)
    size = np.maximum(box[2:], others[:, 2:]) - np.minimum(box[:2], others[:, :2])
    distance = (y - other_y) ** 2 + (x - other_x) ** 2
    return box_ops.divide_or_zero(distance, np.sum(size**2, axis=-1), xp=np)


def suppress(
    boxes_yxyx: np.ndarray,
    scores: np.ndarray,
    *,
    method: str | None = "hard",
    iou_thresh: float | None = None,
    score_thresh: float | None = None,
    sigma: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Suppression among the boxes of one class of one image.

    Args:
        boxes_yxyx: float [n, 4], pixels.
        scores: float [n].
        method: "hard" (or empty): drops what overlaps; "diou": the same with the distance of
            the centres taken off the overlap (arXiv:1911.08287, section 3.3); "linear",
            "gaussian": lowers the scores (arXiv:1704.04503).
        iou_thresh: Overlap above which a box is dropped (hard, diou) or lowered (linear); None
            or 0: 0.5, 0.5, 0.3. The gaussian does not use it.
        score_thresh: linear and gaussian drop a box whose score falls below; None or 0: 0.001.
        sigma: Width of the gaussian exp(-iou^2 / sigma); None or 0: 0.5.

    Returns:
        (indices int [m], scores [m] after the decay), in the order of choice.

    Raises:
        UserError: Unknown method.
    """
    method = method or "hard"
    if method not in METHODS:
        raise UserError(f"Unknown nms_configs.method {method!r}; use one of {', '.join(METHODS)}.")
    iou_thresh = iou_thresh or _IOU_THRESH[method]
    soft = method in ("linear", "gaussian")
    scores = np.array(scores)
    remaining = np.argsort(-scores, kind="stable")
    indices, kept_scores = [], []
    while remaining.size:
        if soft:
            best = np.argmax(scores[remaining])
            top, remaining = remaining[best], np.delete(remaining, best)
        else:
            top, remaining = remaining[0], remaining[1:]
        indices.append(top)
        kept_scores.append(scores[top])
        overlap = _overlap(boxes_yxyx[top], boxes_yxyx[remaining])
        if method == "linear":
            scores[remaining] *= np.where(overlap > iou_thresh, 1.0 - overlap, 1.0)
        elif method == "gaussian":
            scores[remaining] *= np.exp(-(overlap**2) / (sigma or _SIGMA))
        elif method == "diou":
            overlap = overlap - _center_penalty(boxes_yxyx[top], boxes_yxyx[remaining])
        if soft:
            remaining = remaining[scores[remaining] >= (score_thresh or _SOFT_SCORE_THRESH)]
        else:
            remaining = remaining[overlap <= iou_thresh]
    return np.array(indices, np.int64), np.array(kept_scores, scores.dtype)


def suppress_per_class(
    boxes_yxyx: np.ndarray,
    scores: np.ndarray,
    classes: np.ndarray,
    *,
    max_output_size: int,
    method: str | None = "hard",
    iou_thresh: float | None = None,
    score_thresh: float | None = None,
    sigma: float | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Suppression within each class of one image, then the best of all classes.

    Args:
        boxes_yxyx: float [n, 4], pixels.
        scores: float [n].
        classes: int [n], 0..K-1.
        max_output_size: Rows of the result.
        method, iou_thresh, score_thresh, sigma: See `suppress`.

    Returns:
        (boxes_yxyx [max_output_size, 4], scores [max_output_size], classes
        [max_output_size] 1..K, number of detections), best score first. Padding rows are
        zeros with score -1e5.
    """
    found = []
    for label in np.unique(classes):
        members = np.nonzero(classes == label)[0]
        kept, kept_scores = suppress(
            boxes_yxyx[members],
            scores[members],
            method=method,
            iou_thresh=iou_thresh,
            score_thresh=score_thresh,
            sigma=sigma,
        )
        found.append((members[kept], kept_scores))
    indices = np.concatenate([np.zeros(0, np.int64), *(kept for kept, _ in found)])
    new_scores = np.concatenate([np.zeros(0, np.float32), *(kept for _, kept in found)])
    order = np.argsort(-new_scores, kind="stable")[:max_output_size]
    indices, count = indices[order], len(order)
    out_boxes = np.zeros((max_output_size, 4), np.float32)
    out_scores = np.full(max_output_size, PADDING_SCORE, np.float32)
    out_classes = np.zeros(max_output_size, np.int32)
    out_boxes[:count] = boxes_yxyx[indices]
    out_scores[:count] = new_scores[order]
    out_classes[:count] = classes[indices] + 1
    return out_boxes, out_scores, out_classes, count
