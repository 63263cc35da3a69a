"""Test-time augmentation of an SSD: a photo, and perhaps its mirror image."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from efficientvision.tasks.detection.postprocess import Candidates, Detections, suppress_candidates
from efficientvision.tasks.detection.priors import generate_priors
from efficientvision.tasks.detection.ssd_config import SsdConfig
from efficientvision.tasks.detection.ssd_postprocess import select_ssd_candidates
from efficientvision.tasks.detection.tta import DetectionTTA
from efficientvision.tasks.detection.views import View
from efficientvision.tasks.training_task import Batch

# Scores below it are not measured, as in the original's evaluation.
LEAST_SCORE = 0.01


class SsdTTA(DetectionTTA):
    """Test-time augmentation of an SSD: runs it on the views of a batch, and merges.

    Args:
        config: Of the detector.
        options: Test-time augmentation, of one scale, since SSD's inputs have no padding that
            could hold a smaller photo; None: none.
    """

    def __init__(self, config: SsdConfig, *options: Any):
        super().__init__(config, *options)
        least = config.nms_configs.score_thresh or LEAST_SCORE
        self._nms = dataclasses.replace(self._nms, score_thresh=least)

    def _anchors(self, view: View) -> np.ndarray:
        return generate_priors(**{**self._config.anchor_options, "image_hw": view.image_hw})

    def _detections(self, view: View, outputs: Sequence[tf.Tensor], batch: Batch) -> Detections:
        return suppress_candidates(
            self._candidates(view, outputs, batch), num_classes=self._num_classes, nms=self._nms
        )

    def _candidates(self, view: View, outputs: Sequence[tf.Tensor], batch: Batch) -> Candidates:
        pool = select_ssd_candidates(
            *outputs,
            priors_yxyx=self._anchors(view),
            max_nms_inputs=self._nms.max_nms_inputs,
        )
        sides = tf.constant([*view.image_hw, *view.image_hw], tf.float32)
        boxes = self._on_photo(pool.boxes_yxyx * sides, view, batch)
        return pool._replace(boxes_yxyx=boxes)
