"""Convolution, batch norm and activation; the classification head made of them."""

from typing import Any

import keras
from keras import ops

from efficientvision.layers.activations import get_activation
from efficientvision.layers.composite import CompositeLayer


def conv_initializer() -> keras.initializers.Initializer:
    """The published networks' initial kernels: normal with variance 2 / (k * k * outputs)."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


@keras.saving.register_keras_serializable(package="efficientvision")
class ConvNormAct(CompositeLayer):
    """Convolution without bias, batch norm, activation: `[N, H, W, C]` to `[N, H/s, W/s, filters]`.

    Args:
        filters, kernel_size, strides: arguments of the convolution (SAME padding).
        act_type: activation.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        act_type: str = "swish",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.act_type = act_type
        self.conv = keras.layers.Conv2D(
            filters,
            kernel_size,
            strides,
            padding="same",
            use_bias=False,
            kernel_initializer=conv_initializer(),
            name="conv2d",
            dtype=self.dtype_policy,
        )
        self.norm = self._batch_norm("tpu_batch_normalization")

    def call(self, inputs, training=None):
        return get_activation(self.act_type)(self.norm(self.conv(inputs), training=training))

    def get_config(self) -> dict[str, Any]:
        names = "filters kernel_size strides act_type".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="efficientvision")
class ClassificationHead(ConvNormAct):
    """1x1 convolution, global mean, dropout, dense: `[N, H, W, C]` to logits `[N, num_classes]`.

    Args:
        filters: channels of the 1x1 convolution.
        num_classes: classes.
        dropout_rate: dropout before the dense layer.
        act_type: activation.
    """

    def __init__(
        self,
        filters: int,
        num_classes: int,
        dropout_rate: float = 0.0,
        act_type: str = "swish",
        **kwargs: Any,
    ):
        kwargs.setdefault("kernel_size", 1)
        super().__init__(filters, act_type=act_type, **kwargs)
        self.num_classes = num_classes
        self.dropout_rate = dropout_rate
        self.dropout = keras.layers.Dropout(dropout_rate, dtype=self.dtype_policy)
        self.dense = keras.layers.Dense(
            num_classes,
            kernel_initializer=keras.initializers.VarianceScaling(1 / 3, "fan_out", "uniform"),
            name="dense",
            dtype="float32",
        )

    def call(self, inputs, training=None):
        x = super().call(inputs, training=training)
        x = self.dropout(ops.mean(x, axis=[1, 2]), training=training)
        return self.dense(x)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "dropout_rate": self.dropout_rate,
        }
