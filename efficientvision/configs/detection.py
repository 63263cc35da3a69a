"""Typed configuration of a detector: every hyper-parameter with its default, meaning and unit."""

from __future__ import annotations

import copy
import dataclasses
import sys
from typing import Any

import yaml

from efficientvision.configs.apply import apply_change, check_together, converted, settle_fusion
from efficientvision.configs.kinds import (
    ASPECT_RATIOS,
    BOOLEAN,
    HEADS,
    IMAGE_SIZE,
    LABEL_MAP,
    MIXED_PRECISION,
    PARTS,
    RGB,
    TEXT,
    hyperparameter,
    integer,
    number,
    one_of,
    optional,
    parse_image_size,
)
from efficientvision.configs.overrides import read_overrides, read_yaml
from efficientvision.errors import UserError
from efficientvision.registry import backbone_names, detection_defaults

_POSITIVE = number(minimum=1e-12)
_NON_NEGATIVE = number(minimum=0)
_COUNT = integer(minimum=1)

ACTIVATIONS = ("swish", "swish_native", "silu", "relu", "relu6", "hswish", "mish", "identity")


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


# How each field is written below: default, what it accepts, meaning and unit.
@dataclasses.dataclass(slots=True)
class DetectionConfig:
    """All that decides what a detector is and how it is trained.

    Names and defaults are the published ones (`hparams_config.py` of google/automl), with a few of
    our own at the end. Make one with `get_config`, change it with `override`; both check types.
    """

    name: str = hyperparameter("efficientdet-d0", TEXT, "model name")

    act_type: str = hyperparameter("swish", one_of(*ACTIVATIONS), "activation of the network")
    image_size: int | str | tuple[int, int] = hyperparameter(
        512, IMAGE_SIZE, "input size: side in pixels, WIDTHxHEIGHT, or (height, width)"
    )
    input_rand_hflip: bool = hyperparameter(True, BOOLEAN, "training flips half of the images")
    input_rand_vflip: bool = hyperparameter(
        False, BOOLEAN, "training flips half of them upside down (microscopy, aerial photos)"
    )
    input_rand_rot90: bool = hyperparameter(
        False, BOOLEAN, "training turns them by quarters (photos without an upright direction)"
    )
    autoaugment_policy: str | None = hyperparameter(
        None,
        optional(one_of("v0", "v1", "v2", "v3", "test", "randaug", "")),
        "training alters colours and shapes by this AutoAugment policy (randaug: RandAugment)",
    )
    randaug_num_layers: int = hyperparameter(1, _COUNT, "randaug: operations on each photo")
    randaug_magnitude: float = hyperparameter(
        15.0, _NON_NEGATIVE, "randaug: strength of the operations; policies use 0 to 10"
    )
    grid_mask: bool = hyperparameter(
        False, BOOLEAN, "training covers most photos with a grid of black squares (GridMask)"
    )
    mosaic_prob: float = hyperparameter(
        0.0, number(0, 1), "share of training examples put together from parts of four photos"
    )
    mixup_prob: float = hyperparameter(
        0.0, number(0, 1), "share of training examples blended with another photo"
    )
    jitter_min: float = hyperparameter(
        0.1, _POSITIVE, "least factor by which training scales an image, after it fits the input"
    )
    jitter_max: float = hyperparameter(2.0, _POSITIVE, "greatest such factor")
    mean_rgb: tuple[float, ...] = hyperparameter(
        (123.675, 116.28, 103.53), RGB, "subtracted from the pixels (0..255), per channel"
    )
    stddev_rgb: tuple[float, ...] = hyperparameter(
        (58.395, 57.120000000000005, 57.375), RGB, "divides the pixels (0..255), per channel"
    )

    num_classes: int = hyperparameter(90, _COUNT, "classes, without background")
    seg_num_classes: int = hyperparameter(3, _COUNT, "classes of the segmentation head")
    heads: tuple[str, ...] = hyperparameter(
        ("object_detection",), HEADS, "heads: object_detection, segmentation"
    )
    label_map: str | dict[int, str] | None = hyperparameter(
        None, optional(LABEL_MAP), "class names: {1: name}, coco, voc, waymo or a file"
    )
    max_instances_per_image: int = hyperparameter(
        100, _COUNT, "most ground-truth boxes of an image that training uses"
    )
    skip_crowd_during_training: bool = hyperparameter(
        True, BOOLEAN, "leave boxes around crowds out of training"
    )
    regenerate_source_id: bool = hyperparameter(
        False, BOOLEAN, "number the images by a hash of their content, not by their record's id"
    )

    min_level: int = hyperparameter(3, _COUNT, "finest feature level (stride 2^level pixels)")
    max_level: int = hyperparameter(7, _COUNT, "coarsest feature level")
    num_scales: int = hyperparameter(3, _COUNT, "anchor sizes in an octave")
    aspect_ratios: tuple[Any, ...] = hyperparameter(
        (1.0, 2.0, 0.5), ASPECT_RATIOS, "anchor shapes: width/height, or (width, height) factors"
    )
    anchor_scale: float = hyperparameter(
        4.0, _POSITIVE, "side of the smallest anchor of a level, in strides"
    )

    is_training_bn: bool = hyperparameter(
        True, BOOLEAN, "false: training keeps the batch-norm statistics of the checkpoint"
    )
    optimizer: str = hyperparameter("sgd", one_of("sgd", "adam", "adamw"), "optimizer")
    momentum: float = hyperparameter(0.9, number(0, below=1), "momentum of sgd")
    learning_rate: float = hyperparameter(
        0.08, _NON_NEGATIVE, "peak learning rate at batch 64 (see scale_learning_rate)"
    )
    lr_warmup_init: float = hyperparameter(
        0.008, _NON_NEGATIVE, "learning rate of the first step, scaled as learning_rate is"
    )
    lr_warmup_epoch: float = hyperparameter(1.0, _NON_NEGATIVE, "length of the warm-up, epochs")
    lr_decay_method: str = hyperparameter(
        "cosine", one_of("cosine", "stepwise", "polynomial"), "schedule after the warm-up"
    )
    first_lr_drop_epoch: float = hyperparameter(
        200.0, _NON_NEGATIVE, "stepwise: epoch from which the rate is a tenth"
    )
    second_lr_drop_epoch: float = hyperparameter(
        250.0, _NON_NEGATIVE, "stepwise: epoch from which it is a hundredth"
    )
    poly_lr_power: float = hyperparameter(0.9, _POSITIVE, "polynomial: exponent")
    clip_gradients_norm: float = hyperparameter(
        10.0, _NON_NEGATIVE, "largest norm of a gradient, each and all together; 0: no clipping"
    )
    num_epochs: int = hyperparameter(300, _COUNT, "length of training, epochs")
    early_stopping_patience: int = hyperparameter(
        0, integer(0), "end after so many evaluations without a better AP; 0: never"
    )
    early_stopping_min_delta: float = hyperparameter(
        0.0, _NON_NEGATIVE, "by how much AP (0..1) must rise to count as better"
    )
    moving_average_decay: float = hyperparameter(
        0.9998, number(0, below=1), "decay of the averaged weights per step; 0: no averages"
    )
    survival_prob: float | None = hyperparameter(
        None, optional(number(0, 1)), "drop-connect of the heads: probability to keep; None: off"
    )
    var_freeze_expr: str | None = hyperparameter(
        None, optional(TEXT), "regular expression: variables whose path it begins do not train"
    )
    var_exclude_expr: str | None = hyperparameter(
        None, optional(TEXT), "regular expression: variables that are not read from --ckpt"
    )
    freeze: tuple[str, ...] = hyperparameter(
        (), PARTS, "parts that do not train, batch-norm statistics included: backbone+fpn"
    )
    skip_mismatch: bool = hyperparameter(
        True, BOOLEAN, "the class head may differ in shape from --ckpt and then starts afresh"
    )
    match_classes_by_name: bool = hyperparameter(
        True, BOOLEAN, "classes that --ckpt has under the same name keep its class head"
    )

    label_smoothing: float = hyperparameter(0.0, number(0, below=1), "of the class targets")
    alpha: float = hyperparameter(0.25, number(0, 1), "focal loss: weight of positives")
    gamma: float = hyperparameter(1.5, _NON_NEGATIVE, "focal loss: focusing exponent")
    delta: float = hyperparameter(0.1, _POSITIVE, "huber box loss: end of its quadratic part")
    box_loss_weight: float = hyperparameter(50.0, _NON_NEGATIVE, "weight of the box loss")
    iou_loss_type: str | None = hyperparameter(
        None, optional(one_of("iou", "giou", "diou", "ciou")), "adds a box-overlap loss"
    )
    iou_loss_weight: float = hyperparameter(1.0, _NON_NEGATIVE, "weight of that loss")
    positives_momentum: float | None = hyperparameter(
        None, optional(number(0, below=1)), "momentum of the loss normaliser; None: per batch"
    )
    weight_decay: float = hyperparameter(4e-5, _NON_NEGATIVE, "L2 factor of the kernels")

    strategy: str | None = hyperparameter(
        None,
        optional(one_of("none", "gpus", "multi_worker", "tpu", "")),
        "none, gpus, multi_worker or tpu, as --strategy; None: chosen by what is there",
    )
    mixed_precision: bool | str = hyperparameter(
        False,
        MIXED_PRECISION,
        "compute in bfloat16 (true) or float16, keep variables, statistics and losses in float32",
    )
    gradient_accumulation: int = hyperparameter(
        1, _COUNT, "parts in which a step works off its batch: memory for one, results of all"
    )
    grad_checkpoint: bool = hyperparameter(
        False, BOOLEAN, "training computes intermediate results twice to save memory"
    )

    backbone_name: str = hyperparameter(
        "efficientnet-b0", one_of(*backbone_names()), "backbone network"
    )
    box_class_repeats: int = hyperparameter(3, integer(0), "convolutions of each head")
    fpn_name: str | None = hyperparameter(
        None, optional(one_of("bifpn", "qufpn", "vfpn")), "fusion network; None: bifpn"
    )
    fpn_weight_method: str | None = hyperparameter(
        None,
        optional(one_of("fastattn", "attn", "sum", "channel_attn", "channel_fastattn")),
        "how a fusion node weighs its inputs; None: fastattn",
    )
    fpn_cell_repeats: int = hyperparameter(3, _COUNT, "fusion cells")
    fpn_num_filters: int = hyperparameter(64, _COUNT, "channels of the fusion network and heads")
    separable_conv: bool = hyperparameter(
        True, BOOLEAN, "fusion and heads use separable convolutions"
    )
    apply_bn_for_resampling: bool = hyperparameter(
        True, BOOLEAN, "batch norm after the 1x1 convolutions that adapt channels"
    )
    conv_after_downsample: bool = hyperparameter(
        False, BOOLEAN, "adapt channels after the pooling, not before"
    )
    conv_bn_act_pattern: bool = hyperparameter(
        False, BOOLEAN, "fusion node: activation after the convolution, not before"
    )

    # Of our own.
    bn_momentum: float = hyperparameter(
        0.99, number(0, below=1), "batch norm: what the moving statistics keep per step"
    )
    bn_epsilon: float = hyperparameter(1e-3, _POSITIVE, "batch norm: added to the variance")
    sync_bn: bool = hyperparameter(False, BOOLEAN, "batch statistics over all devices")
    scale_learning_rate: bool = hyperparameter(
        True, BOOLEAN, "multiply the learning rates by batch / 64; false: take them as they are"
    )
    adam_beta1: float = hyperparameter(0.9, number(0, below=1), "adam: first-moment decay")
    adam_beta2: float = hyperparameter(0.999, number(0, below=1), "adam: second-moment decay")
    adam_epsilon: float = hyperparameter(1e-7, _POSITIVE, "adam: added to the denominator")
    seed: int = hyperparameter(0, integer(0), "seed of initial weights, order and augmentation")

    nms_configs: NmsConfig = dataclasses.field(default_factory=NmsConfig)
    _explicit: set[str] = dataclasses.field(
        default_factory=set, init=False, repr=False, compare=False
    )

    @property
    def image_hw(self) -> tuple[int, int]:
        """Height and width of the network's input, pixels."""
        return parse_image_size(self.image_size)

    @property
    def dtype_policy(self) -> str:
        """The Keras dtype policy of the network."""
        if not self.mixed_precision:
            return "float32"
        return "mixed_bfloat16" if self.mixed_precision is True else "mixed_float16"

    @property
    def anchors_per_location(self) -> int:
        """Anchors of one cell of a feature map."""
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

    def is_set(self, name: str) -> bool:
        """Whether an override gave this hyper-parameter a value (other than None)."""
        return name in self._explicit and getattr(self, name) is not None

    def override(self, change: str | dict | None) -> DetectionConfig:
        """Changes hyper-parameters in place.

        Args:
            change: A dictionary; `"a=1,b.c=2"`, `"file.yaml"` or `"file.yaml,a=1"`; or None.

        Returns:
            Itself.

        Raises:
            UserError: A name is unknown or unavailable, or a value is not of its type. Nothing
                is changed then.
        """
        changed = copy.deepcopy(self)
        notes: list[str] = []
        for entries in read_overrides(change):
            for name, value in entries.items():
                apply_change(changed, str(name), value, notes)
        settle_fusion(changed)
        check_together(changed)
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(changed, field.name))
        for note in dict.fromkeys(notes):
            print(note, file=sys.stderr)
        return self

    def as_dict(self) -> dict[str, Any]:
        """Every hyper-parameter in plain types (lists for tuples), nested as in YAML."""
        plain = dataclasses.asdict(self)
        del plain["_explicit"]
        return _with_lists(plain)

    def to_yaml(self) -> str:
        """The whole configuration as YAML, which `override` reads back."""
        return yaml.safe_dump(self.as_dict(), sort_keys=True, allow_unicode=True)


def get_config(model_name: str, *overrides: str | dict | None) -> DetectionConfig:
    """The configuration of a detector.

    Args:
        model_name: One of `registry.list_models("detection")`.
        *overrides: Changes in order, each as `DetectionConfig.override` takes it.

    Returns:
        The published defaults of the model with the changes.

    Raises:
        UserError: The model or a hyper-parameter is unknown, or a value is bad.
    """
    config = DetectionConfig()
    for name, value in detection_defaults(model_name).items():
        setattr(config, name, converted(config, name, value))
    for change in overrides:
        config.override(change)
    return config


def config_from_yaml(path: str, *overrides: str | dict | None) -> DetectionConfig:
    """The configuration that a run folder's `config.yaml` holds, with further overrides.

    Raises:
        UserError: The file is missing, is malformed or names no model.
    """
    name = read_yaml(path).get("name")
    if name is None:
        raise UserError(f"The configuration file {path} does not say its model: it has no `name`.")
    return get_config(name, path, *overrides)


def _with_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_lists(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_with_lists(item) for item in value]
    return value
