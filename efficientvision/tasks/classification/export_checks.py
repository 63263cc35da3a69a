"""Compares a classifier's exports with its network: probabilities, top class, accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np

from efficientvision.exports.artifacts import FORMATS
from efficientvision.tasks.classification.evaluate_export import evaluate_classifier_export
from efficientvision.tasks.classification.metadata import ClassificationMetadata
from efficientvision.tasks.classification.serving import crop_fraction_of, fit_photos
from efficientvision.tasks.export_checks import (
    TENSORFLOW_TOLERANCE,
    Compared,
    ExportChecks,
    Run,
    is_portable,
)


class ClassificationChecks(ExportChecks):
    """See `ExportChecks`."""

    compared_columns = ("probability", "top-1")

    @property
    def measured_columns(self) -> tuple[str, ...]:
        return ("mAP",) if self.loaded.config.multi_label else ("accuracy",)

    def calibration_image(self, photo: Any) -> np.ndarray:
        config = self.loaded.config
        fitted = fit_photos(photo[np.newaxis], config.image_hw, crop_fraction_of(config))
        return fitted.numpy().astype(np.float32)

    def compare(self, name: str, run: Run, metadata: ClassificationMetadata) -> Compared:
        results = np.stack(list(self._results(name, run, metadata)))
        difference = float(np.abs(results - self._expected).max())
        same = int((results.argmax(axis=1) == self._expected.argmax(axis=1)).sum())
        tolerance = FORMATS[name].score_tolerance if is_portable(name) else TENSORFLOW_TOLERANCE
        if tolerance is None:
            failed = len(results) - same > FORMATS[name].differ_tolerance * len(results)
        else:
            failed = not difference <= tolerance
        return Compared((f"{difference:.2g}", f"{same} of {len(results)} equal"), failed)

    def measure(self, run: Run, metadata: ClassificationMetadata) -> tuple[float, ...]:
        pattern = self.settings.val_file_pattern
        metrics = evaluate_classifier_export(run, metadata, pattern).compute()
        return (100 * metrics["mAP" if metadata.multilabel else "top1"],)
