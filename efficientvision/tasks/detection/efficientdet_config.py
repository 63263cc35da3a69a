"""Typed configuration of EfficientDet: each hyper-parameter with default, meaning and unit."""

from __future__ import annotations

import dataclasses
from typing import Any

from efficientvision.configs.apply import field_table
from efficientvision.configs.field_types import (
    BOOLEAN,
    TEXT,
    FieldType,
    hyperparameter,
    integer,
    number,
    one_of,
    optional,
)
from efficientvision.configs.list_field_types import ASPECT_RATIOS
from efficientvision.configs.training import ACTIVATIONS
from efficientvision.errors import UserError
from efficientvision.registry import backbone_names, detection_defaults, vfpn_cell_repeats
from efficientvision.tasks.detection.base_config import DetectionConfig
from efficientvision.tasks.detection.multi_scale import LARGEST, training_sizes

_POSITIVE = number(minimum=1e-12)
_NON_NEGATIVE = number(minimum=0)
_COUNT = integer(minimum=1)

# Pixels of 0..255 minus this, divided by this, are from -1 to 1.
_HALF_RANGE = 127.5

_HEAD_NAMES = ("object_detection", "segmentation")


def _heads(value: Any) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    heads = tuple(one_of(*_HEAD_NAMES).convert(name.strip()) for name in names)
    if not heads or len(set(heads)) != len(heads):
        raise ValueError
    return heads


HEADS = FieldType("a list of heads: " + ", ".join(_HEAD_NAMES), _heads)

# The VFPN fork's names for fusion networks include the weighting method.
_FPN_NAMES = {"bifpn_sum": "sum", "bifpn_fa": "fastattn", "bifpn_dyn": None}

# What follows from fpn_name as long as nobody sets it: see _derive_fusion.
_FUSION_DEPENDENT = ("fpn_cell_repeats", "fpn_weight_method", "aspect_ratios")


