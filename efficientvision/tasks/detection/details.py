"""Details behind a detector's metrics: per-class tables, curves, the confusion matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from efficientvision.evaluation.confusion import Outcomes, confusion_matrix, outcomes
from efficientvision.evaluation.details import (
    BACKGROUND,
    CONFUSION,
    F1_CURVES,
    PER_CLASS,
    PR_CURVES,
    Details,
    curve_rows,
    f1_rows,
    matrix_rows,
    unique_names,
)
from efficientvision.evaluation.object_matching import Collected, match_objects
from efficientvision.evaluation.precision_recall import (
    ClassCurve,
    best_f1,
    class_curves,
)
from efficientvision.evaluation.thresholds import found_thresholds
from efficientvision.tasks.detection.coco_backends import BoxScores

IOU = 0.5


def detection_details(collected: Collected, scores: BoxScores) -> tuple[Details, Outcomes]:
    """Details of detections, all at IoU .50 except the averages in `scores`.

    Facts: `images`, `objects` (without crowds), `detections`, `iou`, and `score_threshold`, the one
    with the best mean F1 over the classes.

    Tables: `per_class` (one row per class: counts; COCO averages, None without objects; and the
    threshold with the best F1 and its precision and recall), `pr_curves` (one row per class and
    recall 0, .01, ... 1: precision and score threshold), `f1_curves` (one row per class and score
    threshold .01, .02, ... .99) and `confusion_matrix` (one row per true class, at
    `score_threshold`; see `confusion.confusion_matrix`).

    Returns:
        The details, and the fate of each object and detection at `score_threshold`.
    """
    matches = match_objects(collected, IOU)
    curves = class_curves(collected, matches)
    names = unique_names(dict(collected.categories))
    thresholds = found_thresholds(curves)
    threshold = thresholds.default
    outcome = outcomes(collected, matches, threshold, IOU)
    matrix = confusion_matrix(collected, outcome)
    details = Details(
        {
            "images": collected.num_images,
            "objects": int((collected.truths[:, 5] == 0).sum()),
            "detections": len(collected.detections),
            "iou": IOU,
            "score_threshold": threshold,
        },
        {
            PER_CLASS: _per_class(collected, curves, names, scores),
            PR_CURVES: curve_rows(curves, names),
            F1_CURVES: f1_rows(curves, names),
            CONFUSION: matrix_rows(matrix, [*names.values(), BACKGROUND]),
        },
        thresholds,
    )
    return details, outcome


def _per_class(
    collected: Collected, curves: dict[int, ClassCurve], names: dict[int, str], scores: BoxScores
) -> list[dict[str, Any]]:
    objects = collected.truths[collected.truths[:, 5] == 0]
    positions = {category: i for i, category in enumerate(scores.category_ids)}
    rows = []
    for category, curve in curves.items():
        mine = objects[objects[:, 6] == category]
        best = best_f1(curve)
        i = positions[category]
        averages = {
            "AP": scores.ap[i],
            "AP50": scores.ap50[i],
            "AP75": scores.ap75[i],
            "AR": scores.ar[i],
        }
        rows.append(
            {
                "id": category,
                "class": names[category],
                "images": len(np.unique(mine[:, 0])),
                "instances": len(mine),
                **{k: None if np.isnan(v) else float(v) for k, v in averages.items()},
                "F1": best and best.f1,
                "threshold": best and best.threshold,
                "precision": best and best.precision,
                "recall": best and best.recall,
            }
        )
    return rows
