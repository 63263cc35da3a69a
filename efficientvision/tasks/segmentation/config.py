"""Typed configuration of a segmentation network: what differs from the shared hyper-parameters."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from efficientvision.configs.apply import with_values
from efficientvision.configs.kinds import (
    BOOLEAN,
    IMAGE_SIZE,
    TEXT,
    hyperparameter,
    integer,
    number,
    one_of,
    optional,
)
from efficientvision.configs.list_kinds import EPOCHS, number_range
from efficientvision.configs.training import ACTIVATIONS, LR_DECAY_METHODS, TrainingConfig
from efficientvision.errors import UserError
from efficientvision.registry import family_of, task_of
from efficientvision.tasks.detection.efficientdet_config import HEADS
from efficientvision.tasks.segmentation.field_types import (
    CLASS_MAP,
    CLASS_WEIGHTS,
    LABEL_MAP_OF_MASKS,
)

# What `train_segmentation.py` takes where nothing else is said.
_RANDOM_SCALE = (0.5, 2.0)
# EfficientNets keep the published detectors' batch norm.
_EFFICIENTNET_BATCH_NORM = {"bn_momentum": 0.99, "bn_epsilon": 1e-3}


@dataclasses.dataclass(slots=True)
class SegmentationConfig(TrainingConfig):
    """All that decides what a segmentation network is and how it is trained.

    The defaults are those of EdgeNets' `train_segmentation.py`. Make one with `get_config`, change
    it with `override`; both check types.
    """

    name: str = hyperparameter("espnetv2_s_2.0", TEXT, "model name")
    task: str = hyperparameter("segmentation", one_of("segmentation"), "what the model does")

    image_size: int | str | tuple[int, int] = hyperparameter(
        256,
        IMAGE_SIZE,
        "size of the training crops, and of the whole image in evaluation: side in pixels, "
        "WIDTHxHEIGHT, or (height, width)",
    )
    num_classes: int = hyperparameter(
        21,
        integer(minimum=1),
        "classes, background included where the records have one; not set: those of the records' "
        "labels.json",
    )
    label_map: str | dict[int, str] | None = hyperparameter(
        None,
        optional(LABEL_MAP_OF_MASKS),
        "class names: {0: name}, voc, cityscapes or a file; None: labels.json of the records",
    )
    act_type: str | None = hyperparameter(
        None, optional(one_of(*ACTIVATIONS)), "EfficientNet: activation; None: the published one"
    )
    build_size: int | str | tuple[int, int] = hyperparameter(
        224,
        IMAGE_SIZE,
        "DiCENet: image size that its kernels are made for, multiples of 32; published: 224",
    )
    decoder_width: int = hyperparameter(
        16, integer(minimum=1), "decoder: channels of a map, times its level"
    )
    pyramid_width: int | None = hyperparameter(
        None,
        optional(integer(minimum=1)),
        "decoder: channels of each scale of a pyramid pooling; None: half the classes, at most "
        "decoder_width",
    )
    auxiliary: bool = hyperparameter(
        False, BOOLEAN, "training adds the loss of a second output, at stride 8"
    )
    heads: tuple[str, ...] = hyperparameter(
        ("segmentation",),
        HEADS,
        "EfficientDet: segmentation; with object_detection too, a detector learns to segment, and "
        "freeze=backbone+fpn+heads leaves it the detector that it was",
    )
    fpn_name: str | None = hyperparameter(
        None,
        optional(one_of("bifpn", "qufpn", "vfpn")),
        "EfficientDet: fusion network; None: bifpn",
    )
    detector_classes: int = hyperparameter(
        90, integer(minimum=1), "EfficientDet: classes of its object_detection head"
    )
    grad_checkpoint: bool = hyperparameter(
        False, BOOLEAN, "training computes intermediate results twice to save memory"
    )

    random_scale: tuple[float, float] | None = hyperparameter(
        None,
        optional(number_range(1e-2)),
        "training scales an image by a factor in between before it crops; None: 0.5 to 2, for "
        "`dataset=city` by the crop's width",
    )
    loss_type: str = hyperparameter(
        "ce",
        one_of("ce", "bce"),
        "ce: cross entropy of the pixels; bce: binary cross entropy of every class by itself",
    )
    class_weights: str | tuple[float, ...] | None = hyperparameter(
        None,
        optional(CLASS_WEIGHTS),
        "weights of the classes in the loss: a list of num_classes numbers; city: those of "
        "EdgeNets for Cityscapes; data: from the training records; None: all 1",
    )
    class_map: dict[int, int] | None = hyperparameter(
        None,
        optional(CLASS_MAP),
        "evaluation on records of other classes: {class of the network: class of the records}; "
        "pixels of a class that is not named are left out of the confusion matrix",
    )
    freeze_bn: bool = hyperparameter(
        False,
        BOOLEAN,
        "training keeps every batch norm as it is in `ckpt`: statistics, scales and offsets",
    )
    lr_mult: float = hyperparameter(
        10.0, number(minimum=0), "the decoder learns at so many times the backbone's learning rate"
    )

    learning_rate: float = hyperparameter(
        0.009, number(minimum=0), "of the backbone (of clr and hybrid the lowest of a cycle)"
    )
    scale_learning_rate: bool = hyperparameter(
        False, BOOLEAN, "multiply the learning rates by batch / 64; false: take them as they are"
    )
    lr_warmup_init: float = hyperparameter(
        0.0, number(minimum=0), "learning rate of the first step, scaled as learning_rate is"
    )
    lr_warmup_epoch: float = hyperparameter(0.0, number(minimum=0), "length of the warm-up, epochs")
    lr_decay_method: str = hyperparameter(
        "hybrid", one_of(*LR_DECAY_METHODS), "schedule after the warm-up"
    )
    lr_steps: tuple[int, ...] = hyperparameter(
        (51,), EPOCHS, "clr, fixed: epochs from which the rate is lower by the factor lr_decay"
    )
    num_epochs: int = hyperparameter(100, integer(minimum=1), "length of training, epochs")
    clip_gradients_norm: float = hyperparameter(
        0.0, number(minimum=0), "largest norm of a gradient, each and all together; 0: no clipping"
    )
    weight_decay_all: bool = hyperparameter(
        True, BOOLEAN, "weight_decay is of biases, batch norms and activations too"
    )
    moving_average_decay: float = hyperparameter(
        0.0, number(0, below=1), "decay of the averaged weights per step; 0: no averages"
    )
    bn_momentum: float = hyperparameter(
        0.9, number(0, below=1), "batch norm: what the moving statistics keep per step"
    )
    bn_epsilon: float = hyperparameter(
        1e-5, number(minimum=1e-12), "batch norm: added to the variance"
    )

    aliases: ClassVar[dict[str, str]] = {"seg_num_classes": "num_classes"}

    @property
    def scale_range(self) -> tuple[float, float]:
        """Bounds of the factor by which training scales an image."""
        return self.random_scale or _RANDOM_SCALE

    @property
    def is_detector(self) -> bool:
        """Whether the network is an EfficientDet with a segmentation head."""
        return family_of(self.name) == "efficientdet"

    def settle(self) -> None:
        if "segmentation" not in self.heads:
            raise UserError(
                f"heads={'+'.join(self.heads)}: a network for segmentation needs the head "
                "segmentation; without it, train with `task=detection`."
            )
        weights = self.class_weights
        if isinstance(weights, tuple) and len(weights) != self.num_classes:
            raise UserError(
                f"class_weights has {len(weights)} numbers, and num_classes={self.num_classes}: "
                "give every class one."
            )


def default_config(model_name: str) -> SegmentationConfig:
    """The published hyper-parameters of a segmentation network.

    Args:
        model_name: One of `registry.list_models("segmentation")`.

    Raises:
        UserError: The name is unknown or is not of such a network.
    """
    task_of(model_name, "segmentation")
    values: dict[str, Any] = {"name": model_name}
    if family_of(model_name).startswith("efficient"):
        values |= _EFFICIENTNET_BATCH_NORM | {"lr_mult": 1.0}
    if "-lite" in model_name:
        values |= {"mean_rgb": 127.0, "stddev_rgb": 128.0}
    return with_values(SegmentationConfig(), values)
