"""Compares a segmenter's exports with its network: the class of every pixel, mIoU."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from efficientvision.exports.artifacts import FORMATS
from efficientvision.loading import serving_metadata
from efficientvision.progress import tqdm
from efficientvision.tasks.choice import task_of_config
from efficientvision.tasks.export_checks import (
    Compared,
    ExportChecks,
    Run,
    is_portable,
)
from efficientvision.tasks.portable import compiled
from efficientvision.tasks.segmentation.evaluate_export import evaluate_segmenter_export
from efficientvision.tasks.segmentation.metadata import SegmentationMetadata
from efficientvision.tasks.segmentation.metrics import mean_iou
from efficientvision.tasks.segmentation.predictor import Segmenter
from efficientvision.tasks.segmentation.serving import segmentation_serving

# Tolerated share of pixels with a different class, where two classes are nearly tied.
_TENSORFLOW_TOLERANCE = 1e-3


class SegmentationChecks(ExportChecks):
    """See `ExportChecks`."""

    compared_columns = ("other class",)
    measured_columns = ("mIoU",)

    def metadata(self) -> SegmentationMetadata:
        metadata = serving_metadata(self.loaded, batch_size=self.settings.batch_size)
        return dataclasses.replace(
            metadata, **task_of_config(self.loaded.config).serving_options(self.settings)
        )

    def compare(self, name: str, run: Run, metadata: SegmentationMetadata) -> Compared:
        differing = pixels = 0
        expected = self._expected
        for result, wanted in zip(self._results(name, run, metadata), expected, strict=True):
            differing += int((_classes(result, metadata) != wanted).sum())
            pixels += wanted.size
        share = differing / pixels
        tolerance = FORMATS[name].pixel_tolerance if is_portable(name) else _TENSORFLOW_TOLERANCE
        return Compared((f"{share:.3%} of pixels",), share > tolerance)

    def measure(self, run: Run, metadata: SegmentationMetadata) -> tuple[float, ...]:
        counts = evaluate_segmenter_export(
            Segmenter(run, metadata), self.settings.val_file_pattern, self.loaded.config.class_map
        )
        return (100 * mean_iou(counts.matrix),)

    @functools.cache  # noqa: B019 - It lives as long as the program.
    def network_run(self) -> Run:
        result = self.metadata().result
        serving = segmentation_serving(self.loaded.model, self.loaded.config, result=result)
        return compiled(serving.results_from_arrays)

    @functools.cached_property
    def _expected(self) -> list[np.ndarray]:
        """The network's own uint8 class map of each photo."""
        metadata, run = self.metadata(), self.network_run()
        progress = tqdm(self.photos, desc="network", unit="photo")
        return [_classes(run(photo[np.newaxis])[0], metadata) for photo in progress]


def _classes(result: np.ndarray, metadata: SegmentationMetadata) -> np.ndarray:
    """Returns the class map of one photo from the result of an export."""
    if metadata.result == "logits":
        return result.argmax(axis=-1).astype(np.uint8)
    return result
