"""How well a set of anchors covers a data set's boxes, and which anchors would cover them better.

A box that no anchor overlaps by half is learned from one anchor alone, its best; where most boxes
of a class are of that kind, the class is learned late or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from efficientvision.detection.anchors import AnchorLevel, anchor_levels
from efficientvision.detection.boxes import centers_and_sizes, divide_or_zero

COVERED_IOU = 0.5  # The matching's own threshold.
_MAX_SEARCHED = 3000
ANCHOR_SCALES = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0)
_CLEAR_GAIN = 0.05


def best_anchor_iou(boxes_yxyx: np.ndarray, **anchor_options: Any) -> np.ndarray:
    """IoU of each box with the anchor that overlaps it most; see `best_iou_of_levels`.

    Args:
        boxes_yxyx: [M, 4], pixels of the network input, inside it.
        **anchor_options: Arguments of `generate_anchors`.
    """
    return best_iou_of_levels(boxes_yxyx, anchor_levels(**anchor_options))


def best_iou_of_levels(boxes_yxyx: np.ndarray, levels: Sequence[AnchorLevel]) -> np.ndarray:
    """IoU of each box with the anchor that overlaps it most.

    Of the anchors of one shape, the one with the nearest centre overlaps a box most, so that a
    handful of anchors a box has to be looked at and not all of them.

    Args:
        boxes_yxyx: [M, 4], pixels of the network input, inside it.
        levels: Anchors, or SSD's priors (`priors.prior_levels`).

    Returns:
        float64 [M].
    """
    boxes = np.asarray(boxes_yxyx, np.float64)
    y, x, height, width = (side[:, None] for side in centers_and_sizes(boxes))
    best = np.zeros(len(boxes))
    for level in levels:
        intersection = 1.0
        for axis, (center, side) in enumerate(((y, height), (x, width))):
            cells, stride = level.cells_hw[axis], level.stride_yx[axis]
            nearest = np.clip(np.floor(center / stride), 0, cells - 1)
            distance = np.abs(center - (nearest + 0.5) * stride)
            anchor_side = level.sizes_hw[:, axis]
            overlap = np.minimum((side + anchor_side) / 2.0 - distance, side)
            intersection = intersection * np.clip(overlap, 0.0, anchor_side)
        union = height * width + level.sizes_hw.prod(axis=-1) - intersection
        best = np.maximum(best, divide_or_zero(intersection, union, xp=np).max(axis=-1))
    return best


def coverage(iou: np.ndarray, classes: np.ndarray) -> dict[int, float]:
    """Class -> share of its boxes whose best anchor overlaps them by half or more.

    Args:
        iou: [M], from `best_anchor_iou`.
        classes: int [M].
    """
    covered = iou >= COVERED_IOU
    return {int(c): float(covered[classes == c].mean()) for c in np.unique(classes)}


def suggest_anchors(
    boxes_yxyx: np.ndarray, classes: np.ndarray, **anchor_options: Any
) -> tuple[dict[str, Any], dict[int, float]]:
    """Searches for anchors that cover the boxes better.

    What counts is the mean over the classes of the share covered: a rare class of small
    objects is not given up for a frequent one of large objects. Tried are a dozen
    `anchor_scale`s, with the aspect ratios as they are and with those around which the boxes
    gather (k-means of log(width / height), as many as there are). The fewest changes within
    two points of the best win.

    Args:
        boxes_yxyx: [M, 4], pixels of the network input; of many, some thousand are looked at.
        classes: int [M].
        **anchor_options: The anchors in use, as arguments of `generate_anchors`.

    Returns:
        (changes, coverage): the hyper-parameters to change, empty if nothing is clearly better,
        and class -> share covered with them (on the boxes looked at).
    """
    chosen = np.random.default_rng(0).permutation(len(boxes_yxyx))[:_MAX_SEARCHED]
    boxes, classes = np.asarray(boxes_yxyx, np.float64)[chosen], np.asarray(classes)[chosen]
    ratios = cluster_aspect_ratios(boxes, len(anchor_options["aspect_ratios"]))

    def tried(**changes: Any) -> tuple[float, dict[str, Any], dict[int, float]]:
        shares = coverage(best_anchor_iou(boxes, **{**anchor_options, **changes}), classes)
        return float(np.mean(list(shares.values()))), changes, shares

    now = tried()
    by_scale = max((tried(anchor_scale=s) for s in ANCHOR_SCALES), key=_score)
    by_both = max((tried(anchor_scale=s, aspect_ratios=ratios) for s in ANCHOR_SCALES), key=_score)
    best = by_both if by_both[0] > by_scale[0] + _CLEAR_GAIN / 2 else by_scale
    if best[0] < now[0] + _CLEAR_GAIN:
        return {}, now[2]
    return best[1:]


def _score(attempt: tuple[float, dict, dict]) -> float:
    return attempt[0]


def cluster_aspect_ratios(boxes_yxyx: np.ndarray, count: int, rounds: int = 50) -> list[float]:
    """Widths over heights around which boxes gather, ascending, to two digits.

    One-dimensional k-means of log(width / height), begun at its quantiles. Fewer than `count`
    are given where two would be the same.
    """
    _, _, height, width = centers_and_sizes(np.asarray(boxes_yxyx, np.float64))
    values = np.log(width / height)
    centers = np.quantile(values, (np.arange(count) + 0.5) / count)
    for _ in range(rounds):
        nearest = np.abs(values[:, None] - centers).argmin(axis=-1)
        moved = [
            values[nearest == k].mean() if (nearest == k).any() else c
            for k, c in enumerate(centers)
        ]
        if np.allclose(moved, centers):
            break
        centers = np.array(moved)
    return sorted({float(f"{ratio:.2g}") for ratio in np.exp(centers)})
