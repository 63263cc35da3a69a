"""Typed configuration of an SSD detector: what differs from the shared hyper-parameters."""

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
    """What the published detectors are measured with, less what never gets so far."""
    return NmsConfig(method="hard", iou_thresh=0.45, max_nms_inputs=2000, max_output_size=200)


@dataclasses.dataclass(slots=True)
class SsdConfig(DetectionConfig):
    """All that decides what an SSD is and how it is trained.

    The defaults are the recipe of EdgeNets' `train_detection.py` at 300 pixels. Make one with
    `get_config`, change it with `override`; both check types.
    """

    name: str = hyperparameter("espnetv2_s_2.0", TEXT, "name of the backbone")
    image_size: int | str | tuple[int, int] = hyperparameter(
        SSD_IMAGE_SIZE,
        IMAGE_SIZE,
        "input size, to which photos are stretched: side in pixels, WIDTHxHEIGHT, or "
        "(height, width)",
    )
    num_classes: int = hyperparameter(
        21,
        integer(minimum=2),
        "classes, with the background; not set: one more than the records' labels.json has",
    )
    act_type: str | None = hyperparameter(
        None, optional(one_of(*ACTIVATIONS)), "EfficientNet: activation; None: the published one"
    )
    build_size: int | str | tuple[int, int] = hyperparameter(
        224, IMAGE_SIZE, "DiCENet: image size that its kernels are made for, multiples of 32"
    )
    prior_min_scale: float = hyperparameter(
        0.1, number(0.005, 1), "size of the smallest square priors, in sides of the image"
    )
    prior_max_scale: float = hyperparameter(
        1.05, number(0.01, 2), "the same of a level that would follow the coarsest"
    )
    photometric_distortion: bool = hyperparameter(
        True, BOOLEAN, "training changes brightness, contrast, saturation, hue, order of channels"
    )
    expand_prob: float = hyperparameter(
        0.5, number(0, 1), "share of the training photos that are put on a larger canvas"
    )
    expand_max: float = hyperparameter(
        4.0, number(minimum=1), "greatest sides of that canvas, in those of the photo"
    )
    sample_crop: bool = hyperparameter(
        True, BOOLEAN, "training cuts out parts that overlap an object by 0 to .9, drawn at random"
    )
    voc_metrics: bool = hyperparameter(
        True, BOOLEAN, "evaluations add PASCAL VOC's average precisions to COCO's"
    )

    learning_rate: float = hyperparameter(
        0.01, _NON_NEGATIVE, "learning rate (of clr and hybrid the lowest of a cycle)"
    )
    lr_mult: float = hyperparameter(
        1.0, _NON_NEGATIVE, "all but the backbone learns at so many times its learning rate"
    )
    scale_learning_rate: bool = hyperparameter(
        False, BOOLEAN, "multiply the learning rates by batch / 64; false: take them as they are"
    )
    lr_warmup_init: float = hyperparameter(
        0.0, _NON_NEGATIVE, "learning rate of the first step, scaled as learning_rate is"
    )
    lr_warmup_epoch: float = hyperparameter(0.0, _NON_NEGATIVE, "length of the warm-up, epochs")
    lr_decay_method: str = hyperparameter(
        "hybrid", one_of(*LR_DECAY_METHODS), "schedule after the warm-up"
    )
    lr_steps: tuple[int, ...] = hyperparameter(
        (51, 161, 201), EPOCHS, "clr, fixed: epochs from which the rate is lower by lr_decay"
    )
    lr_decay: float = hyperparameter(0.1, number(minimum=1e-12), "clr, fixed: that factor")
    clip_gradients_norm: float = hyperparameter(
        0.0, _NON_NEGATIVE, "largest norm of a gradient, each and all together; 0: no clipping"
    )
    num_epochs: int = hyperparameter(100, integer(minimum=1), "length of training, epochs")
    moving_average_decay: float = hyperparameter(
        0.0, number(0, below=1), "decay of the averaged weights per step; 0: no averages"
    )
    weight_decay: float = hyperparameter(5e-4, _NON_NEGATIVE, "L2 factor of the kernels")
    weight_decay_all: bool = hyperparameter(
        True, BOOLEAN, "weight_decay is of biases, batch norms and activations too"
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
                f"label_smoothing={self.label_smoothing:g}: SSD's loss has no smoothing, and "
                "chooses its negatives by their loss; leave it out."
            )


def default_ssd(model_name: str) -> SsdConfig:
    """The published hyper-parameters of an SSD.

    Args:
        model_name: Name of its backbone.

    Raises:
        UserError: No backbone has that name.
    """
    classifier_image_size(model_name)
    values: dict[str, Any] = {"name": model_name}
    if is_edge_network(model_name):
        values |= {"bn_momentum": 0.9, "bn_epsilon": 1e-5}
    if "-lite" in model_name:
        values |= {"mean_rgb": 127.0, "stddev_rgb": 128.0}
    return with_values(SsdConfig(), values)
