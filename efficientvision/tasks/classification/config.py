"""Typed configuration of an image classifier: fields and defaults beyond the shared ones."""

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
from efficientvision.configs.list_field_types import number_range
from efficientvision.configs.training import ACTIVATIONS, LR_DECAY_METHODS, TrainingConfig
from efficientvision.registry import classifier_image_size, is_edge_network

# Below 80 million multiply-adds at 224 pixels a network is too small to learn from tiny crops.
_SMALL = (
    "espnetv2_s_0.5",
    "dicenet_s_0.2",
    "dicenet_s_0.5",
    "dicenet_s_0.75",
    "dicenet_s_1.0",
    "shufflenetv2_s_0.1",
    "shufflenetv2_s_0.5",
)
_SMALL_CROP_SCALE, _CROP_SCALE = (0.2, 1.0), (0.08, 1.0)

# The recipe of EdgeNets' `train_classification.py`.
_EDGENET_RECIPE: dict[str, Any] = {
    "lr_decay_method": "clr",
    "num_epochs": 300,
    "weight_decay": 4e-5,
    "weight_decay_all": True,
    "bn_momentum": 0.9,
    "bn_epsilon": 1e-5,
    "moving_average_decay": 0.0,
    "label_smoothing": 0.0,
}


@dataclasses.dataclass(slots=True)
class ClassificationConfig(TrainingConfig):
    """Architecture and training hyper-parameters of a classifier.

    Create one with `get_config` and change it with `override`; both check types.
    """

    name: str = hyperparameter("efficientnet-b0", TEXT, "model name")
    task: str = hyperparameter("classification", one_of("classification"), "task of the model")

    image_size: int | str | tuple[int, int] = hyperparameter(
        224, IMAGE_SIZE, "input size: side in pixels, WIDTHxHEIGHT, or (height, width)"
    )
    act_type: str | None = hyperparameter(
        None,
        optional(one_of(*ACTIVATIONS)),
        "EfficientNet: activation function; None: as published",
    )
    build_size: int | str | tuple[int, int] = hyperparameter(
        224,
        IMAGE_SIZE,
        "DiCENet: image size its kernels are built for, a multiple of 32; published: 224",
    )
    num_classes: int = hyperparameter(
        1000, integer(minimum=1), "number of classes; default: taken from the records' labels.json"
    )
    multi_label: bool = hyperparameter(
        False,
        BOOLEAN,
        "multi-label: an image may have several classes or none (binary cross entropy)",
    )
    crop_scale: tuple[float, float] = hyperparameter(
        _CROP_SCALE, number_range(1e-3, 1), "random crop: range of its area, as share of the image"
    )
    crop_ratio: tuple[float, float] = hyperparameter(
        (3 / 4, 4 / 3), number_range(1e-2), "random crop: range of its aspect ratio, width / height"
    )
    eval_crop: float | None = hyperparameter(
        None,
        optional(number(0.1, 1)),
        "evaluation: side of the centre crop, as a share of the image's; 1 with multi_label "
        "resizes the whole image; None: 0.875, or 1 with multi_label",
    )
    dropout_rate: float | None = hyperparameter(
        None,
        optional(number(0, below=1)),
        "dropout rate before the last layer; None: the network's own",
    )
    distill_temperature: float = hyperparameter(
        4.0,
        number(minimum=1e-2),
        "`distill_from`: temperature that softens the class probabilities of both networks",
    )

    learning_rate: float = hyperparameter(
        0.1, number(minimum=0), "learning rate (clr, hybrid: the lowest of a cycle)"
    )
    scale_learning_rate: bool = hyperparameter(
        False, BOOLEAN, "multiply the learning rates by batch size / 64; false: use them as given"
    )
    lr_warmup_init: float = hyperparameter(
        0.0, number(minimum=0), "learning rate at the first step, scaled like learning_rate"
    )
    lr_warmup_epoch: float = hyperparameter(0.0, number(minimum=0), "length of warm-up in epochs")
    lr_decay_method: str = hyperparameter(
        "cosine", one_of(*LR_DECAY_METHODS), "learning-rate schedule after warm-up"
    )
    lr_power: float = hyperparameter(0.99, number(minimum=1e-12), "poly: exponent of the decay")
    clip_gradients_norm: float = hyperparameter(
        0.0, number(minimum=0), "maximum gradient norm, per variable and globally (0 = no clipping)"
    )
    label_smoothing: float = hyperparameter(
        0.1, number(0, below=1), "label smoothing of the class targets"
    )
    weight_decay: float = hyperparameter(1e-5, number(minimum=0), "L2 factor of the kernels")
    moving_average_decay: float = hyperparameter(
        0.9999,
        number(0, below=1),
        "decay per step of the exponential moving average of the weights (0 = off)",
    )

    @property
    def eval_share(self) -> float:
        """Side of evaluation's centre crop, as a share of the image's."""
        if self.eval_crop is not None:
            return self.eval_crop
        return 1.0 if self.multi_label else 0.875


def default_config(model_name: str) -> ClassificationConfig:
    """The published hyper-parameters of a classifier.

    Args:
        model_name: One of `registry.list_models("classification")`.

    Raises:
        UserError: The name is unknown or does not belong to a classifier.
    """
    crop_scale = _SMALL_CROP_SCALE if model_name in _SMALL else _CROP_SCALE
    values = {
        "name": model_name,
        "image_size": classifier_image_size(model_name),
        "crop_scale": crop_scale,
    }
    if is_edge_network(model_name):
        values |= _EDGENET_RECIPE
    if "-lite" in model_name:
        values |= {"mean_rgb": 127.0, "stddev_rgb": 128.0}
    return with_values(ClassificationConfig(), values)
