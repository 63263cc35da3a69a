"""EfficientNet-B0..B8, L2 and the lite variants: image -> {level: features}."""

import dataclasses
import functools
import math
from typing import Any

import keras

from efficientvision.backbones.levels import LAST_LEVEL, check_max_level
from efficientvision.layers.composite import CompositeLayer
from efficientvision.layers.conv import ClassificationHead, ConvNormAct
from efficientvision.layers.mbconv import MBConv
from efficientvision.layers.rematerialization import rematerialized


@dataclasses.dataclass(frozen=True)
class Scaling:
    """Compound scaling of one family member (EfficientNet paper, section 3.3 and table 1)."""

    width: float
    depth: float
    image_size: int
    dropout_rate: float


SCALINGS = {
    "efficientnet-b0": Scaling(1.0, 1.0, 224, 0.2),
    "efficientnet-b1": Scaling(1.0, 1.1, 240, 0.2),
    "efficientnet-b2": Scaling(1.1, 1.2, 260, 0.3),
    "efficientnet-b3": Scaling(1.2, 1.4, 300, 0.3),
    "efficientnet-b4": Scaling(1.4, 1.8, 380, 0.4),
    "efficientnet-b5": Scaling(1.6, 2.2, 456, 0.4),
    "efficientnet-b6": Scaling(1.8, 2.6, 528, 0.5),
    "efficientnet-b7": Scaling(2.0, 3.1, 600, 0.5),
    "efficientnet-b8": Scaling(2.2, 3.6, 672, 0.5),
    "efficientnet-l2": Scaling(4.3, 5.3, 800, 0.5),
    "efficientnet-lite0": Scaling(1.0, 1.0, 224, 0.2),
    "efficientnet-lite1": Scaling(1.0, 1.1, 240, 0.2),
    "efficientnet-lite2": Scaling(1.1, 1.2, 260, 0.3),
    "efficientnet-lite3": Scaling(1.2, 1.4, 280, 0.3),
    "efficientnet-lite4": Scaling(1.4, 1.8, 300, 0.3),
}

# Stages of the unscaled network: repeats, kernel, stride of the first block, expansion, filters.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM_FILTERS = 32
_HEAD_FILTERS = 1280
_DEPTH_DIVISOR = 8
_SE_RATIO = 0.25


@dataclasses.dataclass(frozen=True)
class BlockSpec:
    """One inverted bottleneck: the arguments of `MBConv`."""

    kernel_size: int
    strides: int
    in_filters: int
    out_filters: int
    expand_ratio: int
    se_filters: int


def is_lite(name: str) -> bool:
    """Whether `name` is a lite variant: no squeeze and excite, relu6, fixed stem and head."""
    return "lite" in name


