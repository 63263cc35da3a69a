"""The mobile inverted bottleneck with squeeze and excitation."""

from typing import Any

import keras
from keras import ops

from efficientvision.layers.activations import get_activation
from efficientvision.layers.composite import CompositeLayer, numbered
from efficientvision.layers.conv import conv_initializer, keras_padding, pad_border


@keras.saving.register_keras_serializable(package="efficientvision")
class SqueezeExcite(keras.layers.Layer):
    """Scales channels by a gate computed from their means: `[N, H, W, C]` to the same.

    Args:
        reduced_filters: width of the bottleneck.
        act_type: activation inside the bottleneck.

    Reference: Hu et al. 2018, https://arxiv.org/abs/1709.01507, section 3.
    """

    def __init__(self, filters: int, reduced_filters: int, act_type: str = "swish", **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = filters
        self.reduced_filters = reduced_filters
        self.act_type = act_type
        common = {"kernel_initializer": conv_initializer(), "dtype": self.dtype_policy}
        self.reduce = keras.layers.Conv2D(reduced_filters, 1, name="conv2d", **common)
        self.expand = keras.layers.Conv2D(filters, 1, name="conv2d_1", **common)

    def build(self, input_shape=None):
        self.built = True

    def call(self, inputs):
        gate = ops.mean(inputs, axis=[1, 2], keepdims=True)
        gate = self.expand(get_activation(self.act_type)(self.reduce(gate)))
        return ops.sigmoid(gate) * inputs

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "reduced_filters": self.reduced_filters,
            "act_type": self.act_type,
        }


@keras.saving.register_keras_serializable(package="efficientvision")
class MBConv(CompositeLayer):
    """Expand 1x1, depthwise k x k, squeeze and excite, project 1x1, with a residual.

    Args:
        kernel_size: kernel size of the depthwise convolution.
        strides: 1 or 2.
        in_filters, out_filters: channels before and after; the residual exists when they are
            equal and `strides` is 1.
        expand_ratio: width of the block relative to `in_filters`; 1 leaves the expansion out.
        se_filters: width of the squeeze-and-excite bottleneck, 0 for none.
        act_type: activation.
        survival_prob: probability that the residual branch of a sample is kept in training
            (stochastic depth, Huang et al. 2016), 1 to keep always.
        padding: Padding of the depthwise convolution, see `ConvNormAct`.

    Input `[N, H, W, in_filters]`, output `[N, ceil(H / strides), ceil(W / strides), out_filters]`.

    Reference: Sandler et al. 2018 (MobileNetV2), section 3.3; Tan and Le 2019 (EfficientNet),
    https://arxiv.org/abs/1905.11946, section 4.
    """

    def __init__(
        self,
        kernel_size: int,
        strides: int,
        in_filters: int,
        out_filters: int,
        expand_ratio: int,
        se_filters: int = 0,
        act_type: str = "swish",
        survival_prob: float = 1.0,
        padding: str = "same",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.strides = strides
        self.in_filters = in_filters
        self.out_filters = out_filters
        self.expand_ratio = expand_ratio
        self.se_filters = se_filters
        self.act_type = act_type
        self.survival_prob = survival_prob
        self.padding = padding

        filters = in_filters * expand_ratio
        norms = iter(self._batch_norm(numbered("tpu_batch_normalization", i)) for i in range(3))
        self.expand_conv = self.squeeze_excite = self.drop = None
        if expand_ratio != 1:
            self.expand_conv = self._conv1x1(filters, "conv2d")
            self.expand_norm = next(norms)
        self.depthwise_conv = keras.layers.DepthwiseConv2D(
            kernel_size,
            strides,
            padding=keras_padding(padding, strides),
            use_bias=False,
            depthwise_initializer=conv_initializer(),
            name="depthwise_conv2d",
            dtype=self.dtype_policy,
        )
        self.depthwise_norm = next(norms)
        if se_filters:
            self.squeeze_excite = SqueezeExcite(
                filters, se_filters, act_type, name="se", dtype=self.dtype_policy
            )
        self.project_conv = self._conv1x1(out_filters, numbered("conv2d", int(expand_ratio != 1)))
        self.project_norm = next(norms)
        self.residual = strides == 1 and in_filters == out_filters
        if self.residual and survival_prob < 1.0:
            self.drop = keras.layers.Dropout(
                1.0 - survival_prob, noise_shape=(None, 1, 1, 1), dtype=self.dtype_policy
            )

    def _conv1x1(self, filters, name):
        return keras.layers.Conv2D(
            filters,
            1,
            padding="same",
            use_bias=False,
            kernel_initializer=conv_initializer(),
            name=name,
            dtype=self.dtype_policy,
        )

    def call(self, inputs, training=None):
        activation = get_activation(self.act_type)
        x = inputs
        if self.expand_conv is not None:
            x = activation(self.expand_norm(self.expand_conv(x), training=training))
        x = pad_border(x, self.kernel_size, self.strides, self.padding)
        x = activation(self.depthwise_norm(self.depthwise_conv(x), training=training))
        if self.squeeze_excite is not None:
            x = self.squeeze_excite(x)
        x = self.project_norm(self.project_conv(x), training=training)
        if self.residual:
            if self.drop is not None:
                x = self.drop(x, training=training)
            x = x + inputs
        return x

    def get_config(self) -> dict[str, Any]:
        names = (
            "kernel_size strides in_filters out_filters expand_ratio se_filters act_type "
            "survival_prob padding"
        ).split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
