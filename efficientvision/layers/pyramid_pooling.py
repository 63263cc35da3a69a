"""Efficient pyramid pooling and the efficient point-wise convolution of the decoders."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from efficientvision.layers.bilinear import resize_bilinear
from efficientvision.layers.composite import CompositeLayer
from efficientvision.layers.edge_conv import CBR_NAMES, ConvBlock, NormAct
from efficientvision.layers.grouped_conv import GroupedConv2D
from efficientvision.layers.pooling import adaptive_avg_pool
from efficientvision.layers.shuffle import channel_shuffle

SCALES = (2.0, 1.5, 1.0, 0.5, 0.1)
_SMALLEST = 5


@keras.saving.register_keras_serializable(package="efficientvision")
class PyramidPooling(CompositeLayer):
    """Depthwise convolutions at several scales, brought back and merged.

    Args:
        filters: output channels.
        width: channels of each scale.
        scales: factors of the map's sides, applied from largest to smallest; each scaled side is
            at least 5 pixels.
        final_activation: batch norm and PReLU at the end; without them the last convolution has a
            bias and computes predictions, in float32.

    Input `[N, H, W, C]` with static H and W, output `[N, H, W, filters]`.

    Reference: Mehta et al. 2019, https://arxiv.org/abs/1906.03516, section 5.3 ("efficient
    pyramid pooling").
    """

    def __init__(
        self,
        filters: int,
        width: int,
        scales: Sequence[float] = SCALES,
        final_activation: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.width = width
        self.scales = tuple(sorted(scales, reverse=True))
        self.final_activation = final_activation
        dtype = self.dtype_policy
        shared = {"batch_norm": self.batch_norm, "dtype": dtype}
        named = {"names": CBR_NAMES, **shared}
        self.project = ConvBlock(width, 1, name="projection_layer", **named)
        self.stages = [
            GroupedConv2D(width, 3, groups=width, name=f"stages.{index}", dtype=dtype)
            for index in range(len(self.scales))
        ]
        self.norm_act = NormAct(names=("br.0", "br.1"), name="merge_layer.0", **shared)
        self.merge = ConvBlock(width, 3, groups=width, name="merge_layer.2", **named)
        self.last = GroupedConv2D(
            filters,
            1,
            use_bias=not final_activation,
            name="merge_layer.3",
            dtype=dtype if final_activation else "float32",
        )
        self.final = (
            NormAct(names=("br.0", "br.1"), name="br", **shared) if final_activation else None
        )

    def call(self, inputs, training=None):
        x = self.project(inputs, training=training)
        levels = [
            _at_scale(x, functools.partial(conv, training=training), scale)
            for conv, scale in zip(self.stages, self.scales, strict=True)
        ]
        x = self.norm_act(ops.concatenate(levels, axis=-1), training=training)
        x = self.merge(channel_shuffle(x, len(levels)), training=training)
        x = self.last(x)
        return x if self.final is None else self.final(x, training=training)

    def get_config(self) -> dict[str, Any]:
        names = "filters width scales final_activation".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _at_scale(inputs, conv, scale):
    """The convolution at another scale: resizes the map, convolves, and resizes back."""
    if scale == 1.0:
        return conv(inputs)
    hw = tuple(inputs.shape[1:3])
    scaled_hw = tuple(max(_SMALLEST, math.ceil(side * scale)) for side in hw)
    # By the scale, not by the sizes: a map below the smallest side is averaged to more pixels.
    if scale < 1.0:
        return resize_bilinear(conv(adaptive_avg_pool(inputs, scaled_hw)), hw)
    return adaptive_avg_pool(conv(resize_bilinear(inputs, scaled_hw)), hw)


@keras.saving.register_keras_serializable(package="efficientvision")
class PointwiseConv(CompositeLayer):
    """Grouped 3x3 convolution weighed by channel attention: `[N, H, W, C]` to `filters`.

    Args:
        filters: output channels; the groups are the greatest common divisor with C.

    Reference: Mehta et al. 2019, https://arxiv.org/abs/1906.03516, section 5.3.
    """

    def __init__(self, filters: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = filters
        self.expand = None
        self.weigh = GroupedConv2D(filters, 1, name="wt_layer.1", dtype=self.dtype_policy)

    def build(self, input_shape):
        self.expand = ConvBlock(
            self.filters,
            3,
            groups=math.gcd(input_shape[-1], self.filters),
            names=CBR_NAMES,
            name="expansion_layer",
            batch_norm=self.batch_norm,
            dtype=self.dtype_policy,
        )
        super().build(input_shape)

    def call(self, inputs, training=None):
        weights = self.weigh(ops.mean(inputs, axis=(1, 2), keepdims=True))
        return self.expand(inputs, training=training) * ops.sigmoid(weights)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters}
