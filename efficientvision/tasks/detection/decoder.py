"""Decodes a detector's outputs to detections in input pixels."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from typing import Self

import numpy as np
import tensorflow as tf

from efficientvision.tasks.detection.anchors import generate_anchors
from efficientvision.tasks.detection.base_config import DetectionConfig
from efficientvision.tasks.detection.postprocess import (
    Candidates,
    Detections,
    postprocess,
    select_candidates,
    suppress_candidates,
)
from efficientvision.tasks.detection.priors import generate_priors
from efficientvision.tasks.detection.ssd_postprocess import select_ssd_candidates

# Maximum number of NMS candidates per image in an evaluation, as in the original.
MAX_NMS_INPUTS = 5000
# SSD: detections with lower scores are not evaluated, as in the original.
LEAST_SSD_SCORE = 0.01


class Decoder(abc.ABC):
    """Decodes boxes and applies NMS, for evaluation.

    Args:
        config: Hyper-parameters of the detector; `nms_configs` sets the NMS.

    Attributes:
        nms: NMS settings.
    """

    def __init__(self, config: DetectionConfig):
        self._anchor_options = config.anchor_options
        self._num_classes = config.num_object_classes
        nms = config.nms_configs
        self.nms = dataclasses.replace(nms, max_nms_inputs=nms.max_nms_inputs or MAX_NMS_INPUTS)

    def with_hard_suppression(self) -> Self:
        """Returns a copy with hard NMS."""
        changed = object.__new__(type(self))
        changed.__dict__.update(self.__dict__, nms=dataclasses.replace(self.nms, method="hard"))
        return changed

    @abc.abstractmethod
    def candidates(self, outputs: Sequence[tf.Tensor], image_hw: tuple[int, int]) -> Candidates:
        """Selects the best candidates before NMS, with boxes in input pixels.

        Args:
            outputs: Network outputs, flattened.
            image_hw: Network input (height, width) in pixels.
        """

    def detections(self, outputs: Sequence[tf.Tensor], image_hw: tuple[int, int]) -> Detections:
        """Decodes detections in input pixels; arguments as in `candidates`."""
        return self.suppressed(self.candidates(outputs, image_hw))

    def suppressed(self, candidates: Candidates) -> Detections:
        """Applies NMS to candidates."""
        return suppress_candidates(candidates, num_classes=self._num_classes, nms=self.nms)


class EfficientDetDecoder(Decoder):
    """Decodes EfficientDet outputs: class logits per level, then box deltas per level."""

    def candidates(self, outputs: Sequence[tf.Tensor], image_hw: tuple[int, int]) -> Candidates:
        levels = len(outputs) // 2
        return select_candidates(
            outputs[:levels],
            outputs[levels:],
            anchors=self._anchors(image_hw),
            num_classes=self._num_classes,
            max_nms_inputs=self.nms.max_nms_inputs,
        )

    def detections(self, outputs: Sequence[tf.Tensor], image_hw: tuple[int, int]) -> Detections:
        levels = len(outputs) // 2
        return postprocess(
            outputs[:levels],
            outputs[levels:],
            anchors=self._anchors(image_hw),
            image_hw=image_hw,
            num_classes=self._num_classes,
            nms=self.nms,
        )

    def _anchors(self, image_hw: tuple[int, int]) -> np.ndarray:
        return generate_anchors(**{**self._anchor_options, "image_hw": image_hw})


class SsdDecoder(Decoder):
    """Decodes SSD outputs: confidences with the background, and locations."""

    def __init__(self, config: DetectionConfig):
        super().__init__(config)
        least = config.nms_configs.score_thresh or LEAST_SSD_SCORE
        self.nms = dataclasses.replace(self.nms, score_thresh=least)

    def candidates(self, outputs: Sequence[tf.Tensor], image_hw: tuple[int, int]) -> Candidates:
        pool = select_ssd_candidates(
            *outputs,
            priors_yxyx=generate_priors(**{**self._anchor_options, "image_hw": image_hw}),
            max_nms_inputs=self.nms.max_nms_inputs,
        )
        sides = tf.constant([*image_hw, *image_hw], tf.float32)
        return pool._replace(boxes_yxyx=pool.boxes_yxyx * sides)
