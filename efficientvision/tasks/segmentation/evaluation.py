"""Evaluation of a segmentation: mIoU, its details, photos with truth and prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from PIL import Image

from efficientvision.errors import UserError
from efficientvision.evaluation.confidence import PerImage
from efficientvision.evaluation.details import Details
from efficientvision.evaluation.shown import shown_metric
from efficientvision.evaluation.worst import Worst
from efficientvision.tasks.segmentation.metrics import (
    MEANINGS,
    NO_CLASS,
    PixelCounts,
    class_scores,
    mean_iou,
    pixel_accuracy,
    resize_nearest,
    segmentation_details,
    segmentation_per_image,
)
from efficientvision.tasks.segmentation.palettes import palette_of
from efficientvision.tasks.training_task import VAL_LOSS, Evaluation, Mistake
from efficientvision.visualize.draw_class_map import (
    LEAST_SHARE,
    classes_present,
    draw_class_map,
    with_legend,
)
from efficientvision.visualize.sheet import Picture, beside, resized

_SHOWN_PHOTOS = 8
_SIDE = 480
_TITLES = ("photo", "truth", "prediction", "errors (red)")
_ERROR_COLOR = (230, 30, 40)
_MISTAKES = 20


class _Photo(NamedTuple):
    """An image to show, at the size at which it is drawn.

    Attributes:
        name: Its name.
        image: uint8 [h, w, 3].
        truth, predicted: uint8 [h, w], classes of the records; 255: none.
        wrong: Share of the labelled pixels that are wrong, at the mask's own size.
        miou: Mean IoU of the classes in its mask.
    """

    name: str
    image: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    wrong: float
    miou: float


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
        self._photos: list[_Photo] = []
        self._worst: Worst[_Photo] = Worst(_MISTAKES)
        self._count = 0

    def update(self, predictions: dict[str, np.ndarray], batch: dict[str, np.ndarray]) -> None:
        """Adds predicted `classes` uint8 [B, H, W], with `masks` and `mask_sizes` of the batch."""
        for i, predicted in enumerate(predictions["classes"]):
            height, width = batch["mask_sizes"][i]
            truth = batch["masks"][i][:height, :width]
            name = text_of(batch["source_id"][i])
            self._check(truth, name)
            counts = self._counts.add(truth, predicted)
            known = int((truth != NO_CLASS).sum())
            wrong = 1.0 - int(np.trace(counts)) / max(known, 1) if known else 0.0
            is_shown, is_bad = self._count in self._shown, self._worst.admits(wrong)
            self._count += 1
            if not is_shown and not (wrong > 0 and is_bad):
                continue
            named = self._counts.named(predicted)
            photo = _small_photo(name, batch["images"][i], truth, named, wrong, mean_iou(counts))
            if is_shown:
                self._photos.append(photo)
            if wrong > 0:
                self._worst.add(wrong, photo)

    def compute(self) -> dict[str, float]:
        return segmentation_metrics(self._counts)

    def report(self, metrics: dict[str, float]) -> str:
        """Formats the metrics, then the IoU of every class."""
        text = scores_text(self._counts, self._names)
        loss = f"\nvalidation loss {metrics[VAL_LOSS]:.4f}" if VAL_LOSS in metrics else ""
        return text + loss

    def details(self) -> Details | None:
        """See `metrics.segmentation_details`."""
        if not self._count:
            return None
        return segmentation_details(self._counts, self._names, self._count)

    def per_image(self) -> PerImage | None:
        """See `metrics.segmentation_per_image`."""
        if not self._count:
            return None
        return segmentation_per_image(self._counts, self._names)

    def pictures(self) -> list[Picture]:
        """Draws photo, truth and prediction side by side, with a legend of their classes."""
        return [self._picture(photo) for photo in self._photos]

    def mistakes(self, limit: int) -> list[Mistake]:
        """Returns the photos with the largest share of wrong pixels, with a map of these."""
        return [
            Mistake(
                self._picture(photo, errors=True),
                {
                    "kind": "pixels",
                    "image": photo.name,
                    "wrong": photo.wrong,
                    "miou": photo.miou,
                },
            )
            for photo in self._worst.items()[:limit]
        ]

    def _check(self, truth: np.ndarray, name: str) -> None:
        known = truth[truth != NO_CLASS]
        if known.size and known.max() >= len(self._names):
            raise UserError(
                f"The mask of image {name} has class {known.max()}, but the records' classes "
                f"are 0 to {len(self._names) - 1}: name all classes in labels.json beside the "
                "records, or regenerate the records with that label ignored (`ignore_label`)."
            )

    def _picture(self, photo: _Photo, *, errors: bool = False) -> Picture:
        maps = [photo.truth, photo.predicted]
        if errors:
            share = f"{photo.wrong:.1%} of pixels wrong, mIoU {photo.miou:.1%}"
            caption = f"{share}. Image {photo.name}."
        else:
            caption = f"Image {photo.name}: {1 - photo.wrong:.0%} of pixels correct."
        return _overlays(photo.image, maps, self._names, caption, errors=errors)


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
        pictures.append(_overlays(image, [mask], names, ", ".join(shown) or "nothing"))
    return pictures


def text_of(name: bytes | str) -> str:
    """Decodes an image name from a batch to text."""
    return name.decode("utf8", "replace") if isinstance(name, bytes) else str(name)


def _small_photo(
    name: str,
    image: np.ndarray,
    truth: np.ndarray,
    predicted: np.ndarray,
    wrong: float,
    miou: float,
) -> _Photo:
    """Shrinks photo and maps to the size at which they are drawn, in the shape of the truth."""
    factor = _SIDE / max(truth.shape)
    hw = [max(1, round(side * factor)) for side in truth.shape]
    maps = [resize_nearest(class_map, hw) for class_map in (truth, predicted)]
    return _Photo(name, np.asarray(resized(image, hw)), *maps, wrong, miou)


def _overlays(
    image: np.ndarray,
    maps: list[np.ndarray],
    names: Mapping[int, str],
    caption: str,
    *,
    errors: bool = False,
) -> Picture:
    """Draws a photo under class maps, and the errors of the second, side by side with a legend."""
    hw = maps[0].shape
    if max(hw) != _SIDE:
        hw = tuple(max(1, round(side * _SIDE / max(hw))) for side in hw)
    photo = resized(image, hw)
    colors = palette_of(names, len(names))
    small = [resize_nearest(class_map, hw) for class_map in maps]
    drawn = [draw_class_map(photo, m, names, colors, legend=None) for m in small]
    if errors:
        drawn.append(_draw_errors(photo, *small))
    row = beside(photo, *drawn, titles=_TITLES[: 1 + len(drawn)])
    present = classes_present(np.stack(small), names, colors)
    present = [p for p in present if p.share >= LEAST_SHARE]
    whole = with_legend(row, present, under=True)
    if whole.width > row.width:  # The legend of a very narrow row.
        return Picture(whole, caption)
    legend = tuple((one.name, "#{:02x}{:02x}{:02x}".format(*one.color)) for one in present)
    return Picture(whole, caption, 1 + len(drawn), whole.height - row.height, legend)


def _draw_errors(photo: Image.Image, truth: np.ndarray, predicted: np.ndarray) -> Image.Image:
    """The photo in grey with wrong pixels red and ignored ones dark."""
    gray = np.asarray(photo.convert("L"), np.float32)[..., np.newaxis]
    pixels = np.repeat(0.5 * gray + 90, 3, axis=-1)
    ignored = truth == NO_CLASS
    pixels[ignored] *= 0.4
    pixels[~ignored & (truth != predicted)] = _ERROR_COLOR
    return Image.fromarray(pixels.astype(np.uint8))
