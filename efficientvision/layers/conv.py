"""Convolution, batch norm and activation; the classification head made of them."""

from typing import Any

import keras
from keras import ops

from efficientvision.layers.activations import get_activation
from efficientvision.layers.composite import CompositeLayer


def conv_initializer() -> keras.initializers.Initializer:
    """The published networks' initial kernels: normal with variance 2 / (k * k * outputs)."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


PADDINGS = ("same", "symmetric")


def keras_padding(padding: str, strides: int) -> str:
    """Padding argument of the Keras convolution whose input is `pad_border`'s result."""
    return "valid" if padding == "symmetric" and strides > 1 else "same"


def pad_border(
    inputs: keras.KerasTensor, kernel_size: int, strides: int, padding: str
) -> keras.KerasTensor:
    """Adds PyTorch's border of zeros before a convolution with a stride.

    Without a stride, and in images of odd size, TensorFlow's SAME pads both sides alike too.

    Args:
        inputs: `[N, H, W, C]`.
        kernel_size: Side of the kernel, odd.
        strides: 1 or 2.
        padding: One of `PADDINGS`.

    Returns:
        `[N, H + kernel_size - 1, W + kernel_size - 1, C]`, or the inputs if the convolution pads
        them itself.
    """
    if keras_padding(padding, strides) == "same":
        return inputs
    border = (kernel_size // 2, kernel_size // 2)
    return ops.pad(inputs, ((0, 0), border, border, (0, 0)))


@keras.saving.register_keras_serializable(package="efficientvision")
class ConvNormAct(CompositeLayer):
    """Convolution without bias, batch norm, activation: `[N, H, W, C]` to `[N, H/s, W/s, filters]`.

    Args:
        filters, kernel_size, strides: arguments of the convolution.
        act_type: activation.
        padding: one of `PADDINGS`: TensorFlow's SAME, or PyTorch's, alike on both sides.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        act_type: str = "swish",
        padding: str = "same",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.act_type = act_type
        self.padding = padding
        self.conv = keras.layers.Conv2D(
            filters,
            kernel_size,
            strides,
            padding=keras_padding(padding, strides),
            use_bias=False,
            kernel_initializer=conv_initializer(),
            name="conv2d",
            dtype=self.dtype_policy,
        )
        self.norm = self._batch_norm("tpu_batch_normalization")

    def call(self, inputs, training=None):
        x = pad_border(inputs, self.kernel_size, self.strides, self.padding)
        return get_activation(self.act_type)(self.norm(self.conv(x), training=training))

    def get_config(self) -> dict[str, Any]:
        names = "filters kernel_size strides act_type padding".split()
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
