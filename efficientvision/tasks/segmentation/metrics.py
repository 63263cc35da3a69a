"""Scores of segmentation from one confusion matrix of the pixels: mIoU, pixel accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from PIL import Image

from efficientvision.evaluation.details import (
    CONFUSION,
    PER_CLASS,
    Details,
    matrix_rows,
    unique_names,
)

# Of a pixel that has no class.
NO_CLASS = 255

MEANINGS = {
    "miou": "mean over the classes of the intersection over union (mIoU)",
    "pixel_accuracy": "share of the pixels whose class is right",
}


class ClassScores(NamedTuple):
    """Scores of each class, float64 [K]; NaN for a class that the truth does not have.

    Attributes:
        iou: Pixels that are right / pixels that are, or were said to be, of the class.
        precision: Pixels that are right / those said to be of the class; NaN where none was.
        recall: Pixels that are right / those of the class.
    """

    iou: np.ndarray
    precision: np.ndarray
    recall: np.ndarray


class PixelCounts:
    """The confusion matrix of the pixels of a data set.

    Attributes:
        matrix: int64 [K, K], rows the truth, columns the prediction.
        left_out: Pixels of a known class whose prediction has none.

    Args:
        num_classes: K, of the truth.
        class_map: Class of the network -> class of the truth, 0..K-1; predictions that it does
            not name are left out of the matrix. None: both have the same classes, and
            predictions of K or more are left out.
    """

    def __init__(self, num_classes: int, class_map: Mapping[int, int] | None = None):
        self.matrix = np.zeros((num_classes, num_classes), np.int64)
        self.left_out = 0
        pairs = {i: i for i in range(num_classes)} if class_map is None else class_map
        self._classes = np.full(256, NO_CLASS, np.uint8)
        for network, truth in pairs.items():
            self._classes[network] = truth

    def named(self, predicted: np.ndarray) -> np.ndarray:
        """Classes of the network, uint8, as classes of the truth; 255 where there is none."""
        return self._classes[predicted]

    def add(self, truth: np.ndarray, predicted: np.ndarray) -> None:
        """Counts an image.

        Args:
            truth: uint8 [h, w], 0..K-1; 255 does not count.
            predicted: uint8 [h', w'], classes of the network; brought to [h, w] by the nearest
                pixel.
        """
        said = self.named(resize_nearest(predicted, truth.shape))
        known = truth != NO_CLASS
        has_class = known & (said != NO_CLASS)
        self.left_out += int(known.sum() - has_class.sum())
        num_classes = len(self.matrix)
        cells = truth[has_class].astype(np.int64) * num_classes + said[has_class]
        counts = np.bincount(cells, minlength=num_classes**2)
        self.matrix += counts.reshape(num_classes, num_classes)


def resize_nearest(class_map: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """A map of classes, uint8 [h', w'], at another size (h, w): each pixel the nearest one's."""
    if class_map.shape == tuple(hw):
        return class_map
    height, width = hw
    image = Image.fromarray(np.ascontiguousarray(class_map))
    return np.asarray(image.resize((width, height), Image.Resampling.NEAREST))


def class_scores(matrix: np.ndarray) -> ClassScores:
    """Scores of each class from a confusion matrix, int [K, K], rows the truth."""
    right = np.diag(matrix).astype(np.float64)
    true, said = matrix.sum(axis=1), matrix.sum(axis=0)
    has_pixels = true > 0

    def share(part: np.ndarray, whole: np.ndarray, where: np.ndarray) -> np.ndarray:
        return np.where(where, part / np.maximum(whole, 1), np.nan)

    return ClassScores(
        share(right, true + said - right, has_pixels),
        share(right, said, has_pixels & (said > 0)),
        share(right, true, has_pixels),
    )


def mean_iou(matrix: np.ndarray) -> float:
    """Mean IoU (0..1) of the classes that the truth has; 0 if it has none."""
    iou = class_scores(matrix).iou
    known = ~np.isnan(iou)
    return float(iou[known].mean()) if known.any() else 0.0


def pixel_accuracy(matrix: np.ndarray) -> float:
    """Share (0..1) of the pixels in the matrix that are right."""
    return float(np.trace(matrix) / max(matrix.sum(), 1))


def segmentation_details(counts: PixelCounts, names: Mapping[int, str], num_images: int) -> Details:
    """The details of a segmentation.

    Facts: `task`, `images`, `pixels` (that count), `left_out` (of these, those whose prediction has
    no class of the data). Tables: `per_class` (a row a class: pixels, IoU, precision, recall; None
    where there is none) and `confusion_matrix` (pixels).

    Args:
        counts: All images.
        names: Class (0..K-1) -> name, for all of them.
        num_images: How many there were.
    """
    names = unique_names(dict(names))
    scores = class_scores(counts.matrix)
    pixels = counts.matrix.sum(axis=1)
    rows = [
        {
            "id": number,
            "class": name,
            "pixels": int(pixels[number]),
            "IoU": _or_none(scores.iou[number]),
            "precision": _or_none(scores.precision[number]),
            "recall": _or_none(scores.recall[number]),
        }
        for number, name in names.items()
    ]
    return Details(
        {
            "task": "segmentation",
            "images": num_images,
            "pixels": int(pixels.sum()) + counts.left_out,
            "left_out": counts.left_out,
        },
        {PER_CLASS: rows, CONFUSION: matrix_rows(counts.matrix, list(names.values()))},
    )


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
