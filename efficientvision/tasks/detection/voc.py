"""PASCAL VOC's metrics of detections: average precision of each class, by 11 points and by area."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from efficientvision.data import boxes as box_ops
from efficientvision.evaluation.object_matching import Collected, corners_yxyx, rows_by_image

IOU = 0.5
# Of the two means of `voc_metrics`.
MEANINGS = {
    "VOC07_mAP": "PASCAL VOC mAP of 2007, 11 points, IoU .50",
    "VOC_mAP": "PASCAL VOC mAP, area, IoU .50",
}
_POINTS = np.arange(0.0, 1.1, 0.1)


class VocScores(NamedTuple):
    """Average precisions by class number; None for a class without objects.

    Attributes:
        ap_07: By the 11 points of VOC 2007 to 2009.
        ap: The area under the curve, of VOC 2010 and after.
    """

    ap_07: dict[int, float | None]
    ap: dict[int, float | None]

    @property
    def map_07(self) -> float | None:
        """The mean of `ap_07` over the classes with objects."""
        return _mean(self.ap_07)

    @property
    def map(self) -> float | None:
        """The mean of `ap` over the classes with objects."""
        return _mean(self.ap)


def voc_scores(collected: Collected, iou: float = IOU) -> VocScores:
    """Scores detections as VOC's development kit does.

    On each image the detections of a class take turns, best score first; each looks at the object
    of its class that it overlaps most. Below `iou` it is wrong; an object marked difficult (or a
    crowd) neither counts nor harms; an object that was found before makes it wrong. Corners are
    inclusive pixel indices: a box from 0 to 9 is 10 pixels wide.

    Args:
        collected: Detections and ground truth, in pixels of the photos.
        iou: Least overlap.

    Source: Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC) Challenge", section 4.2.
    """
    right, ignored = _matched(collected, iou)
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
    """The scores as metrics of an evaluation.

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
    """A table of what `voc_metrics` returns: the means, then the classes."""
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
    """bool [M]: objects that nobody needs to find."""
    crowds = collected.truths[:, 5] > 0
    return crowds if collected.difficult is None else crowds | collected.difficult


def _matched(collected: Collected, iou: float) -> tuple[np.ndarray, np.ndarray]:
    """(right, ignored), bool [N] each: what became of every detection."""
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
        for i in order[(overlaps[order] >= iou).any(axis=1)]:
            truth = truth_rows[int(np.argmax(overlaps[i]))]
            ignored[rows[i]] = left_out[truth]
            right[rows[i]] = not left_out[truth] and not taken[truth]
            taken[truth] = True
    return right, ignored


def _eleven_points(precision: np.ndarray, recall: np.ndarray) -> float:
    """Mean of the best precision at each of the recalls 0, .1, ... 1 or beyond."""
    return float(np.mean([precision[recall >= point].max(initial=0.0) for point in _POINTS]))


def _area(precision: np.ndarray, recall: np.ndarray) -> float:
    """Area under the curve whose precision never rises with the recall."""
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope))


def _mean(values: dict[int, float | None]) -> float | None:
    known = [value for value in values.values() if value is not None]
    return float(np.mean(known)) if known else None