# Each field below: default, accepted values, meaning and unit.
@dataclasses.dataclass(slots=True)
class EfficientDetConfig(DetectionConfig):
    """Architecture and training hyper-parameters of an EfficientDet.

    Names and defaults are the published ones (`hparams_config.py` of google/automl), with a few
    additions. Create one with `get_config` and change it with `override`; both check types.
    """

    name: str = hyperparameter("efficientdet-d0", TEXT, "model name")

    scale_range: bool = hyperparameter(
        False,
        BOOLEAN,
        "scale pixels to -1..1 (mean_rgb=127.5,stddev_rgb=127.5), as for Det-AdvProp checkpoints",
    )
    act_type: str = hyperparameter("swish", one_of(*ACTIVATIONS), "activation function")
    autoaugment_policy: str | None = hyperparameter(
        None,
        optional(one_of("v0", "v1", "v2", "v3", "test", "randaug", "")),
        "augmentation: AutoAugment policy for colours and geometry (randaug: RandAugment)",
    )
    randaug_num_layers: int = hyperparameter(1, _COUNT, "randaug: operations per image")
    randaug_magnitude: float = hyperparameter(
        15.0, _NON_NEGATIVE, "randaug: magnitude of the operations; policies use 0 to 10"
    )
    grid_mask: bool = hyperparameter(
        False, BOOLEAN, "augmentation: GridMask, a grid of black squares over most images"
    )
    mosaic_prob: float = hyperparameter(
        0.0, number(0, 1), "augmentation: probability of mosaic, one example from four images"
    )
    mixup_prob: float = hyperparameter(
        0.0, number(0, 1), "augmentation: probability of mixup, a blend with another image"
    )
    mix_end: float = hyperparameter(
        1.0,
        number(0, 1),
        "augmentation: share of the training after which mosaic and mixup stop; 1: never",
    )
    hsv_jitter: float = hyperparameter(
        0.0,
        number(0, 1),
        "augmentation: strength of the colour jitter; 1: hue by up to 1.5 %, saturation 70 %, "
        "brightness 40 %, as in YOLOX",
    )
    jitter_min: float = hyperparameter(
        0.1, _POSITIVE, "scale jitter: smallest factor, relative to the image resized to fit"
    )
    jitter_max: float = hyperparameter(2.0, _POSITIVE, "scale jitter: largest factor")
    multi_scale: float = hyperparameter(
        0.0,
        number(0, LARGEST),
        "training at up to five input sizes, from 1 - this to 1 + this times image_size; 0: off",
    )
    seg_num_classes: int = hyperparameter(3, _COUNT, "number of classes of the segmentation head")
    heads: tuple[str, ...] = hyperparameter(
        ("object_detection",), HEADS, "output heads: object_detection, segmentation"
    )
    min_level: int = hyperparameter(3, _COUNT, "finest feature level (stride 2^level pixels)")
    max_level: int = hyperparameter(7, _COUNT, "coarsest feature level")
    num_scales: int = hyperparameter(3, _COUNT, "anchor scales per octave")
    aspect_ratios: tuple[Any, ...] = hyperparameter(
        (1.0, 2.0, 0.5),
        ASPECT_RATIOS,
        "anchor aspect ratios: width/height, or (width, height) factors",
    )
    anchor_scale: float = hyperparameter(
        4.0, _POSITIVE, "side of a level's smallest anchor, in strides of the level"
    )
    survival_prob: float | None = hyperparameter(
        None, optional(number(0, 1)), "heads: drop-connect survival probability; None: off"
    )
    assignment: str = hyperparameter(
        "iou",
        one_of("iou", "task_aligned"),
        "anchors of an object. iou: those that overlap it; task_aligned: those whose predictions "
        "suit it best (TOOD)",
    )
    class_loss: str = hyperparameter(
        "focal",
        one_of("focal", "quality_focal"),
        "class loss; quality_focal: scores learn how well the predicted box fits",
    )
    alpha: float = hyperparameter(0.25, number(0, 1), "focal: weight of positives")
    gamma: float = hyperparameter(
        1.5, _NON_NEGATIVE, "focal, quality_focal: exponent of the focusing factor"
    )
    delta: float = hyperparameter(
        0.1, _POSITIVE, "Huber box loss: threshold from quadratic to linear"
    )
    box_loss_weight: float = hyperparameter(50.0, _NON_NEGATIVE, "weight of the box loss")
    iou_loss_type: str | None = hyperparameter(
        None, optional(one_of("iou", "giou", "diou", "ciou")), "additional IoU loss; None: none"
    )
    iou_loss_weight: float = hyperparameter(1.0, _NON_NEGATIVE, "weight of the IoU loss")
    distill_box_weight: float = hyperparameter(
        1.0,
        _NON_NEGATIVE,
        "`distill_from`: weight of the loss against the teacher's boxes (0 = off)",
    )
    positives_momentum: float | None = hyperparameter(
        None,
        optional(number(0, below=1)),
        "momentum of the number of positives that normalises the loss; None: per batch",
    )
    backbone_name: str = hyperparameter(
        "efficientnet-b0", one_of(*backbone_names()), "backbone network"
    )
    box_class_repeats: int = hyperparameter(3, integer(0), "convolutions per head")
    fpn_name: str | None = hyperparameter(
        None, optional(one_of("bifpn", "qufpn", "vfpn")), "feature fusion network; None: bifpn"
    )
    fpn_weight_method: str | None = hyperparameter(
        None,
        optional(one_of("fastattn", "attn", "sum", "channel_attn", "channel_fastattn")),
        "weighting of a fusion node's inputs; None: fastattn",
    )
    fpn_cell_repeats: int = hyperparameter(3, _COUNT, "number of fusion cells")
    fpn_num_filters: int = hyperparameter(64, _COUNT, "channels of the fusion network and heads")
    separable_conv: bool = hyperparameter(
        True, BOOLEAN, "use separable convolutions in the fusion network and the heads"
    )
    apply_bn_for_resampling: bool = hyperparameter(
        True, BOOLEAN, "batch norm after the 1x1 convolutions that adapt channels"
    )
    conv_after_downsample: bool = hyperparameter(
        False, BOOLEAN, "adapt channels after pooling instead of before"
    )
    conv_bn_act_pattern: bool = hyperparameter(
        False, BOOLEAN, "fusion node: activation after the convolution instead of before"
    )
    padding: str = hyperparameter(
        "same",
        one_of("same", "symmetric"),
        "border of strided layers: TensorFlow's SAME, or PyTorch's, alike on both sides",
    )
    fpn_resizing: str = hyperparameter(
        "nearest",
        one_of("nearest", "bilinear"),
        "resizing in the fusion: nearest (max-pooling down, nearest neighbour up) or bilinear",
    )

    @property
    def num_object_classes(self) -> int:
        return self.num_classes

    @property
    def training_sizes(self) -> list[tuple[int, int]]:
        """Input sizes (height, width) of the training steps, smallest first; see `multi_scale`."""
        return training_sizes(self.image_hw, self.multi_scale)

    @property
    def largest_hw(self) -> tuple[int, int]:
        return self.training_sizes[-1]

    @property
    def coarsest_stride(self) -> int:
        return 2**self.max_level

    @property
    def anchors_per_location(self) -> int:
        """Number of anchors per cell of a feature map."""
        return self.num_scales * len(self.aspect_ratios)

    @property
    def anchor_options(self) -> dict[str, Any]:
        """Arguments of `detection.anchors.generate_anchors`."""
        return {
            "image_hw": self.image_hw,
            "min_level": self.min_level,
            "max_level": self.max_level,
            "num_scales": self.num_scales,
            "aspect_ratios": self.aspect_ratios,
            "anchor_scale": self.anchor_scale,
        }

    def apply_special(self, name: str, value: Any, notes: list[str]) -> bool:
        # slots=True replaces the class, which breaks super() without arguments.
        return DetectionConfig.apply_special(self, name, value, notes) or _apply_fusion_name(
            self, name, value
        )

    def validate(self) -> None:
        _apply_scale_range(self)
        _derive_fusion(self)
        _check_bounds(self)
        _check_class_loss(self)


