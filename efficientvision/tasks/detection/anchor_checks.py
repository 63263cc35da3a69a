"""Preflight checks of how well the anchors cover the boxes."""

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
    real_boxes,
    suggest_anchors,
    suggest_priors,
)
from efficientvision.tasks.detection.priors import prior_levels

_POOR_MEAN = 0.75
_POOR_CLASS = 0.5
_FEW = 10  # Classes with fewer boxes are not judged.
_SHOWN = 6


def anchor_findings(
    scan: RecordScan, anchor_options: Mapping[str, Any], names: Mapping[int, str]
) -> list[Finding]:
    """Share of boxes whose best anchor has IoU 0.5 or more; suggests anchors if it is low.

    Boxes are scaled as the photo is fitted into the network's input, without jitter.

    Args:
        scan: Scanned training records.
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
    """Share of boxes whose best SSD prior has IoU 0.5 or more; suggests sizes if it is low.

    Boxes are scaled as the photo is stretched to the network's input, without augmentation.

    Args:
        scan: Scanned training records.
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
    """Words the result of `suggest_anchors` or `suggest_priors` as advice."""
    if not changes:
        return f"no other {noun} are much better: raise image_size if the boxes are small"
    advice = f"try {_override(changes)}: {np.mean(list(better.values())):.0%} on average"
    if len(better) > 1:
        advice += f" over the classes ({_by_class(better, names)})"
    return advice


def _real_boxes(scan: RecordScan, fitted_hw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return real_boxes(scan.boxes_normalized_yxyx, scan.classes, scan.image_of, fitted_hw)


def _described(
    iou: np.ndarray, classes: np.ndarray, names: Mapping[int, str], noun: str
) -> tuple[str, bool]:
    """Returns (a sentence on how well the boxes are covered, whether that is good enough)."""
    shares = coverage(iou, classes)
    found = f"{(iou >= 0.5).mean():.0%} of the boxes overlap {noun} by half or more"
    if len(shares) > 1:
        found += f" ({_by_class(shares, names)})"
    counts = np.bincount(classes)
    weighty = [share for c, share in shares.items() if counts[c] >= _FEW] or list(shares.values())
    return found, np.mean(weighty) >= _POOR_MEAN and min(weighty) >= _POOR_CLASS


def _by_class(shares: Mapping[int, float], names: Mapping[int, str]) -> str:
    """Lists the shares by class, lowest first."""
    ordered = sorted(shares.items(), key=lambda item: item[1])
    shown = [f"{names.get(c, c)} {share:.0%}" for c, share in ordered[:_SHOWN]]
    return ", ".join(shown) + (", ..." if len(ordered) > _SHOWN else "")


def _override(changes: Mapping[str, Any]) -> str:
    """Formats the changes for the option `hparams`; list items are separated by `*`."""
    parts = [
        f"{name}={'*'.join(f'{v:g}' for v in value) if isinstance(value, list) else f'{value:g}'}"
        for name, value in changes.items()
    ]
    return ",".join(parts)
