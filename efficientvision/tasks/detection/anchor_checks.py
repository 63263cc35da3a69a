"""Anchors against the boxes that they are to find, as rows of the preflight's table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from efficientvision.preflight.findings import OK, WARNING, Finding
from efficientvision.preflight.record_scan import RecordScan
from efficientvision.tasks.detection.anchor_coverage import (
    best_anchor_iou,
    best_iou_of_levels,
    coverage,
    suggest_anchors,
    suggest_priors,
)
from efficientvision.tasks.detection.priors import prior_levels

_POOR_MEAN = 0.75
_POOR_CLASS = 0.5
_FEW = 10  # Boxes of a class that say nothing.
_SHOWN = 6


def anchor_findings(
    scan: RecordScan, anchor_options: Mapping[str, Any], names: Mapping[int, str]
) -> list[Finding]:
    """Share of the boxes whose best anchor overlaps them by half, and better anchors if it is low.

    Boxes are taken at the size in which the photo fills the network's input, without jitter.

    Args:
        scan: The training records.
        anchor_options: Arguments of `generate_anchors`.
        names: Class id -> name.
    """
    scale = np.min(np.array(anchor_options["image_hw"]) / scan.image_hw, axis=-1)
    boxes, classes = _real_boxes(scan, scan.image_hw * scale[:, None])
    if not len(boxes):
        return []
    iou = best_anchor_iou(boxes, **anchor_options)
    found, good = _described(iou, classes, names, "an anchor")
    if good:
        return [Finding(OK, "anchors", found)]
    suggestion = suggest_anchors(boxes, classes, **anchor_options)
    return [Finding(WARNING, "anchors", found, _advice("anchors", *suggestion, names))]


def prior_findings(
    scan: RecordScan, prior_options: Mapping[str, Any], names: Mapping[int, str]
) -> list[Finding]:
    """Share of the boxes that an SSD's best prior overlaps by half, and better sizes if it is low.

    Boxes are taken as they stand in the photo stretched to the network's input, not augmented.

    Args:
        scan: The training records.
        prior_options: Arguments of `generate_priors`.
        names: Class id -> name.
    """
    boxes, classes = _real_boxes(
        scan, np.broadcast_to(prior_options["image_hw"], scan.image_hw.shape)
    )
    if not len(boxes):
        return []
    iou = best_iou_of_levels(boxes, prior_levels(**prior_options))
    found, good = _described(iou, classes, names, "a prior")
    if good:
        return [Finding(OK, "priors", found)]
    suggestion = suggest_priors(boxes, classes, **prior_options)
    return [Finding(WARNING, "priors", found, _advice("priors", *suggestion, names))]


def _advice(
    noun: str, changes: Mapping[str, Any], better: Mapping[int, float], names: Mapping[int, str]
) -> str:
    """What to do, by what `suggest_anchors` or `suggest_priors` found."""
    if not changes:
        return f"no {noun} are much better: raise image_size if the boxes are small"
    advice = f"try {_override(changes)}: {np.mean(list(better.values())):.0%} in the mean"
    if len(better) > 1:
        advice += f" over the classes ({_by_class(better, names)})"
    return advice


def _real_boxes(scan: RecordScan, fitted_hw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(boxes float64 [n, 4] in pixels of the input, classes [n]); `fitted_hw` [images, 2]."""
    boxes = np.clip(scan.boxes_normalized_yxyx.astype(np.float64), 0.0, 1.0)
    boxes *= np.tile(fitted_hw, 2)[scan.image_of]
    # Skip sub-pixel boxes: annotation errors.
    real = (np.isfinite(boxes).all(axis=-1)) & (boxes[:, 2:] - boxes[:, :2] >= 1.0).all(axis=-1)
    return boxes[real], scan.classes[real]


def _described(
    iou: np.ndarray, classes: np.ndarray, names: Mapping[int, str], noun: str
) -> tuple[str, bool]:
    """(a sentence on how well boxes are covered, whether that is well enough)."""
    shares = coverage(iou, classes)
    found = f"{(iou >= 0.5).mean():.0%} of the boxes overlap {noun} by half or more"
    if len(shares) > 1:
        found += f" ({_by_class(shares, names)})"
    counts = np.bincount(classes)
    weighty = [share for c, share in shares.items() if counts[c] >= _FEW] or list(shares.values())
    return found, np.mean(weighty) >= _POOR_MEAN and min(weighty) >= _POOR_CLASS


def _by_class(shares: Mapping[int, float], names: Mapping[int, str]) -> str:
    """The classes' shares, the lowest first."""
    ordered = sorted(shares.items(), key=lambda item: item[1])
    shown = [f"{names.get(c, c)} {share:.0%}" for c, share in ordered[:_SHOWN]]
    return ", ".join(shown) + (", ..." if len(ordered) > _SHOWN else "")


def _override(changes: Mapping[str, Any]) -> str:
    """The changes as `--hparams` takes them; items of a list are separated by `*`."""
    parts = [
        f"{name}={'*'.join(f'{v:g}' for v in value) if isinstance(value, list) else f'{value:g}'}"
        for name, value in changes.items()
    ]
    return ",".join(parts)
