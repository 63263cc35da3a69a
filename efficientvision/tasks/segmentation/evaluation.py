"""Evaluation of a segmentation: mIoU, its details, photos with truth and prediction."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image

from efficientvision.errors import UserError
from efficientvision.evaluation.details import Details
from efficientvision.evaluation.shown import shown_metric
from efficientvision.tasks.segmentation.metrics import (
    MEANINGS,
    NO_CLASS,
    PixelCounts,
    class_scores,
    mean_iou,
    pixel_accuracy,
    resize_nearest,
    segmentation_details,
)
from efficientvision.tasks.segmentation.palettes import palette_of
from efficientvision.tasks.training_task import Evaluation
from efficientvision.visualize.draw_class_map import (
    LEAST_SHARE,
    classes_present,
    draw_class_map,
    with_legend,
)
from efficientvision.visualize.sheet import Picture, beside

_SHOWN_PHOTOS = 8
_SIDE = 400
_TITLES = ("photo", "truth", "prediction")


class SegmentationEvaluation(Evaluation):
    """Accumulates one confusion matrix over the data set, at the masks' own sizes.

    Args:
        names: Class (from 0) of the records -> name, complete.
        class_map: Class of the network -> class of the records, if they differ.
        num_images: Number of images to come, if known, for choosing the same few photos to show
            in every evaluation.
    """

    def __init__(
        self,
        names: Mapping[int, str],
        class_map: Mapping[int, int] | None = None,
        num_images: int | None = None,
    ):
        self._names = dict(names)
        self._counts = PixelCounts(len(self._names), class_map)
        last = num_images or _SHOWN_PHOTOS
        self._shown = set(np.linspace(0, last - 1, min(_SHOWN_PHOTOS, last)).round().astype(int))
        self._photos: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]] = []
        self._count = 0

    def update(self, predictions: dict[str, np.ndarray], batch: dict[str, np.ndarray]) -> None:
        """Adds predicted `classes` uint8 [B, H, W], with `masks` and `mask_sizes` of the batch."""
        for i, predicted in enumerate(predictions["classes"]):
            height, width = batch["mask_sizes"][i]
            truth = batch["masks"][i][:height, :width]
            name = text_of(batch["source_id"][i])
            self._check(truth, name)
            self._counts.add(truth, predicted)
            if self._count in self._shown:
                named = self._counts.named(predicted)
                self._photos.append((name, batch["images"][i], truth, named))
            self._count += 1

    def compute(self) -> dict[str, float]:
        return segmentation_metrics(self._counts)

    def report(self, metrics: dict[str, float]) -> str:
        """Formats the metrics, then the IoU of every class."""
        return scores_text(self._counts, self._names)

    def details(self) -> Details | None:
        """See `metrics.segmentation_details`."""
        if not self._count:
            return None
        return segmentation_details(self._counts, self._names, self._count)

    def pictures(self) -> list[Picture]:
        """Draws photo, truth and prediction side by side, with a legend of their classes."""
        return [self._picture(*photo) for photo in self._photos]

    def _check(self, truth: np.ndarray, name: str) -> None:
        known = truth[truth != NO_CLASS]
        if known.size and known.max() >= len(self._names):
            raise UserError(
                f"The mask of image {name} has class {known.max()}, but the records' classes "
                f"are 0 to {len(self._names) - 1}: name all classes in labels.json beside the "
                "records, or regenerate the records with that label ignored (`ignore_label`)."
            )

    def _picture(
        self, name: str, image: np.ndarray, truth: np.ndarray, predicted: np.ndarray
    ) -> Picture:
        row = _overlays(image, [truth, predicted], self._names)
        known = truth != NO_CLASS
        right = known & (resize_nearest(predicted, truth.shape) == truth)
        share = right.sum() / max(known.sum(), 1)
        return Picture(row, f"Image {name}: {share:.0%} of pixels correct.")


def scores_text(counts: PixelCounts, names: Mapping[int, str]) -> str:
    """The metrics, then the IoU of every class.

    Args:
        counts: Confusion matrix of all images.
        names: Class (from 0) of the records -> name, complete.
    """
    metrics = segmentation_metrics(counts)
    lines = [
        f"{name:>14} {shown_metric(name, value):>5}  {MEANINGS[name]}"
        for name, value in metrics.items()
    ]
    scores = class_scores(counts.matrix)
    pixels = counts.matrix.sum(axis=1)
    total = max(pixels.sum(), 1)
    width = max(14, *(len(name) for name in names.values()))
    lines.append(f"{'class':>{width}}   IoU  share of pixels")
    for number, name in names.items():
        iou = "    -" if np.isnan(scores.iou[number]) else f"{100 * scores.iou[number]:5.1f}"
        lines.append(f"{name:>{width}} {iou}  {pixels[number] / total:.2%}")
    if left_out := counts.left_out:
        share = left_out / (total + left_out)
        lines.append(
            f"Excluded: {share:.2%} of pixels, whose predicted class is not in the records."
        )
    return "\n".join(lines)


def segmentation_metrics(counts: PixelCounts) -> dict[str, float]:
    """Returns mIoU and pixel accuracy, 0..1."""
    return {"miou": mean_iou(counts.matrix), "pixel_accuracy": pixel_accuracy(counts.matrix)}


def draw_training_masks(
    batch: Mapping[str, np.ndarray], names: Mapping[int, str], limit: int
) -> list[Picture]:
    """Draws the first `limit` images of a training batch as the network sees them, with masks."""
    pictures = []
    for image, mask in zip(batch["images"][:limit], batch["masks"], strict=False):
        shown = [names[k] for k in np.unique(mask) if k in names]
        pictures.append(Picture(_overlays(image, [mask], names), ", ".join(shown) or "nothing"))
    return pictures


def text_of(name: bytes | str) -> str:
    """Decodes an image name from a batch to text."""
    return name.decode("utf8", "replace") if isinstance(name, bytes) else str(name)


def _overlays(image: np.ndarray, maps: list[np.ndarray], names: Mapping[int, str]) -> Image.Image:
    """Draws a photo under class maps, side by side with a legend, in the first map's shape."""
    height, width = maps[0].shape
    factor = _SIDE / max(height, width)
    hw = (max(1, round(height * factor)), max(1, round(width * factor)))
    photo = Image.fromarray(image).resize(hw[::-1], Image.Resampling.BILINEAR)
    colors = palette_of(names, len(names))
    small = [resize_nearest(class_map, hw) for class_map in maps]
    drawn = [draw_class_map(photo, m, names, colors, legend=None) for m in small]
    row = beside(photo, *drawn, titles=_TITLES[: 1 + len(maps)])
    present = classes_present(np.stack(small), names, colors)
    return with_legend(row, [p for p in present if p.share >= LEAST_SHARE])
