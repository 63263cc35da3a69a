"""Evaluation of a detector: COCO metrics, their details, photos with boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from efficientvision.evaluation.confidence import PerImage
from efficientvision.evaluation.confusion import Outcomes
from efficientvision.evaluation.details import Details
from efficientvision.evaluation.object_matching import Collected, corners_yxyx
from efficientvision.evaluation.object_mistakes import worst_mistakes
from efficientvision.evaluation.weighted_ap import detection_per_image
from efficientvision.tasks.detection.coco import CocoEvaluator, format_metrics
from efficientvision.tasks.detection.details import detection_details
from efficientvision.tasks.detection.mistakes import draw_mistake
from efficientvision.tasks.detection.voc import format_voc_metrics, voc_metrics
from efficientvision.tasks.training_task import VAL_LOSS, Evaluation, Mistake
from efficientvision.visualize.draw import draw_detections
from efficientvision.visualize.sheet import Picture, beside, fit, resized

SHOWN_PHOTOS = 8
_SIDE = 560


class DetectionEvaluation(Evaluation):
    """Computes COCO metrics on a data set, or writes a results file for test-dev.

    Args:
        coco: Collects the detections; earlier ones are cleared.
        results_path: Write the detections to this path and compute no metrics.
        num_images: Number of images to come, if known, for choosing the same few photos to show
            in every evaluation.
        merge: Merges the predictions of several views into one set of detections per image; None
            if there is only one view.
        voc: Add PASCAL VOC's metrics, see `voc.voc_metrics`.
        read_photos: Positions of images in the data set (from 0) -> photos and file names by
            position, for `mistakes`; None: no mistakes are drawn.
    """

    def __init__(
        self,
        coco: CocoEvaluator,
        results_path: str | None = None,
        num_images: int | None = None,
        merge: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]] | None = None,
        voc: bool = False,
        read_photos: Callable[[Sequence[int]], Mapping[int, tuple[np.ndarray, str]]] | None = None,
    ):
        coco.reset()
        self._coco = coco
        self._results_path = results_path
        self._merge = merge or dict
        self._voc = voc
        last = num_images or SHOWN_PHOTOS
        self._shown = set(np.linspace(1, last, min(SHOWN_PHOTOS, last)).round().astype(int))
        self._photos: dict[int, tuple[str, np.ndarray, float]] = {}
        self._read_photos = read_photos
        self._places: dict[int, tuple[int, str]] = {}  # Number of an image -> position, name.
        self._count = 0
        self._collected: Collected | None = None
        self._details: Details | None = None
        self._outcome: Outcomes | None = None

    def update(self, predictions: dict[str, np.ndarray], batch: dict[str, np.ndarray]) -> None:
        predictions = self._merge(predictions)
        numbers = self._coco.update(
            batch["source_id"],
            predictions["boxes_yxyx"],
            predictions["scores"],
            predictions["classes"],
            predictions["valid_len"],
            batch,
        )
        for i, number in enumerate(numbers):
            self._places[number] = (self._count + i, _name(batch["source_id"][i]))
            if number in self._shown and self._results_path is None:
                self._photos[number] = _photo(batch, i)
        self._count += len(numbers)

    def compute(self) -> dict[str, float]:
        if self._results_path is not None:
            self._coco.write_results(self._results_path)
            return {}
        metrics = self._coco.compute()
        return metrics | voc_metrics(self._coco.collected()) if self._voc else metrics

    def report(self, metrics: dict[str, float]) -> str:
        if self._results_path is not None:
            return f"Detections written to {self._results_path}."
        tables = [format_metrics(metrics)]
        if self._voc:
            tables.append(format_voc_metrics(metrics))
        if VAL_LOSS in metrics:
            tables.append(f"validation loss {metrics[VAL_LOSS]:.4f}")
        return "\n\n".join(tables)

    def details(self) -> Details | None:
        """See `details.detection_details`; None for test-dev."""
        if self._details is None and self._coco.scores is not None:
            self._collected = self._coco.collected()
            self._details, self._outcome = detection_details(self._collected, self._coco.scores)
        return self._details

    def per_image(self) -> PerImage | None:
        """See `weighted_ap.detection_per_image`; None for test-dev."""
        if self._coco.scores is None:
            return None
        collected = self._coco.collected()
        return detection_per_image(collected, collected.categories)

    def pictures(self) -> list[Picture]:
        """Draws ground truth next to detections above the `score_threshold` of `details`."""
        details = self.details()
        if details is None:
            return []
        threshold = details.facts["score_threshold"]
        return [
            _truth_beside_detections(self._collected, number, photo, threshold)
            for number, photo in sorted(self._photos.items())
        ]

    def mistakes(self, limit: int) -> list[Mistake]:
        """See `object_mistakes.worst_mistakes`, at the `score_threshold` of `details`."""
        if self.details() is None or self._read_photos is None:
            return []
        worst = worst_mistakes(self._collected, self._outcome, limit)
        positions = {self._places[mistake.image][0] for mistake in worst}
        photos = self._read_photos(sorted(positions)) if positions else {}
        drawn = []
        for mistake in worst:
            position, name = self._places[mistake.image]
            photo, file_name = photos[position]
            name = f"{name} ({file_name})" if file_name not in ("", name) else name
            drawn.append(draw_mistake(mistake, name, photo, self._collected, self._outcome))
        return drawn


def draw_training_examples(
    batch: Mapping[str, np.ndarray], names: Mapping[int, str], limit: int
) -> list[Picture]:
    """Draws the first `limit` images of a training batch as the network sees them, with boxes."""
    pictures = []
    for image, boxes, classes in zip(
        batch["images"][:limit], batch["gt_boxes_yxyx"], batch["gt_classes"], strict=False
    ):
        shown = fit(image, _SIDE)
        real = classes > 0
        scale = _SIDE / max(image.shape[:2])
        count = int(real.sum())
        pictures.append(
            Picture(
                draw_detections(
                    shown, boxes[real] * scale, classes[real], names=names, max_boxes_to_draw=None
                ),
                _objects(count),
            )
        )
    return pictures


def _photo(batch: dict[str, np.ndarray], i: int) -> tuple[str, np.ndarray, float]:
    """Returns (name, uint8 pixels in the photo's shape, scale to photo pixels) of an image."""
    height, width = batch["valid_hw"][i]
    pixels = np.clip(np.rint(batch["images"][i, :height, :width]), 0, 255).astype(np.uint8)
    original_hw = batch["original_hw"][i]
    scale = float(original_hw.max()) / _SIDE
    shown_hw = np.maximum(np.rint(original_hw / scale), 1).astype(int)
    return _name(batch["source_id"][i]), np.asarray(resized(pixels, shown_hw)), scale


def _name(source_id: Any) -> str:
    if isinstance(source_id, bytes):
        return source_id.decode("utf8", "replace")
    return str(source_id)


def _truth_beside_detections(
    collected: Collected, number: int, photo: tuple[str, np.ndarray, float], threshold: float
) -> Picture:
    name, pixels, scale = photo
    truths = collected.truths[collected.truths[:, 0] == number]
    detections = collected.detections[collected.detections[:, 0] == number]
    detections = detections[detections[:, 5] >= threshold]
    left = draw_detections(
        pixels,
        corners_yxyx(truths) / scale,
        truths[:, 6],
        names=collected.categories,
        max_boxes_to_draw=None,
        line_thickness=2,
    )
    right = draw_detections(
        pixels,
        corners_yxyx(detections) / scale,
        detections[:, 6],
        detections[:, 5],
        collected.categories,
        min_score_thresh=threshold,
        max_boxes_to_draw=None,
        line_thickness=2,
    )
    titles = (
        f"truth: {_objects(len(truths))}",
        f"detected with {threshold:.0%} or more: {len(detections)}",
    )
    caption = f"Image {name}: {_objects(len(truths))}, {len(detections)} detected."
    return Picture(beside(left, right, titles=titles), caption, panels=2)


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"
