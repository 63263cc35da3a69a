"""Accuracies of classifiers: top-1 and top-5; for several labels an image, AP and F1."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from efficientvision.evaluation.precision_recall import ClassCurve

MEANINGS = {
    "top1": "share of the images whose class is the first guess",
    "top5": "share of the images whose class is among the first five guesses",
    "mAP": "mean over the classes of the average precision",
    "P_C": "precision at score .5, mean over the classes",
    "R_C": "recall at score .5, mean over the classes",
    "F_C": "F1 at score .5, mean over the classes",
    "P_O": "precision at score .5 of all labels together",
    "R_O": "recall at score .5 of all labels together",
    "F_O": "F1 at score .5 of all labels together",
    "val_loss": "cross entropy of the evaluation images",
}


def ranks(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes an image's true class is beaten by, int64 [N]; K where it is unknown.

    Of classes with equal logits the one with the lower number comes first.

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
    """Share (0..1) of the images whose true class is among the first `k`."""
    return float(np.mean(image_ranks < k)) if len(image_ranks) else 0.0


class LabelScores(NamedTuple):
    """Precision, recall and F1 of decisions about labels, 0..1.

    Attributes:
        precision, recall, f1: float64 [K], of each class; 0 where nothing is right.
        overall_precision, overall_recall, overall_f1: of all decisions together.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    overall_precision: float
    overall_recall: float
    overall_f1: float


def label_scores(decided: np.ndarray, labels: np.ndarray) -> LabelScores:
    """Scores of decisions, by the definitions of EdgeNets' `validate_multi`.

    A class of which nothing is right has precision, recall and F1 0, so that all classes count in
    their means, those that do not occur included.

    Args:
        decided: bool [N, K], the classes that an image was said to have (EdgeNets: logit > 0).
        labels: bool [N, K], those that it has.
    """
    labels = labels.astype(bool)
    right = (decided & labels).sum(axis=0).astype(np.float64)
    said, true = decided.sum(axis=0), labels.sum(axis=0)
    return LabelScores(
        right / np.maximum(said, 1),
        right / np.maximum(true, 1),
        2 * right / np.maximum(said + true, 1),
        float(right.sum() / max(said.sum(), 1)),
        float(right.sum() / max(true.sum(), 1)),
        float(2 * right.sum() / max(said.sum() + true.sum(), 1)),
    )


def label_curve(scores: np.ndarray, labels: np.ndarray) -> ClassCurve:
    """What happens to a class as the score threshold falls.

    Args:
        scores: float [N], the class's score for each image.
        labels: bool [N], whether the image has it.
    """
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(labels.astype(bool)[order])
    wrong = np.arange(1, len(order) + 1) - right
    return ClassCurve(int(labels.sum()), scores[order].astype(np.float64), right, wrong)


def average_precision(curve: ClassCurve) -> float | None:
    """Area under precision over recall, without interpolation; None for a class without images.

    AP = sum over the thresholds of (recall gained) x precision; images of one score come together.
    """
    if not curve.num_objects:
        return None
    last = np.append(curve.scores[:-1] != curve.scores[1:], True)
    recall, precision = curve.recall[last], curve.precision[last]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))