def round_filters(filters: float, width: float) -> int:
    """Scales a channel count and rounds it to a multiple of 8, never below 90 % of it."""
    filters *= width
    rounded = max(_DEPTH_DIVISOR, int(filters + _DEPTH_DIVISOR / 2) // _DEPTH_DIVISOR * 8)
    return rounded + _DEPTH_DIVISOR if rounded < 0.9 * filters else rounded


def block_specs(name: str) -> list[BlockSpec]:
    """Returns the `BlockSpec`s of the backbone called `name`, from input to output."""
    scaling, lite = SCALINGS[name], is_lite(name)
    specs = []
    in_filters = stem_filters(name)
    for index, (repeats, kernel_size, strides, expand_ratio, filters) in enumerate(_STAGES):
        out_filters = round_filters(filters, scaling.width)
        if not (lite and index in (0, len(_STAGES) - 1)):
            repeats = math.ceil(repeats * scaling.depth)
        for repeat in range(repeats):
            se_filters = 0 if lite else max(1, int(in_filters * _SE_RATIO))
            specs.append(
                BlockSpec(
                    kernel_size,
                    strides if repeat == 0 else 1,
                    in_filters,
                    out_filters,
                    expand_ratio,
                    se_filters,
                )
            )
            in_filters = out_filters
    return specs


def stem_filters(name: str) -> int:
    """Channels of the first convolution."""
    return _STEM_FILTERS if is_lite(name) else round_filters(_STEM_FILTERS, SCALINGS[name].width)


def head_filters(name: str) -> int:
    """Channels of the last convolution of the classifier."""
    return _HEAD_FILTERS if is_lite(name) else round_filters(_HEAD_FILTERS, SCALINGS[name].width)


def _end_of_level(specs, level):
    """Number of blocks up to the end of a level, or of the last level.

    The stem starts level 1; every stride of two starts the next one.
    """
    ends = [index for index, spec in enumerate(specs) if spec.strides == 2] + [len(specs)]
    return ends[min(level, len(ends)) - 1]


@keras.saving.register_keras_serializable(package="efficientvision")
class EfficientNet(CompositeLayer):
    """EfficientNet features, and its classification head on request.

    Args:
        architecture: a key of `SCALINGS`, e.g. `"efficientnet-b0"`.
        act_type: activation, or None for the published one (swish; relu6 for lite).
        survival_prob: stochastic depth: survival probability of the last block's residual
            branch, falling linearly from 1 over the blocks; 1 turns it off.
        num_classes: adds the classification head where given.
        dropout_rate: before the classifier, or None for the published one.
        grad_checkpoint: in training keep only the blocks' outputs for the gradient, which computes
            the rest again: less memory, more time, same numbers (TensorFlow backend).
        max_level: the last level that is built, 2 to 5; a head stands on level 5.
        padding: of convolutions with a stride: `"same"` as published, or `"symmetric"` as in
            networks trained in PyTorch (`layers.conv.PADDINGS`).

    Input: `[N, H, W, 3]` float, normalised. Output: a dict `{1: [N, H/2, W/2, C1], ...,
    5: [N, H/32, W/32, C5]}` (sizes rounded up) to `max_level`, with `"logits": [N, num_classes]`
    if there is a head.

    Reference: Tan and Le 2019, https://arxiv.org/abs/1905.11946; lite: the same authors'
    EfficientNet-lite release notes, 2020.
    """

    def __init__(
        self,
        architecture: str,
        act_type: str | None = None,
        survival_prob: float = 0.8,
        num_classes: int | None = None,
        dropout_rate: float | None = None,
        grad_checkpoint: bool = False,
        max_level: int = LAST_LEVEL,
        padding: str = "same",
        **kwargs: Any,
    ):
        kwargs.setdefault("name", architecture)
        super().__init__(**kwargs)
        if architecture not in SCALINGS:
            raise ValueError(
                f"Unknown architecture {architecture!r}; expected one of {sorted(SCALINGS)}."
            )
        check_max_level(max_level, num_classes)
        self.architecture = architecture
        self.act_type = act_type or ("relu6" if is_lite(architecture) else "swish")
        self.survival_prob = survival_prob
        self.num_classes = num_classes
        self.grad_checkpoint = grad_checkpoint
        self.max_level = max_level
        self.padding = padding
        self.dropout_rate = (
            SCALINGS[architecture].dropout_rate if dropout_rate is None else dropout_rate
        )

        shared = {"batch_norm": self.batch_norm, "dtype": self.dtype_policy}
        self.stem = ConvNormAct(
            stem_filters(architecture),
            3,
            2,
            act_type=self.act_type,
            padding=padding,
            name="stem",
            **shared,
        )
        specs = block_specs(architecture)
        self.blocks = [
            MBConv(
                **dataclasses.asdict(spec),
                act_type=self.act_type,
                survival_prob=1.0 - (1.0 - survival_prob) * index / len(specs),
                padding=padding,
                name=f"blocks_{index}",
                **shared,
            )
            for index, spec in enumerate(specs[: _end_of_level(specs, max_level)])
        ]
        self.head = None
        if num_classes:
            self.head = ClassificationHead(
                head_filters(architecture),
                num_classes,
                self.dropout_rate,
                self.act_type,
                name="head",
                **shared,
            )

    def call(self, inputs, training=None):
        x = self.stem(inputs, training=training)
        features, level = {}, 1
        for index, block in enumerate(self.blocks):
            run = functools.partial(block, training=training)
            remat = self.grad_checkpoint and training
            x = rematerialized(run, [block], x) if remat else run(x)
            following = self.blocks[index + 1 : index + 2]
            if not following or following[0].strides == 2:
                features[level] = x
                level += 1
        if self.head is not None:
            features["logits"] = self.head(x, training=training)
        return features

    def get_config(self) -> dict[str, Any]:
        names = (
            "architecture act_type survival_prob num_classes dropout_rate grad_checkpoint "
            "max_level padding"
        ).split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
