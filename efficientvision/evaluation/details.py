"""Details behind the metrics: per-class tables, curves, confusion matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from efficientvision.evaluation.precision_recall import (
    RECALLS,
    THRESHOLDS,
    ClassCurve,
    f1_at_thresholds,
    sampled,
)

if TYPE_CHECKING:
    from efficientvision.evaluation.thresholds import ScoreThresholds

PER_CLASS = "per_class"
PR_CURVES = "pr_curves"
F1_CURVES = "f1_curves"
CONFUSION = "confusion_matrix"
BACKGROUND = "(background)"
TRUTH_COLUMN = "truth"


class Details(NamedTuple):
    """Results of an evaluation beyond its metrics.

    Attributes:
        facts: Single values by name.
        tables: Table name -> rows; all rows of a table have the same keys.
        thresholds: Minimum scores with the best F1; None for results without scores.
    """

    facts: dict[str, Any]
    tables: dict[str, list[dict[str, Any]]]
    thresholds: ScoreThresholds | None = None


def unique_names(names: dict[int, str]) -> dict[int, str]:
    """Makes class names unique by appending the class number to repeated names."""
    seen = list(names.values())
    return {i: f"{name} ({i})" if seen.count(name) > 1 else name for i, name in names.items()}


def curve_rows(curves: dict[int, ClassCurve], names: dict[int, str]) -> list[dict[str, Any]]:
    """Returns the rows of `pr_curves`: precision and score per class at recall 0, .01, ... 1."""
    rows = []
    for category, curve in curves.items():
        if not curve.num_objects:
            continue
        for recall, precision, score in zip(RECALLS, *sampled(curve), strict=True):
            rows.append(
                {
                    "class": names[category],
                    "recall": float(recall),
                    "precision": float(precision),
                    "score": float(score),
                }
            )
    return rows


def f1_rows(curves: dict[int, ClassCurve], names: dict[int, str]) -> list[dict[str, Any]]:
    """Returns the rows of `f1_curves`: F1 per class at the score thresholds .01, .02, ... .99."""
    return [
        {"class": names[category], "threshold": float(threshold), "F1": float(f1)}
        for category, curve in curves.items()
        if curve.num_objects
        for threshold, f1 in zip(THRESHOLDS, f1_at_thresholds(curve), strict=True)
    ]


def matrix_rows(matrix: np.ndarray, labels: list[str]) -> list[dict[str, Any]]:
    """Returns the rows of `confusion_matrix`: counts of each true class by predicted class."""
    return [
        {TRUTH_COLUMN: label, **dict(zip(labels, counts.tolist(), strict=True))}
        for label, counts in zip(labels, matrix, strict=True)
    ]
