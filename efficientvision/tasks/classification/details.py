"""Details behind a classifier's metrics: per-class tables, curves, the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from efficientvision.evaluation.details import (
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
from efficientvision.evaluation.precision_recall import best_f1
from efficientvision.evaluation.thresholds import found_thresholds
from efficientvision.tasks.classification.metrics import (
    average_precision,
    label_curve,
    label_scores,
)


def single_label_details(
    labels: np.ndarray, predicted: np.ndarray, names: Mapping[int, str]
) -> Details:
    """Details for one class per image.

    Facts: `task`, `images`. Tables: `per_class` (one row per class: images, precision, recall, F1;
    None without images) and `confusion_matrix` (rows: true class, columns: predicted class).

    Args:
        labels: int [N], 0..K-1; images of an unknown class (-1) are skipped.
        predicted: int [N], 0..K-1.
        names: Class number (1..K) -> name, complete.
    """
    names = unique_names(dict(names))
    known = labels >= 0
    matrix = np.zeros((len(names), len(names)), np.int64)
    np.add.at(matrix, (labels[known], predicted[known]), 1)
    right, true, decided = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    rows = [
        {
            "id": number,
            "class": name,
            "images": int(true[i]),
            "precision": float(right[i] / decided[i]) if decided[i] else None,
            "recall": float(right[i] / true[i]) if true[i] else None,
            "F1": float(2 * right[i] / (decided[i] + true[i])) if true[i] else None,
        }
        for i, (number, name) in enumerate(names.items())
    ]
    return Details(
        {"task": "classification", "images": len(labels)},
        {PER_CLASS: rows, CONFUSION: matrix_rows(matrix, list(names.values()))},
    )


def multi_label_details(
    scores: np.ndarray, labels: np.ndarray, names: Mapping[int, str]
) -> Details:
    """Details for any number of classes per image.

    Facts: `task`, `images`, `labels` (of all images), and `score_threshold`, the one with the best
    mean F1 over the classes. Tables: `per_class` (one row per class: images; AP, None without
    images; the threshold with the best F1 and its precision and recall; precision, recall and F1 at
    score 0.5), `pr_curves` (one row per class and recall 0, .01, ... 1) and `f1_curves` (one row
    per class and score threshold .01, .02, ... .99).

    Args:
        scores: float [N, K], 0..1.
        labels: bool [N, K].
        names: Class number (1..K) -> name, complete.
    """
    names = unique_names(dict(names))
    curves = {number: label_curve(scores[:, number - 1], labels[:, number - 1]) for number in names}
    thresholds = found_thresholds(curves)
    at_half = label_scores(scores > 0.5, labels)
    rows = []
    for number, curve in curves.items():
        best = best_f1(curve)
        i = number - 1
        rows.append(
            {
                "id": number,
                "class": names[number],
                "images": curve.num_objects,
                "AP": average_precision(curve),
                "F1": best and best.f1,
                "threshold": best and best.threshold,
                "precision": best and best.precision,
                "recall": best and best.recall,
                "F1 at .5": float(at_half.f1[i]),
            }
        )
    return Details(
        {
            "task": "classification",
            "images": len(labels),
            "labels": int(labels.sum()),
            "score_threshold": thresholds.default,
        },
        {
            PER_CLASS: rows,
            PR_CURVES: curve_rows(curves, names),
            F1_CURVES: f1_rows(curves, names),
        },
        thresholds,
    )
