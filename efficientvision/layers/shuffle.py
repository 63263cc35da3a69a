"""Channel shuffle and the units of ShuffleNetv2."""

from typing import Any

import keras
from keras import ops

from efficientvision.layers.composite import CompositeLayer
from efficientvision.layers.edge_conv import CB_NAMES, CBR_NAMES, ConvBlock


def channel_shuffle(inputs: keras.KerasTensor, groups: int = 2) -> keras.KerasTensor:
    """Mixes groups of channels: channel i of group g becomes channel i * groups + g.

    Args:
        inputs: `[N, H, W, C]`.
        groups: divides C.

    Returns:
        The same shape.

    Reference: Zhang et al. 2018, https://arxiv.org/abs/1707.01083, section 3.1.
    """
    height, width, channels = inputs.shape[1:]
    shape = ops.shape(inputs)
    height = shape[1] if height is None else height
    width = shape[2] if width is None else width
    x = ops.reshape(inputs, (-1, height, width, groups, channels // groups))
    return ops.reshape(ops.swapaxes(x, 3, 4), (-1, height, width, channels))


@keras.saving.register_keras_serializable(package="efficientvision")
class SeparableConvBlock(CompositeLayer):
    """Depthwise 3x3 + batch norm, then 1x1 + batch norm + PReLU: `[N, H/s, W/s, filters]`.

    Args:
        filters: output channels.
        strides: 1 or 2.

    Reference: Ma et al. 2018, https://arxiv.org/abs/1807.11164, figure 3; PReLU for ReLU follows
    the published code.
    """

    def __init__(self, filters: int, strides: int = 1, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides
        self.depthwise = self.pointwise = None

    def build(self, input_shape):
        shared = {"batch_norm": self.batch_norm, "dtype": self.dtype_policy}
        channels = input_shape[-1]
        self.depthwise = ConvBlock(
            channels,
            3,
            self.strides,
            groups=channels,
            activation=False,
            names=CB_NAMES,
            name="dwise_layer.0",
            **shared,
        )
        self.pointwise = ConvBlock(self.filters, 1, names=CBR_NAMES, name="dwise_layer.1", **shared)
        super().build(input_shape)

    def call(self, inputs, training=None):
        return self.pointwise(self.depthwise(inputs, training=training), training=training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "strides": self.strides}


@keras.saving.register_keras_serializable(package="efficientvision")
class ShuffleUnit(CompositeLayer):
    """Passes half of the channels through, processes the other half, then shuffles all.

    Args:
        filters: output channels.

    Input `[N, H, W, C]`, output `[N, H, W, filters]`.

    Reference: Ma et al. 2018, https://arxiv.org/abs/1807.11164, figure 3c.
    """

    def __init__(self, filters: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = filters
        self.reduce = self.work = None

    def build(self, input_shape):
        shared = {"batch_norm": self.batch_norm, "dtype": self.dtype_policy}
        width = self.filters - input_shape[-1] // 2
        self.reduce = ConvBlock(width, 1, names=CBR_NAMES, name="layer_right.0", **shared)
        self.work = self._worker(width, name="layer_right.1", **shared)
        super().build(input_shape)

    def _worker(self, width, **options):
        return SeparableConvBlock(width, **options)

    def call(self, inputs, training=None):
        passing, right = ops.split(inputs, [inputs.shape[-1] // 2], axis=-1)
        right = self.work(self.reduce(right, training=training), training=training)
        return channel_shuffle(ops.concatenate([passing, right], axis=-1))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable(package="efficientvision")
class StridedShuffleUnit(CompositeLayer):
    """Halves the size and doubles the channels: `[N, ceil(H / 2), ceil(W / 2), 2 C]`.

    Reference: Ma et al. 2018, https://arxiv.org/abs/1807.11164, figure 3d.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.left = self.reduce = self.right = None

    def build(self, input_shape):
        shared = {"batch_norm": self.batch_norm, "dtype": self.dtype_policy}
        channels = input_shape[-1]
        self.left = SeparableConvBlock(channels, 2, name="layer_left", **shared)
        self.reduce = ConvBlock(channels, 1, names=CBR_NAMES, name="layer_right.0", **shared)
        self.right = SeparableConvBlock(channels, 2, name="layer_right.1", **shared)
        super().build(input_shape)

    def call(self, inputs, training=None):
        left = self.left(inputs, training=training)
        right = self.right(self.reduce(inputs, training=training), training=training)
        return channel_shuffle(ops.concatenate([left, right], axis=-1))
