"""Evaluation of a classifier: accuracies, their details, photos with predictions."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from efficientvision.evaluation.confidence import PerImage
from efficientvision.evaluation.details import Details
from efficientvision.evaluation.shown import shown_metric
from efficientvision.evaluation.worst import Worst
from efficientvision.tasks.classification.details import multi_label_details, single_label_details
from efficientvision.tasks.classification.metrics import (
    MEANINGS,
    average_precision,
    label_curve,
    label_scores,
    multi_label_per_image,
    ranks,
    single_label_per_image,
    topk_accuracy,
)
from efficientvision.tasks.training_task import VAL_LOSS, Evaluation, Mistake
from efficientvision.visualize.sheet import Picture, fit, titled

_SHOWN_PHOTOS = 12
_SIDE = 320
_MISTAKES = 20


class _Photo(NamedTuple):
    """An image to show: its name, uint8 pixels, logits [K] and labels."""

    name: str
    image: np.ndarray
    logits: np.ndarray
    labels: np.ndarray


class _ClassificationEvaluation(Evaluation):
    """Common base of both evaluations: collects every batch and a few fixed photos.

    Args:
        names: Class number (1..K) -> name.
        num_images: Number of images to come, if known, for choosing the same few photos to show
            in every evaluation.
    """

    def __init__(self, names: Mapping[int, str], num_images: int | None = None):
        self._names = dict(names)
        last = num_images or _SHOWN_PHOTOS
        self._shown = set(np.linspace(0, last - 1, min(_SHOWN_PHOTOS, last)).round().astype(int))
        self._photos: list[_Photo] = []
        self._worst: Worst[_Photo] = Worst(_MISTAKES)
        self._count = 0

    def update(self, predictions: dict[str, np.ndarray], batch: dict[str, np.ndarray]) -> None:
        logits, labels = predictions["logits"], batch["labels"]
        badness = self._badness(logits, labels)
        for i in range(len(logits)):
            is_shown, is_bad = self._count + i in self._shown, self._worst.admits(badness[i])
            if not is_shown and not (badness[i] > 0 and is_bad):
                continue
            name: Any = batch["source_id"][i]
            name = name.decode("utf8", "replace") if isinstance(name, bytes) else str(name)
            image = np.array(fit(batch["images"][i], _SIDE))
            photo = _Photo(name, image, np.array(logits[i]), np.array(labels[i]))
            if is_shown:
                self._photos.append(photo)
            if badness[i] > 0:
                self._worst.add(float(badness[i]), photo)
        self._count += len(logits)
        self._keep(logits, labels)

    def report(self, metrics: dict[str, float]) -> str:
        return "\n".join(
            f"{name:>9} {shown_metric(name, value):>6}  {MEANINGS[name]}"
            for name, value in metrics.items()
        )

    def pictures(self) -> list[Picture]:
        """Returns the photos as the network saw them, titled with truth and prediction."""
        return [self._drawn(photo) for photo in self._photos]

    def mistakes(self, limit: int) -> list[Mistake]:
        """Returns the most confident wrong predictions; photos of unknown classes do not count."""
        found = []
        for photo in self._worst.items()[:limit]:
            truth, predicted, _ = self._words(photo.logits, photo.labels)
            facts = {"kind": "wrong", "image": photo.name, "truth": truth, "predicted": predicted}
            facts["score"] = float(self._badness(photo.logits[None], photo.labels[None])[0])
            found.append(Mistake(self._drawn(photo), facts))
        return found

    def _drawn(self, photo: _Photo) -> Picture:
        truth, predicted, right = self._words(photo.logits, photo.labels)
        lines = [f"truth: {truth}", f"predicted: {predicted}"]
        caption = f"Truth: {truth}. Predicted: {predicted}. Image {photo.name}."
        return Picture(titled(fit(photo.image, _SIDE), lines, good=right), caption)

    @abc.abstractmethod
    def _keep(self, logits: np.ndarray, labels: np.ndarray) -> None:
        """Keeps the logits [B, K] and labels of a batch."""

    @abc.abstractmethod
    def _badness(self, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Returns the confidence 0..1 of each image's worst error, float [B]; 0 for none."""

    @abc.abstractmethod
    def _words(self, logits: np.ndarray, labels: np.ndarray) -> tuple[str, str, bool]:
        """Returns (truth, prediction, whether it is right) for an image."""


