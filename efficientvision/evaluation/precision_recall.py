"""Precision and recall per class as functions of the score threshold, and the best thresholds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from efficientvision.evaluation.object_matching import Collected, Matches

RECALLS = np.linspace(0.0, 1.0, 101)
THRESHOLDS = np.round(np.arange(0.01, 1.0, 0.01), 2)


class ClassCurve(NamedTuple):
    """True and false positives of a class as the score threshold falls.

    Attributes:
        num_objects: Number of objects of the class, without crowds.
        scores: float64 [n], scores of its detections in descending order.
        right: int [n], number of true positives up to each detection.
        wrong: int [n], number of false positives up to each detection.
    """

    num_objects: int
    scores: np.ndarray
    right: np.ndarray
    wrong: np.ndarray

    @property
    def precision(self) -> np.ndarray:
        """Precision, float64 [n]."""
        return self.right / np.maximum(self.right + self.wrong, 1)

    @property
    def recall(self) -> np.ndarray:
        """Recall, float64 [n]; 0 for a class without objects."""
        return self.right / max(self.num_objects, 1)

    @property
    def f1(self) -> np.ndarray:
        """F1, the harmonic mean of precision and recall, float64 [n]."""
        return 2 * self.right / np.maximum(self.right + self.wrong + self.num_objects, 1)

    def at(self, threshold: float) -> tuple[int, int]:
        """Returns (right, wrong) for detections with at least the score `threshold`."""
        count = np.searchsorted(-self.scores, -threshold, side="right")
        return (int(self.right[count - 1]), int(self.wrong[count - 1])) if count else (0, 0)


class OperatingPoint(NamedTuple):
    """A score threshold and the resulting scores of a class."""

    threshold: float
    precision: float
    recall: float
    f1: float


def class_curves(collected: Collected, matches: Matches) -> dict[int, ClassCurve]:
    """Returns the curve of every class."""
    objects = collected.truths[collected.truths[:, 5] == 0, 6]
    curves = {}
    for category in collected.categories:
        mine = (collected.detections[:, 6] == category) & ~matches.ignored
        scores = collected.detections[mine, 5]
        order = np.argsort(-scores, kind="stable")
        right = np.cumsum(matches.truth_of[mine][order] >= 0)
        wrong = np.arange(1, len(order) + 1) - right
        curves[category] = ClassCurve(int((objects == category).sum()), scores[order], right, wrong)
    return curves


def sampled(curve: ClassCurve) -> tuple[np.ndarray, np.ndarray]:
    """Samples precision and score threshold at the recalls `RECALLS`, like COCO.

    The precision at a recall is the best one at that recall or beyond; precision and score are 0
    if the recall is not reached.

    Returns:
        (precision float64 [101], scores float64 [101]).
    """
    envelope = np.maximum.accumulate(curve.precision[::-1])[::-1]
    places = np.searchsorted(curve.recall, RECALLS, side="left")
    reached = places < len(envelope)
    precision, scores = np.zeros(len(RECALLS)), np.zeros(len(RECALLS))
    precision[reached] = envelope[places[reached]]
    scores[reached] = curve.scores[places[reached]]
    return precision, scores


def best_f1(curve: ClassCurve) -> OperatingPoint | None:
    """Returns the threshold with the best F1; None without objects or true positives."""
    f1 = curve.f1
    # A threshold cannot separate detections with equal scores.
    f1[:-1][curve.scores[:-1] == curve.scores[1:]] = 0
    if not curve.num_objects or not f1.any():
        return None
    i = int(np.argmax(f1))
    return OperatingPoint(
        float(curve.scores[i]), float(curve.precision[i]), float(curve.recall[i]), float(f1[i])
    )


def f1_at_thresholds(curve: ClassCurve) -> np.ndarray:
    """F1 at each of `THRESHOLDS`, float64 [99], of a class that has objects."""
    counts = np.array([curve.at(threshold) for threshold in THRESHOLDS])
    right, wrong = counts.T
    return 2 * right / (right + wrong + curve.num_objects)


def common_threshold(curves: dict[int, ClassCurve]) -> float:
    """Returns the threshold (to 0.01) with the best mean F1 over the classes that have objects.

    Ties go to the middle threshold; 0.5 if there are no true positives at all.
    """
    means = np.zeros(len(THRESHOLDS))
    for curve in curves.values():
        if curve.num_objects:
            means += f1_at_thresholds(curve)
    if means.max() == 0:
        return 0.5
    best = np.flatnonzero(means >= means.max() - 1e-12)
    return float(THRESHOLDS[best[len(best) // 2]])
