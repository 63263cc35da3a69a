"""PASCAL VOC detection metrics: average precision per class, by 11 points and by area."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from efficientvision.data import boxes as box_ops
from efficientvision.evaluation.object_matching import Collected, corners_yxyx, rows_by_image

IOU = 0.5
# Descriptions of the two means in `voc_metrics`.
MEANINGS = {
    "VOC07_mAP": "PASCAL VOC mAP of 2007, 11 points, IoU .50",
    "VOC_mAP": "PASCAL VOC mAP, area, IoU .50",
}
_POINTS = np.arange(0.0, 1.1, 0.1)


class VocScores(NamedTuple):
    """Average precisions by class number; None for a class without objects.

    Attributes:
        ap_07: 11-point AP, as in VOC 2007 to 2009.
        ap: Area under the curve, as in VOC 2010 and later.
    """

    ap_07: dict[int, float | None]
    ap: dict[int, float | None]

    @property
    def map_07(self) -> float | None:
        """Mean of `ap_07` over the classes with objects."""
        return _mean(self.ap_07)

    @property
    def map(self) -> float | None:
        """Mean of `ap` over the classes with objects."""
        return _mean(self.ap)


def voc_scores(collected: Collected) -> VocScores:
    """Scores detections like VOC's development kit.

    In each image the detections of a class are processed best score first, and each is compared
    with the object of its class that it overlaps most. Below an IoU of 0.5 it is a false positive;
    on an object marked difficult (or a crowd) it is ignored; on an object already found it is a
    false positive. Corners are inclusive pixel indices: a box from 0 to 9 is 10 pixels wide.

    Args:
        collected: Detections and ground truth in photo pixels.

    Source: Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC) Challenge", section 4.2.
    """
    right, ignored = _matched(collected)
    left_out = _left_out(collected)
    ap_07, ap = {}, {}
    for category in collected.categories:
        num_objects = int(((collected.truths[:, 6] == category) & ~left_out).sum())
        mine = np.flatnonzero((collected.detections[:, 6] == category) & ~ignored)
        order = mine[np.argsort(-collected.detections[mine, 5], kind="stable")]
        ap_07[category] = ap[category] = None
        if num_objects:
            found = np.cumsum(right[order])
            recall = found / num_objects
            precision = found / np.arange(1, len(order) + 1)
            ap_07[category] = _eleven_points(precision, recall)
            ap[category] = _area(precision, recall)
    return VocScores(ap_07, ap)


def voc_metrics(collected: Collected) -> dict[str, float]:
    """Returns the scores as metrics of an evaluation.

    Returns:
        `VOC07_mAP` and `VOC_mAP` (-1 without objects), then for each class with objects
        `VOC07_AP_/<name>` and `VOC_AP_/<name>`.
    """
    scores = voc_scores(collected)
    metrics = {}
    kinds = (("VOC07", scores.map_07, scores.ap_07), ("VOC", scores.map, scores.ap))
    for kind, mean, _ in kinds:
        metrics[f"{kind}_mAP"] = -1.0 if mean is None else mean
    for kind, _, values in kinds:
        for category, value in values.items():
            if value is not None:
                metrics[f"{kind}_AP_/{collected.categories[category]}"] = value
    return metrics


def format_voc_metrics(metrics: dict[str, float]) -> str:
    """Formats the result of `voc_metrics` as a table: the means, then the classes."""
    names = [name.removeprefix("VOC_AP_/") for name in metrics if name.startswith("VOC_AP_/")]
    width = max([24, *map(len, names)])
    rows = [("mean", metrics["VOC07_mAP"], metrics["VOC_mAP"])]
    rows += [(name, metrics[f"VOC07_AP_/{name}"], metrics[f"VOC_AP_/{name}"]) for name in names]
    lines = [f"{'PASCAL VOC, AP at IoU .50':<{width}}  11 points    area"]
    for name, *values in rows:
        lines.append(
            f"{name:<{width}}  "
            + "  ".join(
                f"{'-' if value < 0 else f'{100 * value:.1f}':>{column}}"
                for value, column in zip(values, (9, 6), strict=True)
            )
        )
    return "\n".join(lines)


def _left_out(collected: Collected) -> np.ndarray:
    """bool [M]: objects that are ignored in the evaluation."""
    crowds = collected.truths[:, 5] > 0
    return crowds if collected.difficult is None else crowds | collected.difficult


def _matched(collected: Collected) -> tuple[np.ndarray, np.ndarray]:
    """Returns (right, ignored), bool [N] each, for all detections."""
    right = np.zeros(len(collected.detections), bool)
    ignored = np.zeros(len(collected.detections), bool)
    left_out = _left_out(collected)
    taken = np.zeros(len(collected.truths), bool)
    for rows, truth_rows in rows_by_image(collected):
        found, truths = collected.detections[rows], collected.truths[truth_rows]
        overlaps = box_ops.iou(
            corners_yxyx(found)[:, None], corners_yxyx(truths)[None], xp=np, pixel_extent=1.0
        )
        overlaps[found[:, 6, None] != truths[None, :, 6]] = -1.0
        order = np.argsort(-found[:, 5], kind="stable")
        for i in order[(overlaps[order] >= IOU).any(axis=1)]:
            truth = truth_rows[int(np.argmax(overlaps[i]))]
            ignored[rows[i]] = left_out[truth]
            right[rows[i]] = not left_out[truth] and not taken[truth]
            taken[truth] = True
    return right, ignored


def _eleven_points(precision: np.ndarray, recall: np.ndarray) -> float:
    """Mean over the recalls 0, .1, ... 1 of the best precision at that recall or beyond."""
    return float(np.mean([precision[recall >= point].max(initial=0.0) for point in _POINTS]))


def _area(precision: np.ndarray, recall: np.ndarray) -> float:
    """Area under the monotonically decreasing envelope of the precision-recall curve."""
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope))


def _mean(values: dict[int, float | None]) -> float | None:
    known = [value for value in values.values() if value is not None]
    return float(np.mean(known)) if known else None
