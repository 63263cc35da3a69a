"""Measures how well anchors cover the boxes of a data set, and searches for better anchors.

A box without any anchor at IoU 0.5 or more is learned from its single best anchor. If that applies
to most boxes of a class, the class is learned late or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from efficientvision.data.boxes import centers_and_sizes, divide_or_zero
from efficientvision.tasks.detection.anchors import AnchorLevel, anchor_levels
from efficientvision.tasks.detection.priors import prior_levels

COVERED_IOU = 0.5  # The threshold of the matching.
_MAX_SEARCHED = 3000
ANCHOR_SCALES = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0)
PRIOR_MIN_SCALES = (0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1, 0.15, 0.2)
PRIOR_MAX_SCALES = (0.3, 0.45, 0.6, 0.75, 0.9, 1.05)
_CLEAR_GAIN = 0.05
_ABOUT_EQUAL, _TIED = 0.02, 0.003
_ROUNDS = 50  # Of k-means, if it does not converge before.


def real_boxes(
    boxes_normalized_yxyx: np.ndarray,
    classes: np.ndarray,
    image_of: np.ndarray,
    fitted_hw: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Scales boxes to the network's input, and drops invalid ones and those below a pixel.

    Args:
        boxes_normalized_yxyx: [M, 4], in 0..1.
        classes: int [M].
        image_of: int [M], index of each box's photo.
        fitted_hw: [N, 2], size of each photo in the input, pixels.

    Returns:
        (boxes float64 [n, 4] in pixels of the input, classes [n]).
    """
    boxes = np.clip(boxes_normalized_yxyx.astype(np.float64), 0.0, 1.0)
    boxes *= np.tile(fitted_hw, 2)[image_of]
    # Skip sub-pixel boxes: annotation errors.
    real = (np.isfinite(boxes).all(axis=-1)) & (boxes[:, 2:] - boxes[:, :2] >= 1.0).all(axis=-1)
    return boxes[real], classes[real]


def best_anchor_iou(boxes_yxyx: np.ndarray, **anchor_options: Any) -> np.ndarray:
    """IoU of each box with its best anchor; see `best_iou_of_levels`.

    Args:
        boxes_yxyx: [M, 4], pixels of the network input, inside it.
        **anchor_options: Arguments of `generate_anchors`.
    """
    return best_iou_of_levels(boxes_yxyx, anchor_levels(**anchor_options))


def best_iou_of_levels(boxes_yxyx: np.ndarray, levels: Sequence[AnchorLevel]) -> np.ndarray:
    """IoU of each box with its best anchor.

    Among anchors of one shape, the one with the nearest centre overlaps a box most, so only a
    handful of anchors per box need checking.

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
    """Maps each class to the share of its boxes whose best anchor has IoU 0.5 or more.

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

    The score is the covered share averaged over the classes, so a rare class of small objects is
    not sacrificed for a frequent one of large objects. The search tries a dozen `anchor_scale`s,
    with the present aspect ratios and with the cluster centres of the boxes' aspect ratios (k-means
    of log(width / height), the same number). Of scales that are equally good, the one closest to
    the present one wins; new aspect ratios must be clearly better.

    Args:
        boxes_yxyx: [M, 4], pixels of the network input; subsampled to a few thousand.
        classes: int [M].
        **anchor_options: The present anchors, as arguments of `generate_anchors`.

    Returns:
        (changes, coverage): Hyper-parameters to change, empty if nothing is clearly better, and
        class -> share covered after the change (for the sampled boxes).
    """
    boxes, classes = _some(boxes_yxyx, classes)
    ratios = cluster_aspect_ratios(boxes, len(anchor_options["aspect_ratios"]))

    def tried(**changes: Any) -> tuple[float, dict[str, Any], dict[int, float]]:
        shares = coverage(best_anchor_iou(boxes, **{**anchor_options, **changes}), classes)
        return float(np.mean(list(shares.values()))), changes, shares

    def nearest(**changes: Any) -> tuple[float, dict[str, Any], dict[int, float]]:
        attempts = [tried(anchor_scale=scale, **changes) for scale in ANCHOR_SCALES]
        highest = max(map(_score, attempts))
        good = [attempt for attempt in attempts if attempt[0] >= highest - _TIED]
        used = float(np.mean(anchor_options["anchor_scale"]))
        return min(good, key=lambda attempt: abs(np.log(attempt[1]["anchor_scale"] / used)))

    now = tried()
    by_scale, by_both = nearest(), nearest(aspect_ratios=ratios)
    best = by_both if by_both[0] > by_scale[0] + _CLEAR_GAIN / 2 else by_scale
    if best[0] < now[0] + _CLEAR_GAIN:
        return {}, now[2]
    return best[1:]


def suggest_priors(
    boxes_yxyx: np.ndarray, classes: np.ndarray, **prior_options: Any
) -> tuple[dict[str, Any], dict[int, float]]:
    """Searches for SSD prior sizes that cover the boxes better.

    The score is that of `suggest_anchors`. The search tries pairs of smallest and largest size;
    within two points of the best, the pair closest to the present one wins.

    Args:
        boxes_yxyx: [M, 4], pixels of the network input; subsampled to a few thousand.
        classes: int [M].
        **prior_options: The present priors, as arguments of `generate_priors`.

    Returns:
        (changes, coverage), as in `suggest_anchors`.
    """
    boxes, classes = _some(boxes_yxyx, classes)
    used = np.array([prior_options["min_scale"], prior_options["max_scale"]])

    def tried(least: float, most: float) -> tuple[float, dict[str, Any], dict[int, float]]:
        levels = prior_levels(prior_options["image_hw"], least, most)
        shares = coverage(best_iou_of_levels(boxes, levels), classes)
        changes = {"prior_min_scale": least, "prior_max_scale": most}
        return float(np.mean(list(shares.values()))), changes, shares

    now = tried(*used)
    attempts = [
        tried(least, most)
        for least in PRIOR_MIN_SCALES
        for most in PRIOR_MAX_SCALES
        if least < most
    ]
    highest = max(map(_score, attempts))
    if highest < now[0] + _CLEAR_GAIN:
        return {}, now[2]
    good = [attempt for attempt in attempts if attempt[0] >= highest - _ABOUT_EQUAL]
    nearest = min(good, key=lambda a: np.abs(np.log(list(a[1].values()) / used)).sum())
    return nearest[1:]


def _some(boxes_yxyx: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns a representative subset of boxes and classes."""
    chosen = np.random.default_rng(0).permutation(len(boxes_yxyx))[:_MAX_SEARCHED]
    return np.asarray(boxes_yxyx, np.float64)[chosen], np.asarray(classes)[chosen]


def _score(attempt: tuple[float, dict, dict]) -> float:
    return attempt[0]


def cluster_aspect_ratios(boxes_yxyx: np.ndarray, count: int) -> list[float]:
    """Clusters the boxes' aspect ratios (width / height); ascending, to two digits.

    One-dimensional k-means of log(width / height), initialised at its quantiles. Returns fewer than
    `count` values if two coincide.
    """
    _, _, height, width = centers_and_sizes(np.asarray(boxes_yxyx, np.float64))
    values = np.log(width / height)
    centers = np.quantile(values, (np.arange(count) + 0.5) / count)
    for _ in range(_ROUNDS):
        nearest = np.abs(values[:, None] - centers).argmin(axis=-1)
        moved = [
            values[nearest == k].mean() if (nearest == k).any() else c
            for k, c in enumerate(centers)
        ]
        if np.allclose(moved, centers):
            break
        centers = np.array(moved)
    return sorted({float(f"{ratio:.2g}") for ratio in np.exp(centers)})
