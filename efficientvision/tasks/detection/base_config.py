"""Hyper-parameters shared by all detectors: boxes, non-maximum suppression, evaluation."""

from __future__ import annotations

import dataclasses
from typing import Any

from efficientvision.configs.apply import converted, field_table, known_name
from efficientvision.configs.field_types import (
    BOOLEAN,
    hyperparameter,
    integer,
    number,
    one_of,
    optional,
)
from efficientvision.configs.training import TrainingConfig
from efficientvision.errors import UserError

_POSITIVE = number(minimum=1e-12)
_COUNT = integer(minimum=1)


@dataclasses.dataclass(slots=True)
class NmsConfig:
    """Non-maximum suppression (`nms_configs.*`)."""

    method: str = hyperparameter(
        "gaussian", one_of("hard", "gaussian"), "hard NMS, or gaussian: soft-NMS"
    )
    iou_thresh: float | None = hyperparameter(
        None, optional(number(0, 1)), "IoU above which a box is suppressed; None: 0.5 for hard"
    )
    score_thresh: float | None = hyperparameter(
        0.0, optional(number(0, 1)), "drop detections below this score"
    )
    sigma: float | None = hyperparameter(None, optional(_POSITIVE), "sigma of soft-NMS; None: 0.5")
    max_nms_inputs: int = hyperparameter(
        0,
        integer(0),
        "number of top-scoring candidates before NMS; 0: all, but 5000 in evaluation",
    )
    max_output_size: int = hyperparameter(100, _COUNT, "maximum number of detections per image")


@dataclasses.dataclass(slots=True)
class DetectionConfig(TrainingConfig):
    """The hyper-parameters that EfficientDet and SSD share."""

    task: str = hyperparameter("detection", one_of("detection"), "task of the model")
    max_instances_per_image: int = hyperparameter(
        100, _COUNT, "maximum number of ground-truth boxes per training image"
    )
    skip_crowd_during_training: bool = hyperparameter(
        True, BOOLEAN, "ignore crowd boxes in training"
    )
    voc_metrics: bool = hyperparameter(
        False, BOOLEAN, "evaluation: report PASCAL VOC's average precision too"
    )
    grad_checkpoint: bool = hyperparameter(
        False, BOOLEAN, "gradient checkpointing: recompute activations to save memory"
    )

    nms_configs: NmsConfig = dataclasses.field(default_factory=NmsConfig)

    @property
    def num_object_classes(self) -> int:
        """K, the number of classes without background, whatever `num_classes` counts."""
        raise NotImplementedError

    @property
    def anchor_options(self) -> dict[str, Any]:
        """Arguments of the function that generates its anchors (SSD: priors)."""
        raise NotImplementedError

    @property
    def coarsest_stride(self) -> int:
        """Stride of the coarsest level that has one, in pixels of the network's input."""
        raise NotImplementedError

    def apply_special(self, name: str, value: Any, notes: list[str]) -> bool:
        """Sets `nms_configs`; returns whether `name` was that."""
        if name != "nms_configs":
            return False
        if not isinstance(value, dict):
            raise UserError(
                "nms_configs is a group of hyper-parameters: set them one by one, as in "
                f"nms_configs.score_thresh=0.4; got {str(value)!r}."
            )
        fields = [f"nms_configs.{part}" for part in field_table(self.nms_configs)]
        for written, setting in value.items():
            known = known_name(f"nms_configs.{written}", setting, fields, notes)
            if known is not None:
                part = known.removeprefix("nms_configs.")
                setting = converted(self.nms_configs, part, setting, "nms_configs.")
                setattr(self.nms_configs, part, setting)
        return True