def _apply_fusion_name(config: EfficientDetConfig, name: str, value: Any) -> bool:
    """Sets `fpn_name` from a name that includes the weighting; returns whether it was one."""
    if name != "fpn_name" or not isinstance(value, str) or value not in _FPN_NAMES:
        return False
    config.fpn_name = "bifpn"
    if _FPN_NAMES[value]:
        config.fpn_weight_method = _FPN_NAMES[value]
        config._explicit.add("fpn_weight_method")
    config._explicit.add("fpn_name")
    return True


def _apply_scale_range(config: EfficientDetConfig) -> None:
    """Sets `mean_rgb` and `stddev_rgb` from `scale_range`.

    google/automl's command for Det-AdvProp is `mean_rgb=0.0,stddev_rgb=1.0,scale_range=True`: it
    turns the usual normalisation off.

    Raises:
        UserError: An override set another normalisation.
    """
    if not config.scale_range:
        return
    names = ("mean_rgb", "stddev_rgb")
    for name, off in zip(names, (0.0, 1.0), strict=True):
        value = getattr(config, name)
        if config.is_set(name) and value not in ((off,) * 3, (_HALF_RANGE,) * 3):
            raise UserError(
                f"{name}={value} contradicts scale_range=True, which scales pixels to -1..1: "
                "remove one of them."
            )
    for name in names:
        setattr(config, name, (_HALF_RANGE,) * 3)
        config._explicit.add(name)


def _derive_fusion(config: EfficientDetConfig) -> None:
    """Sets the defaults that depend on fpn_name, except those set by an override.

    VFPN has its own number of cells and always weights by fastattn. Its published checkpoints
    were trained with anchors whose sides are 1.4 and 0.7 times the square's.
    """
    defaults = {name: field_table(config)[name].default for name in _FUSION_DEPENDENT}
    defaults |= {k: v for k, v in detection_defaults(config.name).items() if k in defaults}
    if config.fpn_name == "vfpn":
        defaults = {
            "fpn_cell_repeats": vfpn_cell_repeats(config.name),
            "fpn_weight_method": "fastattn",
            "aspect_ratios": ((1.0, 1.0), (1.4, 0.7), (0.7, 1.4)),
        }
    for name, value in defaults.items():
        if name not in config._explicit:
            setattr(config, name, value)


def _check_class_loss(config: EfficientDetConfig) -> None:
    """Raises UserError if a value that was set has no part in the class loss."""
    if config.class_loss != "quality_focal":
        return
    for name in ("alpha", "label_smoothing"):
        if config.is_written(name):
            raise UserError(
                f"{name}={getattr(config, name)} has no effect with class_loss=quality_focal: "
                "remove one of them."
            )


def _check_bounds(config: EfficientDetConfig) -> None:
    """Checks pairs of lower and upper bounds.

    Raises:
        UserError: A lower bound is above its upper bound.
    """
    for low, high in (("min_level", "max_level"), ("jitter_min", "jitter_max")):
        if getattr(config, low) > getattr(config, high):
            raise UserError(
                f"{low}={getattr(config, low)} must not be above {high}={getattr(config, high)}."
            )
