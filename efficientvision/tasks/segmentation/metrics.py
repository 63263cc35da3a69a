"""Segmentation metrics from a confusion matrix of pixels: mIoU, pixel accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from PIL import Image

from efficientvision.evaluation.confidence import PerImage
from efficientvision.evaluation.details import (
    CONFUSION,
    PER_CLASS,
    Details,
    matrix_rows,
    unique_names,
)

# Label of pixels without a class.
NO_CLASS = 255

MEANINGS = {
    "miou": "intersection over union, mean over the classes (mIoU)",
    "pixel_accuracy": "share of pixels with the correct class",
}


class ClassScores(NamedTuple):
    """Scores per class, float64 [K]; NaN for classes that are not in the ground truth.

    Attributes:
        iou: Correct pixels / pixels labelled or predicted as the class.
        precision: Correct pixels / pixels predicted as the class; NaN if there are none.
        recall: Correct pixels / pixels labelled as the class.
    """

    iou: np.ndarray
    precision: np.ndarray
    recall: np.ndarray


class PixelCounts:
    """Confusion matrix of the pixels of a data set.

    Attributes:
        matrix: int64 [K, K], rows: truth, columns: prediction.
        left_out: Labelled pixels whose prediction has no class in the truth.
        of_images: int64 [3, K] for each image: pixels that are correct, labelled and predicted as
            each class.

    Args:
        num_classes: K, the number of classes in the truth.
        class_map: Class of the network -> class of the truth, 0..K-1; predictions that it does
            not name are excluded from the matrix. None: both have the same classes, and
            predictions of K or more are excluded.
    """

    def __init__(self, num_classes: int, class_map: Mapping[int, int] | None = None):
        self.matrix = np.zeros((num_classes, num_classes), np.int64)
        self.left_out = 0
        self.of_images: list[np.ndarray] = []
        pairs = {i: i for i in range(num_classes)} if class_map is None else class_map
        self._classes = np.full(256, NO_CLASS, np.uint8)
        for network, truth in pairs.items():
            self._classes[network] = truth

    def named(self, predicted: np.ndarray) -> np.ndarray:
        """Maps uint8 classes of the network to classes of the truth, or 255 if there is none."""
        return self._classes[predicted]

    def add(self, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Counts an image, and returns its own matrix.

        Args:
            truth: uint8 [h, w], 0..K-1; 255 is ignored.
            predicted: uint8 [h', w'], classes of the network, resized to [h, w] (nearest pixel).
        """
        named = self.named(resize_nearest(predicted, truth.shape))
        known = truth != NO_CLASS
        has_class = known & (named != NO_CLASS)
        self.left_out += int(known.sum() - has_class.sum())
        num_classes = len(self.matrix)
        cells = truth[has_class].astype(np.int64) * num_classes + named[has_class]
        counts = np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)
        self.matrix += counts
        self.of_images.append(np.stack([np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)]))
        return counts


def resize_nearest(class_map: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """Resizes a class map uint8 [h', w'] to (h, w) by the nearest pixel."""
    if class_map.shape == tuple(hw):
        return class_map
    height, width = hw
    image = Image.fromarray(np.ascontiguousarray(class_map))
    return np.asarray(image.resize((width, height), Image.Resampling.NEAREST))


def class_scores(matrix: np.ndarray) -> ClassScores:
    """Computes scores per class from a confusion matrix int [K, K] with the truth in rows."""
    right = np.diag(matrix).astype(np.float64)
    true, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    has_pixels = true > 0

    def share(part: np.ndarray, whole: np.ndarray, where: np.ndarray) -> np.ndarray:
        return np.where(where, part / np.maximum(whole, 1), np.nan)

    return ClassScores(
        share(right, true + predicted - right, has_pixels),
        share(right, predicted, has_pixels & (predicted > 0)),
        share(right, true, has_pixels),
    )


def mean_iou(matrix: np.ndarray) -> float:
    """Mean IoU (0..1) of the classes in the truth; 0 if there are none."""
    iou = class_scores(matrix).iou
    known = ~np.isnan(iou)
    return float(iou[known].mean()) if known.any() else 0.0


def pixel_accuracy(matrix: np.ndarray) -> float:
    """Share (0..1) of correct pixels in the matrix."""
    return float(np.trace(matrix) / max(matrix.sum(), 1))


def segmentation_details(counts: PixelCounts, names: Mapping[int, str], num_images: int) -> Details:
    """Returns the details of a segmentation.

    Facts: `task`, `images`, `pixels` (not ignored), `left_out` (those of them whose prediction has
    no class in the data). Tables: `per_class` (one row per class: pixels, IoU, precision, recall;
    None if undefined) and `confusion_matrix` (in pixels).

    Args:
        counts: Confusion matrix of all images.
        names: Class (0..K-1) -> name, complete.
        num_images: Number of images.
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


def segmentation_per_image(counts: PixelCounts, names: Mapping[int, str]) -> PerImage:
    """Results from which `miou`, `pixel_accuracy` and `IoU_/<name>` of each class follow.

    Args:
        counts: Pixels of at least one image.
        names: Class (0..K-1) -> name, complete.
    """
    order = list(unique_names(dict(names)).values())
    flat = np.reshape(counts.of_images, (len(counts.of_images), -1)).astype(np.float64)

    def metrics(weights: np.ndarray) -> dict[str, float]:
        right, true, predicted = (weights @ flat).reshape(3, -1)
        present = np.flatnonzero(true)
        iou = right[present] / (true + predicted - right)[present]
        return {
            "miou": float(iou.mean()) if len(iou) else 0.0,
            "pixel_accuracy": float(right.sum() / max(true.sum(), 1)),
            **{f"IoU_/{order[k]}": float(v) for k, v in zip(present, iou, strict=True)},
        }

    return PerImage(len(flat), metrics, flat.size)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
