"""Accuracies of classifiers: top-1 and top-5; for several labels an image, AP and F1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from efficientvision.evaluation.confidence import PerImage
from efficientvision.evaluation.details import unique_names
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


def single_label_per_image(
    image_ranks: np.ndarray, labels: np.ndarray, predicted: np.ndarray, names: Mapping[int, str]
) -> PerImage:
    """Results from which `top1`, `top5` and `F1_/<name>` of each class follow.

    Args:
        image_ranks: See `ranks`.
        labels: int [N], 0..K-1, or -1 for unknown.
        predicted: int [N], 0..K-1.
        names: Class number (1..K) -> name, complete.
    """
    order = list(unique_names(dict(names)).values())
    known, right = labels >= 0, labels == predicted
    tops = {"top1": 1, **({"top5": 5} if len(order) > 5 else {})}

    def count(which: np.ndarray, classes: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.bincount(classes[which], weights[which], minlength=len(order))

    def metrics(weights: np.ndarray) -> dict[str, float]:
        total = weights.sum()
        found = {name: float(weights[image_ranks < k].sum() / total) for name, k in tops.items()}
        true = count(known, labels, weights)
        either = true + count(known, predicted, weights)
        f1 = 2 * count(right, predicted, weights) / np.maximum(either, 1)
        found |= {f"F1_/{order[i]}": float(f1[i]) for i in np.flatnonzero(true)}
        return found

    return PerImage(len(labels), metrics, 4 * len(labels) + len(order), tuple(tops))


def multi_label_per_image(
    logits: np.ndarray, labels: np.ndarray, names: Mapping[int, str]
) -> PerImage:
    """Results from which `mAP`, `AP_/<name>` of each class and `F_O` follow.

    Args:
        logits: [N, K].
        labels: bool [N, K].
        names: Class number (1..K) -> name, complete.
    """
    order = list(unique_names(dict(names)).values())
    by_score = np.argsort(-logits, axis=0, kind="stable")
    scores = np.take_along_axis(logits, by_score, axis=0)
    is_right = np.take_along_axis(labels, by_score, axis=0)
    # Images with the same score count together: at the last of them.
    last = np.append(scores[:-1] != scores[1:], np.ones((1, scores.shape[1]), bool), axis=0)
    decided = logits > 0
    of_image = [part.sum(axis=1) for part in (decided & labels, decided, labels)]

    def metrics(weights: np.ndarray) -> dict[str, float]:
        drawn = weights[by_score]
        right = np.cumsum(drawn * is_right, axis=0)
        every = np.cumsum(drawn, axis=0)
        found = {}
        for k in np.flatnonzero(right[-1]):
            hits, seen = right[last[:, k], k], every[last[:, k], k]
            gain = np.diff(hits, prepend=0) / hits[-1]
            found[f"AP_/{order[k]}"] = float(np.sum(gain * hits / np.maximum(seen, 1)))
        found["mAP"] = float(np.mean(list(found.values()))) if found else 0.0
        hits, taken, true = (int(weights @ part) for part in of_image)
        return {**found, "F_O": 2 * hits / max(taken + true, 1)}

    return PerImage(len(labels), metrics, 3 * labels.size)
