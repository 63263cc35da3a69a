"""Compares a detector's exports with its network: boxes, scores, AP."""

from __future__ import annotations

import functools
import logging
from typing import Any

import numpy as np

from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.data.transforms.preprocess import normalize, resize_and_pad, stretch
from efficientvision.exports.artifacts import FORMATS
from efficientvision.preflight.findings import raise_on_first
from efficientvision.progress import tqdm
from efficientvision.tasks.detection import agreement
from efficientvision.tasks.detection.coco_source import measuring
from efficientvision.tasks.detection.evaluate_export import evaluate_export
from efficientvision.tasks.detection.metadata import DetectionMetadata
from efficientvision.tasks.detection.name_checks import truth_name_findings
from efficientvision.tasks.detection.predictor import Detector
from efficientvision.tasks.detection.ssd_config import SsdConfig
from efficientvision.tasks.export_checks import (
    Compared,
    ExportChecks,
    Run,
    is_portable,
)
from efficientvision.tasks.loaded_model import LoadedModel

log = logging.getLogger(__name__)

# Detections with at least this score must be found on the other side.
_COMPARED_SCORE = 0.3
_USEFUL_DETECTIONS = 5
# Threshold inside the portable formats, low enough to measure AP with the file.
_LEAST_SCORE = 0.001
_TENSORFLOW_TOLERANCE = (0.1, 1e-3, 0.005)


class DetectionChecks(ExportChecks):
    """See `ExportChecks`. Lowers the score threshold of the network unless it is set."""

    compared_columns = ("box px", "score", "differ")
    measured_columns = ("AP", "AP50")

    def __init__(self, settings: InspectSettings, loaded: LoadedModel, photos: list[np.ndarray]):
        super().__init__(settings, loaded, photos)
        if settings.min_score_thresh is None:
            loaded.config.override({"nms_configs": {"score_thresh": _LEAST_SCORE}})
        self._network = functools.cache(self._detector)
        self._network_rows = functools.cache(self._detect)
        self._coco = None
        if settings.val_file_pattern:
            names = loaded.class_names or None
            renamed = loaded.config.label_map is not None
            truth = settings.val_file_pattern, settings.val_json_file
            raise_on_first(truth_name_findings(loaded.class_names, *truth, renamed=renamed))
            self._coco = measuring(truth[0], names, truth[1])

    @property
    def nms(self) -> str | None:
        return self.settings.nms

    def calibration_image(self, photo: Any) -> np.ndarray:
        config = self.loaded.config
        if isinstance(config, SsdConfig):
            return stretch(photo, config.image_hw).numpy().astype(np.float32)[np.newaxis]
        mean = np.broadcast_to(np.float32(config.mean_rgb), 3)
        image, _, valid_hw = resize_and_pad(photo, config.image_hw)
        # Pad with the mean, which normalisation turns into zero.
        return (normalize(image, valid_hw, mean, 1.0).numpy() + mean)[np.newaxis]

    def compare(self, name: str, run: Run, metadata: DetectionMetadata) -> Compared:
        wanted = self._network_rows("offset" if is_portable(name) else "per_class")
        box, score, differ = _TENSORFLOW_TOLERANCE
        if is_portable(name):
            form = FORMATS[name]
            box, score, differ = form.box_tolerance, form.score_tolerance, form.differ_tolerance
        parts = []
        for rows, expected in zip(self._results(name, run, metadata), wanted, strict=True):
            parts.append(agreement.compare(expected, rows, _COMPARED_SCORE, box or np.inf))
        total = agreement.together(parts)
        _say_if_few(parts)
        differing = total.unmatched + total.displaced
        failed = differing > differ * max(total.detections, 1)
        failed |= score is not None and total.score > score
        cells = (f"{total.box:.2g}", f"{total.score:.2g}", f"{differing} of {total.detections}")
        return Compared(cells, failed)

    def measure(self, run: Run, metadata: DetectionMetadata) -> tuple[float, ...]:
        self._coco.reset()
        evaluate_export(Detector(run, metadata), self.settings.val_file_pattern, self._coco)
        metrics = self._coco.compute()
        return tuple(100 * metrics[key] for key in self.measured_columns)

    def network_run(self) -> Run:
        return self._network("per_class").detect_batch

    def _detector(self, nms_mode: str) -> Detector:
        return Detector.from_loaded(self.loaded, nms_mode=nms_mode)

    def _detect(self, nms_mode: str) -> list[np.ndarray]:
        """The network's own detections in each photo, [n, 7] rows."""
        network = self._network(nms_mode)
        progress = tqdm(self.photos, desc=f"network, NMS {nms_mode}", unit="photo")
        return [network.detect_batch(photo[np.newaxis])[0] for photo in progress]


def _say_if_few(parts: list[agreement.Agreement]) -> None:
    poor = sum(part.detections < _USEFUL_DETECTIONS for part in parts)
    if poor:
        log.info(
            f"{poor} of {len(parts)} photos have fewer than {_USEFUL_DETECTIONS} detections of "
            f"score {_COMPARED_SCORE} or more: for a meaningful comparison use photos with many "
            "objects, and trained weights"
        )
