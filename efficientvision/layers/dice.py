"""Dimension-wise convolution and fusion (DiCE), and its form that halves the size."""

import math
from typing import Any

import keras
from keras import ops

from efficientvision.layers.bilinear import resize_bilinear
from efficientvision.layers.composite import CompositeLayer
from efficientvision.layers.edge_conv import CBR_NAMES, ConvBlock, NormAct
from efficientvision.layers.grouped_conv import GroupedConv2D, grouped_conv
from efficientvision.layers.pooling import adaptive_avg_pool, avg_pool_3x3
from efficientvision.layers.shuffle import ShuffleUnit, channel_shuffle


@keras.saving.register_keras_serializable(package="efficientvision")
class DiceUnit(CompositeLayer):
    """Depthwise convolutions over channels, height and width; fused and weighed.

    The kernels over height and width have a filter for each row and each column of the size the
    network was built for; another input is resized to that size along the one axis and back. So
    height and width are static.

    Args:
        filters: output channels.
        build_hw: (height, width) that the kernels are made for.

    Input `[N, H, W, C]`, output `[N, H, W, filters]`.

    Reference: Mehta et al. 2019, https://arxiv.org/abs/1906.03516, sections 3.1 and 3.2.
    """

    def __init__(self, filters: int, build_hw: tuple[int, int], **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = filters
        self.build_hw = tuple(build_hw)

    def build(self, input_shape):
        channels = input_shape[-1]
        shared = {"batch_norm": self.batch_norm, "dtype": self.dtype_policy}
        self.channel_conv = _plane_conv(channels, "conv_channel", self.dtype_policy)
        self.height_conv = _plane_conv(self.build_hw[0], "conv_height", self.dtype_policy)
        self.width_conv = _plane_conv(self.build_hw[1], "conv_width", self.dtype_policy)
        self.height_conv.build((None, None, None, self.build_hw[0]))
        self.width_conv.build((None, None, None, self.build_hw[1]))
        self.norm_act = NormAct(names=("br.0", "br.1"), name="br_act", **shared)
        self.average = ConvBlock(
            channels, 1, groups=channels, names=CBR_NAMES, name="weight_avg_layer", **shared
        )
        self.project = ConvBlock(
            self.filters,
            3,
            groups=math.gcd(channels, self.filters),
            names=CBR_NAMES,
            name="proj_layer",
            **shared,
        )
        self.squeeze = GroupedConv2D(
            channels // 4, 1, name="linear_comb_layer.1", dtype=self.dtype_policy
        )
        self.excite = GroupedConv2D(
            self.filters, 1, name="linear_comb_layer.3", dtype=self.dtype_policy
        )
        super().build(input_shape)

    def call(self, inputs, training=None):
        if None in inputs.shape[1:3]:
            raise ValueError(
                "DiCE resizes by size: height and width must be known when the network is built, "
                f"got {tuple(inputs.shape)}."
            )
        x = ops.concatenate(
            [
                self.channel_conv(inputs, training=training),
                self._over_height(inputs, training),
                self._over_width(inputs, training),
            ],
            axis=-1,
        )
        x = self.norm_act(x, training=training)
        x = self.average(channel_shuffle(x, 3), training=training)
        weights = self.squeeze(ops.mean(x, axis=(1, 2), keepdims=True))
        weights = ops.sigmoid(self.excite(ops.relu(weights)))
        return self.project(x, training=training) * weights

    def _over_height(self, inputs, training):
        """Rows are the channels of the convolution, columns and channels its plane."""
        height, width, _ = inputs.shape[1:]
        x = _resize(inputs, (self.build_hw[0], width))
        kernel = ops.transpose(ops.convert_to_tensor(self.height_conv.kernel), (1, 0, 2, 3))
        x = grouped_conv(ops.transpose(x, (0, 2, 3, 1)), kernel, training=bool(training))
        return _resize(ops.transpose(x, (0, 3, 1, 2)), (height, width))

    def _over_width(self, inputs, training):
        """Columns are the channels of the convolution, rows and channels its plane."""
        height, width, _ = inputs.shape[1:]
        x = _resize(inputs, (height, self.build_hw[1]))
        x = self.width_conv(ops.transpose(x, (0, 1, 3, 2)), training=training)
        return _resize(ops.transpose(x, (0, 1, 3, 2)), (height, width))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "build_hw": self.build_hw}


@keras.saving.register_keras_serializable(package="efficientvision")
class StridedDiceUnit(CompositeLayer):
    """Halves the size and doubles the channels: `[N, ceil(H / 2), ceil(W / 2), 2 C]`.

    Args:
        build_hw: `build_hw` of the inner `DiceUnit`, which gets the halved map.

    Reference: Mehta et al. 2019, https://arxiv.org/abs/1906.03516, section 3.3.
    """

    def __init__(self, build_hw: tuple[int, int], **kwargs: Any):
        super().__init__(**kwargs)
        self.build_hw = tuple(build_hw)

    def build(self, input_shape):
        channels = input_shape[-1]
        shared = {"batch_norm": self.batch_norm, "dtype": self.dtype_policy}
        named = {"names": CBR_NAMES, **shared}
        self.left = [
            ConvBlock(channels, 3, 2, groups=channels, name="left_layer.0", **named),
            ConvBlock(channels, 1, name="left_layer.1", **named),
        ]
        self.right = [
            DiceUnit(channels, self.build_hw, name="right_layer.1", **shared),
            ConvBlock(channels, 1, name="right_layer.2", **named),
        ]
        super().build(input_shape)

    def call(self, inputs, training=None):
        left, right = inputs, avg_pool_3x3(inputs)
        for layer in self.left:
            left = layer(left, training=training)
        for layer in self.right:
            right = layer(right, training=training)
        return channel_shuffle(ops.concatenate([left, right], axis=-1))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "build_hw": self.build_hw}


@keras.saving.register_keras_serializable(package="efficientvision")
class ShuffleDiceUnit(ShuffleUnit):
    """A `ShuffleUnit` whose processed half goes through DiCE.

    Args:
        filters: output channels.
        build_hw: `build_hw` of the inner `DiceUnit`.

    Reference: Mehta et al. 2019, https://arxiv.org/abs/1906.03516, section 3.3.
    """

    def __init__(self, filters: int, build_hw: tuple[int, int], **kwargs: Any):
        super().__init__(filters, **kwargs)
        self.build_hw = tuple(build_hw)

    def _worker(self, width, **options):
        return DiceUnit(width, self.build_hw, **options)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "build_hw": self.build_hw}


def _plane_conv(channels, name, dtype):
    return GroupedConv2D(channels, 3, groups=channels, name=name, dtype=dtype)


def _resize(inputs, target_hw):
    """Resizes one axis to the size of the kernels, or back: averages down, bilinear up."""
    height, width = inputs.shape[1:3]
    if target_hw[0] < height or target_hw[1] < width:
        return adaptive_avg_pool(inputs, target_hw)
    return resize_bilinear(inputs, target_hw)
