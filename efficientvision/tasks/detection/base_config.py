"""What the configurations of all detectors have: boxes, suppression, evaluation."""

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
        "gaussian", one_of("hard", "gaussian"), "hard, or soft-NMS with a gaussian"
    )
    iou_thresh: float | None = hyperparameter(
        None, optional(number(0, 1)), "overlap above which a box is dropped; None: 0.5 for hard"
    )
    score_thresh: float | None = hyperparameter(
        0.0, optional(number(0, 1)), "detections below this score are left out"
    )
    sigma: float | None = hyperparameter(
        None, optional(_POSITIVE), "width of the gaussian of soft-NMS; None: 0.5"
    )
    max_nms_inputs: int = hyperparameter(
        0,
        integer(0),
        "best-scored candidates that enter NMS; 0: all of them, in an evaluation the best 5000",
    )
    max_output_size: int = hyperparameter(100, _COUNT, "most detections of an image")


@dataclasses.dataclass(slots=True)
class DetectionConfig(TrainingConfig):
    """The hyper-parameters that EfficientDet and SSD share."""

    task: str = hyperparameter("detection", one_of("detection"), "what the model does")
    max_instances_per_image: int = hyperparameter(
        100, _COUNT, "most ground-truth boxes of an image that training uses"
    )
    skip_crowd_during_training: bool = hyperparameter(
        True, BOOLEAN, "leave boxes around crowds out of training"
    )
    voc_metrics: bool = hyperparameter(
        False, BOOLEAN, "evaluations add PASCAL VOC's average precisions to COCO's"
    )
    grad_checkpoint: bool = hyperparameter(
        False, BOOLEAN, "training computes intermediate results twice to save memory"
    )

    nms_configs: NmsConfig = dataclasses.field(default_factory=NmsConfig)

    @property
    def num_object_classes(self) -> int:
        """K, classes without the background, whatever `num_classes` counts."""
        raise NotImplementedError

    @property
    def anchor_options(self) -> dict[str, Any]:
        """Arguments of the function that makes its anchors, SSD's priors."""
        raise NotImplementedError

    @property
    def coarsest_stride(self) -> int:
        """Pixels of the network's input to a cell of the coarsest level that has a stride."""
        raise NotImplementedError

    def apply_special(self, name: str, value: Any, notes: list[str]) -> bool:
        """Sets `nms_configs`; returns whether it was that."""
        if name != "nms_configs":
            return False
        if not isinstance(value, dict):
            raise UserError(
                "nms_configs is a group: set its parts, as in nms_configs.score_thresh=0.4; got "
                f"{str(value)!r}."
            )
        fields = [f"nms_configs.{part}" for part in field_table(self.nms_configs)]
        for written, setting in value.items():
            known = known_name(f"nms_configs.{written}", setting, fields, notes)
            if known is not None:
                part = known.removeprefix("nms_configs.")
                setting = converted(self.nms_configs, part, setting, "nms_configs.")
                setattr(self.nms_configs, part, setting)
        return True