class SingleLabelEvaluation(_ClassificationEvaluation):
    """One class per image: top-1, and top-5 with more than five classes."""

    def __init__(self, names: Mapping[int, str], num_images: int | None = None):
        super().__init__(names, num_images)
        self._ranks: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []
        self._predicted: list[np.ndarray] = []
        self._losses: list[np.ndarray] = []

    def _keep(self, logits: np.ndarray, labels: np.ndarray) -> None:
        self._ranks.append(ranks(logits, labels))
        self._labels.append(labels)
        self._predicted.append(logits.argmax(axis=-1))
        true = np.take_along_axis(logits, np.maximum(labels, 0)[:, None], axis=-1)[:, 0]
        self._losses.append(_log_sum_exp(logits) - true)

    def compute(self) -> dict[str, float]:
        image_ranks = np.concatenate(self._ranks)
        metrics = {"top1": topk_accuracy(image_ranks, 1)}
        if len(self._names) > 5:
            metrics["top5"] = topk_accuracy(image_ranks, 5)
        return metrics | {VAL_LOSS: float(np.concatenate(self._losses).mean())}

    def details(self) -> Details | None:
        """See `details.single_label_details`."""
        if not self._labels:
            return None
        labels, predicted = np.concatenate(self._labels), np.concatenate(self._predicted)
        return single_label_details(labels, predicted, self._names)

    def per_image(self) -> PerImage | None:
        """See `metrics.single_label_per_image`."""
        if not self._labels:
            return None
        parts = (self._ranks, self._labels, self._predicted)
        return single_label_per_image(*map(np.concatenate, parts), self._names)

    def _badness(self, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
        score = np.exp(logits.max(axis=-1) - _log_sum_exp(logits))
        return np.where((logits.argmax(axis=-1) != labels) & (labels >= 0), score, 0.0)

    def _words(self, logits: np.ndarray, labels: np.ndarray) -> tuple[str, str, bool]:
        best = int(logits.argmax())
        score = float(np.exp(logits[best] - _log_sum_exp(logits)))
        truth = self._names.get(int(labels) + 1, "unknown")
        return truth, f"{self._names[best + 1]} {score:.0%}", best == int(labels)


class MultiLabelEvaluation(_ClassificationEvaluation):
    """Any number of classes per image: mAP, and EdgeNets' precision, recall and F1."""

    def __init__(self, names: Mapping[int, str], num_images: int | None = None):
        super().__init__(names, num_images)
        self._logits: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []

    def _keep(self, logits: np.ndarray, labels: np.ndarray) -> None:
        self._logits.append(logits)
        self._labels.append(labels.astype(bool))

    def compute(self) -> dict[str, float]:
        logits, labels = np.concatenate(self._logits), np.concatenate(self._labels)
        curves = (label_curve(logits[:, k], labels[:, k]) for k in range(labels.shape[1]))
        precisions = [ap for curve in curves if (ap := average_precision(curve)) is not None]
        scores = label_scores(logits > 0, labels)
        return {
            "mAP": float(np.mean(precisions)) if precisions else 0.0,
            "P_C": float(scores.precision.mean()),
            "R_C": float(scores.recall.mean()),
            "F_C": float(scores.f1.mean()),
            "P_O": scores.overall_precision,
            "R_O": scores.overall_recall,
            "F_O": scores.overall_f1,
            # Summed over the classes, as in training.
            VAL_LOSS: float(np.mean(np.sum(np.logaddexp(0.0, logits) - logits * labels, axis=-1))),
        }

    def details(self) -> Details | None:
        """See `details.multi_label_details`."""
        if not self._labels:
            return None
        scores = _sigmoid(np.concatenate(self._logits))
        return multi_label_details(scores, np.concatenate(self._labels), self._names)

    def per_image(self) -> PerImage | None:
        """See `metrics.multi_label_per_image`."""
        if not self._labels:
            return None
        logits, labels = np.concatenate(self._logits), np.concatenate(self._labels)
        return multi_label_per_image(logits, labels, self._names)

    def _badness(self, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
        scores = _sigmoid(logits)
        return np.max(
            np.where((logits > 0) == labels.astype(bool), 0.0, np.maximum(scores, 1 - scores)),
            axis=-1,
        )

    def _words(self, logits: np.ndarray, labels: np.ndarray) -> tuple[str, str, bool]:
        predicted, true = logits > 0, labels.astype(bool)
        return self._listed(true), self._listed(predicted), bool((predicted == true).all())

    def _listed(self, chosen: np.ndarray) -> str:
        return ", ".join(self._names[k + 1] for k in np.flatnonzero(chosen)) or "nothing"


def draw_training_images(
    batch: Mapping[str, np.ndarray], names: Mapping[int, str], limit: int
) -> list[Picture]:
    """Draws the first `limit` images of a training batch as the network sees them, with classes."""
    pictures = []
    for image, labels in zip(batch["images"][:limit], batch["labels"], strict=False):
        numbers = np.flatnonzero(labels) if np.ndim(labels) else [int(labels)]
        text = ", ".join(names.get(int(k) + 1, "unknown") for k in numbers) or "nothing"
        pictures.append(Picture(titled(fit(image, _SIDE), [text]), text))
    return pictures


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))


def _log_sum_exp(logits: np.ndarray) -> np.ndarray:
    highest = logits.max(axis=-1, keepdims=True)
    return np.log(np.exp(logits - highest).sum(axis=-1)) + highest[..., 0]
