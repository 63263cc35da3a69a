"""Convolution in groups with symmetric padding, as the EdgeNets use it everywhere."""

import functools
from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="efficientvision")
class GroupedConv2D(keras.layers.Layer):
    """A 2-D convolution in groups, padded by `dilation * (kernel_size - 1) // 2` on every side.

    The padding is the same at stride 2, where TensorFlow's SAME pads the far side only.
    `keras.layers.Conv2D(groups > 1)` is compiled by XLA on the TensorFlow backend, which on a CPU
    is slower by a factor of fifty and cannot be exported to ONNX; here that backend runs
    TensorFlow's own operation. With as many groups as channels it is a depthwise convolution; the
    kernel's layout is the same.

    Args:
        filters: output channels.
        kernel_size: side of the kernel, odd.
        strides: stride along both axes.
        dilation: dilation along both axes.
        groups: divides the input's channels and `filters`.
        use_bias: adds a bias.

    Input `[N, H, W, C]`, output `[N, ceil(H / strides), ceil(W / strides), filters]`. Weights:
    `kernel` `[kernel_size, kernel_size, C / groups, filters]`, `bias` `[filters]`.

    Reference: Mehta et al. 2019, https://arxiv.org/abs/1811.11431, section 3.1.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        strides: int = 1,
        dilation: int = 1,
        groups: int = 1,
        use_bias: bool = False,
        kernel_initializer: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {kernel_size}.")
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.dilation = dilation
        self.groups = groups
        self.use_bias = use_bias
        # He et al. 2015: normal with variance 2 / (k * k * outputs), as the original starts.
        self.kernel_initializer = keras.initializers.get(
            kernel_initializer or keras.initializers.VarianceScaling(2.0, "fan_out", "normal")
        )
        self.bias = None

    def build(self, input_shape):
        channels = input_shape[-1]
        if channels % self.groups or self.filters % self.groups:
            raise ValueError(
                f"{self.groups} groups divide neither of {channels} input and {self.filters} "
                "output channels into equal parts."
            )
        size = self.kernel_size
        self.kernel = self.add_weight(
            name="kernel",
            shape=(size, size, channels // self.groups, self.filters),
            initializer=self.kernel_initializer,
        )
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")

    def call(self, inputs, training=None):
        kernel = ops.convert_to_tensor(self.kernel)
        outputs = grouped_conv(inputs, kernel, self.strides, self.dilation, bool(training))
        return outputs if self.bias is None else outputs + self.bias

    def compute_output_shape(self, input_shape):
        spatial = (None if s is None else -(-s // self.strides) for s in input_shape[1:3])
        return (input_shape[0], *spatial, self.filters)

    def get_config(self) -> dict[str, Any]:
        names = "filters kernel_size strides dilation groups use_bias".split()
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


def grouped_conv(
    inputs: keras.KerasTensor,
    kernel: keras.KerasTensor,
    strides: int = 1,
    dilation: int = 1,
    training: bool | None = False,
) -> keras.KerasTensor:
    """The convolution itself.

    Args:
        inputs: `[N, H, W, C]`.
        kernel: `[k, k, C / groups, filters]`, k odd; its shape tells the groups.
        strides, dilation: along both axes.
        training: whether gradients are wanted.

    Returns:
        `[N, ceil(H / strides), ceil(W / strides), filters]`.
    """
    margin = dilation * (kernel.shape[0] - 1) // 2
    if margin:
        inputs = ops.pad(inputs, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    if keras.backend.backend() != "tensorflow":
        return ops.conv(inputs, kernel, strides, "valid", dilation_rate=dilation)
    import tensorflow as tf

    channels, (*_, depth, filters) = inputs.shape[-1], kernel.shape
    if training and depth < channels and not _grouped_gradients_exist():
        kernel, dilation = _dense_kernel(kernel, channels, dilation), 1
    elif not training and depth == 1 and filters == channels and _dilated_depthwise_exists():
        # The operation that mobile runtimes know, with their int8 kernels.
        return _depthwise(inputs, kernel, strides, dilation)
    return tf.nn.conv2d(inputs, kernel, strides, "VALID", dilations=dilation)


def _depthwise(inputs, kernel, strides, dilation):
    import tensorflow as tf

    return tf.raw_ops.DepthwiseConv2dNative(
        input=inputs,
        filter=tf.transpose(kernel, (0, 1, 3, 2)),
        strides=(1, strides, strides, 1),
        padding="VALID",
        dilations=(1, dilation, dilation, 1),
    )


@functools.cache
def _grouped_gradients_exist():
    """Whether TensorFlow has the gradients on this machine: on a CPU, only with oneDNN."""
    import tensorflow as tf

    options = {"strides": (1, 1, 1, 1), "padding": "VALID", "dilations": (1, 2, 2, 1)}
    with tf.init_scope():
        inputs, kernel, change = tf.ones((1, 5, 5, 2)), tf.ones((3, 3, 1, 2)), tf.ones((1, 1, 1, 2))
        try:
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=inputs.shape, filter=kernel, out_backprop=change, **options
            )
            tf.raw_ops.Conv2DBackpropFilter(
                input=inputs, filter_sizes=kernel.shape, out_backprop=change, **options
            )
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            return False
    return True


@functools.cache
def _dilated_depthwise_exists():
    """Whether TensorFlow's depthwise operation can dilate on this machine: with oneDNN it can."""
    import tensorflow as tf

    with tf.init_scope():
        inputs, kernel = tf.reshape(tf.range(50.0), (1, 5, 5, 2)), tf.ones((3, 3, 1, 2))
        try:
            outputs = _depthwise(inputs, kernel, 1, 2)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            return False
        expected = tf.reduce_sum(inputs[:, ::2, ::2], axis=(1, 2))
        return bool(tf.reduce_all(outputs == expected))


def _dense_kernel(kernel, channels, dilation):
    """The dense kernel of the same convolution, zeros elsewhere. Slow, but always available."""
    size, _, depth, filters = kernel.shape
    group_of_input = np.arange(channels) // depth
    group_of_output = np.arange(filters) * (channels // depth) // filters
    inside = (group_of_input[:, None] == group_of_output).astype("float32")
    dense = ops.tile(kernel, (1, 1, channels // depth, 1)) * ops.cast(inside, kernel.dtype)
    if dilation == 1:
        return dense
    # Rows and columns of zeros between those of the kernel.
    spread = np.zeros(((size - 1) * dilation + 1, size), "float32")
    spread[np.arange(size) * dilation, np.arange(size)] = 1.0
    spread = ops.cast(spread, kernel.dtype)
    return ops.einsum("ai,bj,ijcf->abcf", spread, spread, dense)
