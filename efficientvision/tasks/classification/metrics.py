"""Accuracies of classifiers: top-1 and top-5; for several labels an image, AP and F1."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from efficientvision.evaluation.precision_recall import ClassCurve

MEANINGS = {
    "top1": "share of images whose class is predicted first",
    "top5": "share of images whose class is among the top five predictions",
    "mAP": "average precision, mean over the classes",
    "P_C": "precision at score .5, mean over the classes",
    "R_C": "recall at score .5, mean over the classes",
    "F_C": "F1 at score .5, mean over the classes",
    "P_O": "precision at score .5, all labels together",
    "R_O": "recall at score .5, all labels together",
    "F_O": "F1 at score .5, all labels together",
    "val_loss": "cross entropy on the evaluation images",
}


def ranks(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Rank of the true class among the logits, int64 [N], from 0; K where it is unknown.

    Ties go to the lower class number.

    Args:
        logits: [N, K].
        labels: int [N], 0..K-1, or -1 for unknown.
    """
    num_classes = logits.shape[-1]
    known = labels >= 0
    true = np.take_along_axis(logits, np.maximum(labels, 0)[:, None], axis=-1)
    earlier = np.arange(num_classes) < labels[:, None]
    beaten = (logits > true) | ((logits == true) & earlier)
    return np.where(known, beaten.sum(axis=-1), num_classes)


def topk_accuracy(image_ranks: np.ndarray, k: int) -> float:
    """Share (0..1) of images whose true class is among the top `k`."""
    return float(np.mean(image_ranks < k)) if len(image_ranks) else 0.0


class LabelScores(NamedTuple):
    """Precision, recall and F1 of label decisions, 0..1.

    Attributes:
        precision, recall, f1: float64 [K], per class; 0 without true positives.
        overall_precision, overall_recall, overall_f1: Over all decisions together.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    overall_precision: float
    overall_recall: float
    overall_f1: float


def label_scores(decided: np.ndarray, labels: np.ndarray) -> LabelScores:
    """Scores label decisions as EdgeNets' `validate_multi` does.

    A class without true positives has precision, recall and F1 of 0, so the means cover all
    classes, including those that do not occur.

    Args:
        decided: bool [N, K], predicted labels (EdgeNets: logit > 0).
        labels: bool [N, K], true labels.
    """
    labels = labels.astype(bool)
    right = (decided & labels).sum(axis=0).astype(np.float64)
    predicted, true = decided.sum(axis=0), labels.sum(axis=0)
    return LabelScores(
        right / np.maximum(predicted, 1),
        right / np.maximum(true, 1),
        2 * right / np.maximum(predicted + true, 1),
        float(right.sum() / max(predicted.sum(), 1)),
        float(right.sum() / max(true.sum(), 1)),
        float(2 * right.sum() / max(predicted.sum() + true.sum(), 1)),
    )


def label_curve(scores: np.ndarray, labels: np.ndarray) -> ClassCurve:
    """Counts a class's true and false positives as the score threshold falls.

    Args:
        scores: float [N], score of the class for each image.
        labels: bool [N], whether the image has it.
    """
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(labels.astype(bool)[order])
    wrong = np.arange(1, len(order) + 1) - right
    return ClassCurve(int(labels.sum()), scores[order].astype(np.float64), right, wrong)


def average_precision(curve: ClassCurve) -> float | None:
    """Area under the precision-recall curve, not interpolated; None for a class without images.

    AP = sum over thresholds of (gain in recall) x precision; equal scores count together.
    """
    if not curve.num_objects:
        return None
    last = np.append(curve.scores[:-1] != curve.scores[1:], True)
    recall, precision = curve.recall[last], curve.precision[last]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))
