"""Typed configuration of an SSD detector: fields and defaults beyond the shared ones."""

from __future__ import annotations

import dataclasses
from typing import Any

from efficientvision.configs.apply import with_values
from efficientvision.configs.field_types import (
    BOOLEAN,
    IMAGE_SIZE,
    TEXT,
    hyperparameter,
    integer,
    number,
    one_of,
    optional,
)
from efficientvision.configs.list_field_types import EPOCHS
from efficientvision.configs.training import ACTIVATIONS, LR_DECAY_METHODS
from efficientvision.errors import UserError
from efficientvision.registry import SSD_IMAGE_SIZE, classifier_image_size, is_edge_network
from efficientvision.tasks.detection.base_config import DetectionConfig, NmsConfig

_NON_NEGATIVE = number(minimum=0)


def _nms() -> NmsConfig:
    """NMS settings with which the published detectors were evaluated."""
    return NmsConfig(method="hard", iou_thresh=0.45, max_nms_inputs=2000, max_output_size=200)


@dataclasses.dataclass(slots=True)
class SsdConfig(DetectionConfig):
    """Architecture and training hyper-parameters of an SSD.

    The defaults are the recipe of EdgeNets' `train_detection.py` at 300 pixels. Create one with
    `get_config` and change it with `override`; both check types.
    """

    name: str = hyperparameter("espnetv2_s_2.0", TEXT, "name of the backbone")
    image_size: int | str | tuple[int, int] = hyperparameter(
        SSD_IMAGE_SIZE,
        IMAGE_SIZE,
        "input size, to which images are stretched: side in pixels, WIDTHxHEIGHT, or "
        "(height, width)",
    )
    num_classes: int = hyperparameter(
        21,
        integer(minimum=2),
        "number of classes including background; default: one more than in the records' "
        "labels.json",
    )
    act_type: str | None = hyperparameter(
        None,
        optional(one_of(*ACTIVATIONS)),
        "EfficientNet: activation function; None: as published",
    )
    build_size: int | str | tuple[int, int] = hyperparameter(
        224, IMAGE_SIZE, "DiCENet: image size its kernels are built for, a multiple of 32"
    )
    prior_min_scale: float = hyperparameter(
        0.1, number(0.005, 1), "side of the smallest square priors, as a share of the image's"
    )
    prior_max_scale: float = hyperparameter(
        1.05, number(0.01, 2), "side of square priors one level beyond the coarsest, same unit"
    )
    photometric_distortion: bool = hyperparameter(
        True,
        BOOLEAN,
        "augmentation: random brightness, contrast, saturation, hue and channel order",
    )
    expand_prob: float = hyperparameter(
        0.5, number(0, 1), "augmentation: probability of placing the image on a larger canvas"
    )
    expand_max: float = hyperparameter(
        4.0, number(minimum=1), "maximum side of that canvas, as a multiple of the image's"
    )
    sample_crop: bool = hyperparameter(
        True, BOOLEAN, "augmentation: random crops with a minimum object overlap of 0 to 0.9"
    )
    voc_metrics: bool = hyperparameter(
        True, BOOLEAN, "evaluation: report PASCAL VOC's average precision too"
    )

    learning_rate: float = hyperparameter(
        0.01, _NON_NEGATIVE, "learning rate (clr, hybrid: the lowest of a cycle)"
    )
    lr_mult: float = hyperparameter(
        1.0,
        _NON_NEGATIVE,
        "layers outside the backbone: learning rate, as a multiple of the backbone's",
    )
    scale_learning_rate: bool = hyperparameter(
        False, BOOLEAN, "multiply the learning rates by batch size / 64; false: use them as given"
    )
    lr_warmup_init: float = hyperparameter(
        0.0, _NON_NEGATIVE, "learning rate at the first step, scaled like learning_rate"
    )
    lr_warmup_epoch: float = hyperparameter(0.0, _NON_NEGATIVE, "length of warm-up in epochs")
    lr_decay_method: str = hyperparameter(
        "hybrid", one_of(*LR_DECAY_METHODS), "learning-rate schedule after warm-up"
    )
    lr_steps: tuple[int, ...] = hyperparameter(
        (51, 161, 201), EPOCHS, "clr, fixed: epochs at which the rate is multiplied by lr_decay"
    )
    lr_decay: float = hyperparameter(
        0.1, number(minimum=1e-12), "clr, fixed: factor applied at each of lr_steps"
    )
    clip_gradients_norm: float = hyperparameter(
        0.0, _NON_NEGATIVE, "maximum gradient norm, per variable and globally (0 = no clipping)"
    )
    num_epochs: int = hyperparameter(100, integer(minimum=1), "number of training epochs")
    moving_average_decay: float = hyperparameter(
        0.0,
        number(0, below=1),
        "decay per step of the exponential moving average of the weights (0 = off)",
    )
    weight_decay: float = hyperparameter(5e-4, _NON_NEGATIVE, "L2 factor of the kernels")
    weight_decay_all: bool = hyperparameter(
        True, BOOLEAN, "apply weight_decay to biases, batch norms and activations too"
    )

    nms_configs: NmsConfig = dataclasses.field(default_factory=_nms)

    @property
    def num_object_classes(self) -> int:
        return self.num_classes - 1

    @property
    def coarsest_stride(self) -> int:
        return 64

    @property
    def anchor_options(self) -> dict[str, Any]:
        """Arguments of `detection.priors.generate_priors`."""
        return {
            "image_hw": self.image_hw,
            "min_scale": self.prior_min_scale,
            "max_scale": self.prior_max_scale,
        }

    def validate(self) -> None:
        if self.prior_min_scale >= self.prior_max_scale:
            raise UserError(
                f"prior_min_scale={self.prior_min_scale:g} must be below "
                f"prior_max_scale={self.prior_max_scale:g}."
            )
        if self.label_smoothing:
            raise UserError(
                f"label_smoothing={self.label_smoothing:g} is not supported by SSD, whose loss "
                "mines negatives by their unsmoothed loss: remove it."
            )


def default_ssd(model_name: str) -> SsdConfig:
    """The published hyper-parameters of an SSD.

    Args:
        model_name: Name of its backbone.

    Raises:
        UserError: There is no backbone with that name.
    """
    classifier_image_size(model_name)
    values: dict[str, Any] = {"name": model_name}
    if is_edge_network(model_name):
        values |= {"bn_momentum": 0.9, "bn_epsilon": 1e-5}
    if "-lite" in model_name:
        values |= {"mean_rgb": 127.0, "stddev_rgb": 128.0}
    return with_values(SsdConfig(), values)
