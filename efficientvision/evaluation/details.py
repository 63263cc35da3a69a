"""The numbers behind a metric: tables per class, curves, confusion matrices."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from efficientvision.evaluation.precision_recall import RECALLS, ClassCurve, sampled

PER_CLASS = "per_class"
PR_CURVES = "pr_curves"
CONFUSION = "confusion_matrix"
BACKGROUND = "(background)"
TRUTH_COLUMN = "truth"


class Details(NamedTuple):
    """Everything about an evaluation that is more than a metric.

    Attributes:
        facts: Single values by name.
        tables: Rows by the table's name; every row of a table has the same keys.
    """

    facts: dict[str, Any]
    tables: dict[str, list[dict[str, Any]]]


def unique_names(names: dict[int, str]) -> dict[int, str]:
    """The names, with their number where two classes share one."""
    seen = list(names.values())
    return {i: f"{name} ({i})" if seen.count(name) > 1 else name for i, name in names.items()}


def curve_rows(curves: dict[int, ClassCurve], names: dict[int, str]) -> list[dict[str, Any]]:
    """Rows of `pr_curves`: precision and score of each class at the recalls 0, .01, ... 1."""
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


def matrix_rows(matrix: np.ndarray, labels: list[str]) -> list[dict[str, Any]]:
    """Rows of `confusion_matrix`: the counts of each true class by column."""
    return [
        {TRUTH_COLUMN: label, **dict(zip(labels, counts.tolist(), strict=True))}
        for label, counts in zip(labels, matrix, strict=True)
    ]
