"""Base of every task's configuration: the shared hyper-parameters, and how to override them."""

from __future__ import annotations

import copy
import dataclasses
import logging
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from efficientvision.configs.apply import apply_change
from efficientvision.configs.field_types import (
    BOOLEAN,
    IMAGE_SIZE,
    LABEL_MAP,
    MIXED_PRECISION,
    RGB,
    TEXT,
    hyperparameter,
    integer,
    number,
    one_of,
    optional,
    parse_image_size,
)
from efficientvision.configs.list_field_types import EPOCHS, PARTS
from efficientvision.configs.overrides import Recipe, read_overrides
from efficientvision.configs.yaml_text import dump_yaml

log = logging.getLogger(__name__)

_POSITIVE = number(minimum=1e-12)
_NON_NEGATIVE = number(minimum=0)
_COUNT = integer(minimum=1)

ACTIVATIONS = ("swish", "swish_native", "silu", "relu", "relu6", "hswish", "mish", "identity")
# The first four change the rate every step, the others every epoch, as EdgeNets do.
LR_DECAY_METHODS = (
    "cosine",
    "cosine_automl",
    "stepwise",
    "polynomial",
    "hybrid",
    "clr",
    "linear",
    "poly",
    "fixed",
)


# Each field below: default, accepted values, meaning and unit.
@dataclasses.dataclass(slots=True)
class TrainingConfig:
    """The hyper-parameters that do not depend on the task.

    A task's configuration adds its own fields, may change the defaults of these, and resolves
    dependent values in `validate`. `override` checks names and types.
    """

    name: str = hyperparameter("", TEXT, "model name")
    task: str = hyperparameter("", TEXT, "what the model does")
    image_size: int | str | tuple[int, int] = hyperparameter(
        512, IMAGE_SIZE, "input size: side in pixels, WIDTHxHEIGHT, or (height, width)"
    )
    input_rand_hflip: bool = hyperparameter(
        True, BOOLEAN, "augmentation: flip images left to right at random"
    )
    input_rand_vflip: bool = hyperparameter(
        False,
        BOOLEAN,
        "augmentation: flip images upside down at random (microscopy, aerial photos)",
    )
    input_rand_rot90: bool = hyperparameter(
        False,
        BOOLEAN,
        "augmentation: rotate images by random multiples of 90 degrees (photos without an "
        "upright direction)",
    )
    mean_rgb: tuple[float, ...] = hyperparameter(
        (123.675, 116.28, 103.53), RGB, "subtracted from the pixels (0..255), per channel"
    )
    stddev_rgb: tuple[float, ...] = hyperparameter(
        (58.395, 57.120000000000005, 57.375), RGB, "divides the pixels (0..255), per channel"
    )
    num_classes: int = hyperparameter(90, _COUNT, "number of classes, without background")
    label_map: str | dict[int, str] | None = hyperparameter(
        None, optional(LABEL_MAP), "class names: {1: name}, coco, voc, waymo or a file"
    )
    regenerate_source_id: bool = hyperparameter(
        False, BOOLEAN, "derive image ids from a hash of the content, not from the record's id"
    )
    is_training_bn: bool = hyperparameter(
        True, BOOLEAN, "false: freeze the batch-norm statistics in training"
    )
    optimizer: str = hyperparameter("sgd", one_of("sgd", "adam", "adamw"), "optimizer")
    momentum: float = hyperparameter(0.9, number(0, below=1), "momentum of sgd")
    learning_rate: float = hyperparameter(
        0.08, _NON_NEGATIVE, "peak learning rate at batch size 64 (see scale_learning_rate)"
    )
    lr_warmup_init: float = hyperparameter(
        0.008, _NON_NEGATIVE, "learning rate at the first step, scaled like learning_rate"
    )
    lr_warmup_epoch: float = hyperparameter(1.0, _NON_NEGATIVE, "length of warm-up in epochs")
    lr_decay_method: str = hyperparameter(
        "cosine",
        one_of(*LR_DECAY_METHODS),
        "learning-rate schedule after warm-up; cosine_automl: cosine as in google/automl",
    )
    first_lr_drop_epoch: float = hyperparameter(
        200.0, _NON_NEGATIVE, "stepwise: epoch at which the rate drops to a tenth"
    )
    second_lr_drop_epoch: float = hyperparameter(
        250.0, _NON_NEGATIVE, "stepwise: epoch at which the rate drops to a hundredth"
    )
    poly_lr_power: float = hyperparameter(0.9, _POSITIVE, "polynomial: exponent of the decay")
    clr_max: int = hyperparameter(
        61, _COUNT, "hybrid: epoch at which cycles end and linear decay begins"
    )
    cycle_len: int = hyperparameter(
        5,
        _COUNT,
        "clr, hybrid: cycle length in epochs",
    )
    lr_steps: tuple[int, ...] = hyperparameter(
        (51, 101, 131, 161, 191, 221, 251, 281),
        EPOCHS,
        "clr, fixed: epochs at which the rate is multiplied by lr_decay",
    )
    lr_decay: float = hyperparameter(
        0.5, _POSITIVE, "clr, fixed: factor applied at each of lr_steps"
    )
    lr_power: float = hyperparameter(0.9, _POSITIVE, "poly: exponent of the decay")
    clip_gradients_norm: float = hyperparameter(
        10.0, _NON_NEGATIVE, "maximum gradient norm, per variable and globally (0 = no clipping)"
    )
    num_epochs: int = hyperparameter(300, _COUNT, "number of training epochs")
    early_stopping_patience: int = hyperparameter(
        0, integer(0), "stop after this many evaluations without improvement (0 = off)"
    )
    early_stopping_min_delta: float = hyperparameter(
        0.0, _NON_NEGATIVE, "minimum rise of the monitored metric (0..1) that is an improvement"
    )
    moving_average_decay: float = hyperparameter(
        0.9998,
        number(0, below=1),
        "decay per step of the exponential moving average of the weights (0 = off)",
    )
    var_freeze_expr: str | None = hyperparameter(
        None, optional(TEXT), "freeze variables whose path starts with this regular expression"
    )
    var_exclude_expr: str | None = hyperparameter(
        None, optional(TEXT), "regular expression: variables not to load from `ckpt`"
    )
    freeze: tuple[str, ...] = hyperparameter(
        (), PARTS, "parts to freeze, including batch-norm statistics, e.g. backbone+fpn"
    )
    unfreeze_epoch: float | None = hyperparameter(
        None,
        optional(_POSITIVE),
        "train the parts in freeze from this epoch on, counted from 0 (None: never)",
    )
    layer_decay: float = hyperparameter(
        1.0,
        number(1e-3, 1),
        "factor on the learning rate from each stage of the backbone to the one below it; heads "
        "keep the full rate (1 = off)",
    )
    backbone_bn: str = hyperparameter(
        "follow",
        one_of("follow", "freeze_statistics", "freeze"),
        "batch norms of the backbone. follow: trained; freeze_statistics: normalise with the "
        "loaded statistics, train scales and offsets; freeze: neither changes",
    )
    skip_mismatch: bool = hyperparameter(
        True, BOOLEAN, "re-initialize the class head if its shape differs from `ckpt`'s"
    )
    match_classes_by_name: bool = hyperparameter(
        True, BOOLEAN, "keep the class-head weights of classes whose names `ckpt` has too"
    )
    label_smoothing: float = hyperparameter(
        0.0, number(0, below=1), "label smoothing of the class targets"
    )
    weight_decay: float = hyperparameter(4e-5, _NON_NEGATIVE, "L2 factor of the kernels")
    weight_decay_all: bool = hyperparameter(
        False, BOOLEAN, "apply weight_decay to biases, batch norms and activations too"
    )
    distill_class_weight: float = hyperparameter(
        1.0,
        _NON_NEGATIVE,
        "`distill_from`: weight of the loss against the teacher's class outputs (0 = off)",
    )
    strategy: str | None = hyperparameter(
        None,
        optional(one_of("none", "gpus", "multi_worker", "tpu", "")),
        "devices: none (one), gpus, multi_worker or tpu, as `strategy`; None: automatic",
    )
    mixed_precision: bool | str = hyperparameter(
        False,
        MIXED_PRECISION,
        "compute in bfloat16 (true) or float16; variables, statistics and losses stay in float32",
    )
    gradient_accumulation: int = hyperparameter(
        1, _COUNT, "gradient accumulation: number of micro-batches per step"
    )
    bn_momentum: float = hyperparameter(
        0.99, number(0, below=1), "batch norm: momentum of the moving statistics"
    )
    bn_epsilon: float = hyperparameter(1e-3, _POSITIVE, "batch norm: added to the variance")
    sync_bn: bool = hyperparameter(
        False, BOOLEAN, "batch norm: synchronize statistics across devices"
    )
    scale_learning_rate: bool = hyperparameter(
        True, BOOLEAN, "multiply the learning rates by batch size / 64; false: use them as given"
    )
    adam_beta1: float = hyperparameter(0.9, number(0, below=1), "adam: first-moment decay")
    adam_beta2: float = hyperparameter(0.999, number(0, below=1), "adam: second-moment decay")
    adam_epsilon: float = hyperparameter(1e-7, _POSITIVE, "adam: added to the denominator")
    seed: int = hyperparameter(
        0, integer(0), "random seed of initial weights, data order and augmentation"
    )

    # Alternative names that apply to one task only.
    aliases: ClassVar[dict[str, str]] = {}

    _explicit: set[str] = dataclasses.field(
        default_factory=set, init=False, repr=False, compare=False
    )

    _written: set[str] = dataclasses.field(
        default_factory=set, init=False, repr=False, compare=False
    )

    @property
    def image_hw(self) -> tuple[int, int]:
        """Height and width of the network's input, pixels."""
        return parse_image_size(self.image_size)

    @property
    def largest_hw(self) -> tuple[int, int]:
        """Height and width of the largest input in training, pixels."""
        return self.image_hw

    @property
    def dtype_policy(self) -> str:
        """The Keras dtype policy of the network."""
        if not self.mixed_precision:
            return "float32"
        return "mixed_bfloat16" if self.mixed_precision is True else "mixed_float16"

    def is_set(self, name: str) -> bool:
        """Whether an override gave this hyper-parameter a value (other than None)."""
        return name in self._explicit and getattr(self, name) is not None

    def is_decided(self, name: str) -> bool:
        """Whether an override named this hyper-parameter, even with the value None."""
        return name in self._explicit

    def is_written(self, name: str) -> bool:
        """Whether its value was set by name, in an argument or on a command line.

        Values from a YAML file or from a data set's recipe do not count.
        """
        return name in self._written and getattr(self, name) is not None

    def override(self, change: str | Mapping[str, Any] | None) -> Self:
        """Changes hyper-parameters in place.

        Args:
            change: A dictionary; `"a=1,b.c=2"`, `"file.yaml"` or `"file.yaml,a=1"`; or None.

        Returns:
            Itself.

        Raises:
            UserError: A name is unknown or unavailable, or a value has the wrong type; the
                configuration is then unchanged.
        """
        changed = copy.deepcopy(self)
        notes: list[str] = []
        for entries in read_overrides(change):
            for name, value in entries.items():
                apply_change(
                    changed, str(name), value, notes, written=not isinstance(entries, Recipe)
                )
        changed.validate()
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(changed, field.name))
        for note in dict.fromkeys(notes):
            log.warning(note)
        return self

    def as_dict(self) -> dict[str, Any]:
        """Returns all hyper-parameters as plain types (lists for tuples), nested as in YAML."""
        plain = dataclasses.asdict(self)
        del plain["_explicit"], plain["_written"]
        return _with_lists(plain)

    def to_yaml(self) -> str:
        """Returns the whole configuration as YAML text, which `override` can read back."""
        return dump_yaml(self.as_dict())

    def apply_special(self, name: str, value: Any, notes: list[str]) -> bool:
        """Sets a hyper-parameter that needs special handling.

        Args:
            name: Name of the field.
            value: Value as in `configs.apply.apply_change`.
            notes: Receives sentences for the user.

        Returns:
            Whether the hyper-parameter was handled.
        """
        return False

    def validate(self) -> None:
        """Resolves dependent values and checks consistency; called after every change.

        Raises:
            UserError: Two values contradict each other.
        """


def _with_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_lists(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_with_lists(item) for item in value]
    return value
