"""Typed configuration of a segmentation network: fields and defaults beyond the shared ones."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

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
from efficientvision.configs.list_field_types import EPOCHS, number_range
from efficientvision.configs.training import ACTIVATIONS, LR_DECAY_METHODS, TrainingConfig
from efficientvision.errors import UserError
from efficientvision.registry import family_of, task_of
from efficientvision.tasks.detection.efficientdet_config import HEADS
from efficientvision.tasks.segmentation.field_types import (
    CLASS_MAP,
    CLASS_WEIGHTS,
    LABEL_MAP_OF_MASKS,
)

# The default of EdgeNets' `train_segmentation.py`.
_RANDOM_SCALE = (0.5, 2.0)
# EfficientNets keep the published detectors' batch norm.
_EFFICIENTNET_BATCH_NORM = {"bn_momentum": 0.99, "bn_epsilon": 1e-3}


@dataclasses.dataclass(slots=True)
class SegmentationConfig(TrainingConfig):
    """Architecture and training hyper-parameters of a segmentation network.

    The defaults are those of EdgeNets' `train_segmentation.py`. Create one with `get_config` and
    change it with `override`; both check types.
    """

    name: str = hyperparameter("espnetv2_s_2.0", TEXT, "model name")
    task: str = hyperparameter("segmentation", one_of("segmentation"), "task of the model")

    image_size: int | str | tuple[int, int] = hyperparameter(
        256,
        IMAGE_SIZE,
        "size of training crops, and of the resized image in evaluation: side in pixels, "
        "WIDTHxHEIGHT, or (height, width)",
    )
    num_classes: int = hyperparameter(
        21,
        integer(minimum=1),
        "number of classes, including background if the records have one; default: taken from the "
        "records' labels.json",
    )
    label_map: str | dict[int, str] | None = hyperparameter(
        None,
        optional(LABEL_MAP_OF_MASKS),
        "class names: {0: name}, voc, cityscapes or a file; None: the records' labels.json",
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
    decoder_width: int = hyperparameter(
        16, integer(minimum=1), "decoder: channels of a feature map, divided by its level"
    )
    pyramid_width: int | None = hyperparameter(
        None,
        optional(integer(minimum=1)),
        "decoder: channels per scale of pyramid pooling; None: half the number of classes, but at "
        "most decoder_width",
    )
    auxiliary: bool = hyperparameter(
        False, BOOLEAN, "add the loss of an auxiliary output at stride 8 in training"
    )
    heads: tuple[str, ...] = hyperparameter(
        ("segmentation",),
        HEADS,
        "EfficientDet: segmentation, or both heads, to teach a detector to segment; with "
        "freeze=backbone+fpn+heads its detections do not change",
    )
    fpn_name: str | None = hyperparameter(
        None,
        optional(one_of("bifpn", "qufpn", "vfpn")),
        "EfficientDet: feature fusion network; None: bifpn",
    )
    detector_classes: int = hyperparameter(
        90, integer(minimum=1), "EfficientDet: number of classes of its object_detection head"
    )
    grad_checkpoint: bool = hyperparameter(
        False, BOOLEAN, "gradient checkpointing: recompute activations to save memory"
    )

    random_scale: tuple[float, float] | None = hyperparameter(
        None,
        optional(number_range(1e-2)),
        "range of the random scale factor before cropping; None: 0.5 to 2, or with "
        "`dataset=city` by the crop's width",
    )
    loss_type: str = hyperparameter(
        "ce",
        one_of("ce", "bce"),
        "ce: cross entropy per pixel; bce: binary cross entropy per pixel and class",
    )
    class_weights: str | tuple[float, ...] | None = hyperparameter(
        None,
        optional(CLASS_WEIGHTS),
        "class weights of the loss: a list of num_classes numbers; city: those of EdgeNets for "
        "Cityscapes; data: computed from the training records; None: all 1",
    )
    distill_temperature: float = hyperparameter(
        1.0,
        number(minimum=1e-2),
        "`distill_from`: temperature that softens the class probabilities of both networks",
    )
    class_map: dict[int, int] | None = hyperparameter(
        None,
        optional(CLASS_MAP),
        "for evaluation on records with other classes: {network's class: records' class}; pixels "
        "of unlisted classes are excluded from the confusion matrix",
    )
    freeze_bn: bool = hyperparameter(
        False,
        BOOLEAN,
        "freeze every batch norm as in `ckpt`: statistics, scales and offsets",
    )
    lr_mult: float = hyperparameter(
        10.0, number(minimum=0), "decoder: learning rate, as a multiple of the backbone's"
    )

    learning_rate: float = hyperparameter(
        0.009,
        number(minimum=0),
        "learning rate of the backbone (clr, hybrid: the lowest of a cycle)",
    )
    scale_learning_rate: bool = hyperparameter(
        False, BOOLEAN, "multiply the learning rates by batch size / 64; false: use them as given"
    )
    lr_warmup_init: float = hyperparameter(
        0.0, number(minimum=0), "learning rate at the first step, scaled like learning_rate"
    )
    lr_warmup_epoch: float = hyperparameter(0.0, number(minimum=0), "length of warm-up in epochs")
    lr_decay_method: str = hyperparameter(
        "hybrid", one_of(*LR_DECAY_METHODS), "learning-rate schedule after warm-up"
    )
    lr_steps: tuple[int, ...] = hyperparameter(
        (51,), EPOCHS, "clr, fixed: epochs at which the rate is multiplied by lr_decay"
    )
    num_epochs: int = hyperparameter(100, integer(minimum=1), "number of training epochs")
    clip_gradients_norm: float = hyperparameter(
        0.0, number(minimum=0), "maximum gradient norm, per variable and globally (0 = no clipping)"
    )
    weight_decay_all: bool = hyperparameter(
        True, BOOLEAN, "apply weight_decay to biases, batch norms and activations too"
    )
    moving_average_decay: float = hyperparameter(
        0.0,
        number(0, below=1),
        "decay per step of the exponential moving average of the weights (0 = off)",
    )
    bn_momentum: float = hyperparameter(
        0.9, number(0, below=1), "batch norm: momentum of the moving statistics"
    )
    bn_epsilon: float = hyperparameter(
        1e-5, number(minimum=1e-12), "batch norm: added to the variance"
    )

    aliases: ClassVar[dict[str, str]] = {"seg_num_classes": "num_classes"}

    @property
    def scale_range(self) -> tuple[float, float]:
        """Range of the random scale factor in training."""
        return self.random_scale or _RANDOM_SCALE

    @property
    def is_detector(self) -> bool:
        """Whether the network is an EfficientDet with a segmentation head."""
        return family_of(self.name) == "efficientdet"

    def validate(self) -> None:
        if "segmentation" not in self.heads:
            raise UserError(
                f"heads={'+'.join(self.heads)}: a segmentation network needs the head "
                "segmentation. Add it, or train with `task=detection`."
            )
        weights = self.class_weights
        if isinstance(weights, tuple) and len(weights) != self.num_classes:
            raise UserError(
                f"class_weights has {len(weights)} numbers, but num_classes={self.num_classes}: "
                "give one weight per class."
            )


def default_config(model_name: str) -> SegmentationConfig:
    """The published hyper-parameters of a segmentation network.

    Args:
        model_name: One of `registry.list_models("segmentation")`.

    Raises:
        UserError: The name is unknown or does not belong to a segmentation network.
    """
    task_of(model_name, "segmentation")
    values: dict[str, Any] = {"name": model_name}
    if family_of(model_name).startswith("efficient"):
        values |= _EFFICIENTNET_BATCH_NORM | {"lr_mult": 1.0}
    if "-lite" in model_name:
        values |= {"mean_rgb": 127.0, "stddev_rgb": 128.0}
    return with_values(SegmentationConfig(), values)
