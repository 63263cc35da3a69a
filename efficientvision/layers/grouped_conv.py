"""Convolution in groups with symmetric padding, as the EdgeNets use it everywhere."""

import keras
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
        strides: of both axes.
        dilation: of both axes.
        groups: divides the input's channels and `filters`.
        use_bias: adds a bias.

    Input `[N, H, W, C]`, output `[N, ceil(H / strides), ceil(W / strides), filters]`. Weights:
    `kernel` `[kernel_size, kernel_size, C / groups, filters]`, `bias` `[filters]`.

    Reference: Mehta et al. 2019, https://arxiv.org/abs/1811.11431, section 3.1.
    """

    def __init__(
        self,
        filters,
        kernel_size=3,
        strides=1,
        dilation=1,
        groups=1,
        use_bias=False,
        kernel_initializer=None,
        **kwargs,
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

    def call(self, inputs):
        kernel = ops.convert_to_tensor(self.kernel)
        outputs = grouped_conv(inputs, kernel, self.strides, self.dilation)
        return outputs if self.bias is None else outputs + self.bias

    def compute_output_shape(self, input_shape):
        spatial = (None if s is None else -(-s // self.strides) for s in input_shape[1:3])
        return (input_shape[0], *spatial, self.filters)

    def get_config(self):
        names = "filters kernel_size strides dilation groups use_bias".split()
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


def grouped_conv(inputs, kernel, strides=1, dilation=1):
    """The convolution itself.

    Args:
        inputs: `[N, H, W, C]`.
        kernel: `[k, k, C / groups, filters]`, k odd; its shape tells the groups.
        strides, dilation: of both axes.

    Returns:
        `[N, ceil(H / strides), ceil(W / strides), filters]`.
    """
    margin = dilation * (kernel.shape[0] - 1) // 2
    if keras.backend.backend() != "tensorflow":
        padding = ((0, 0), (margin, margin), (margin, margin), (0, 0))
        return ops.conv(ops.pad(inputs, padding), kernel, strides, "valid", dilation_rate=dilation)
    import tensorflow as tf

    # On a CPU the gradient of a grouped convolution knows "SAME" and "VALID", no explicit padding.
    if margin and strides > 1:
        inputs = tf.pad(inputs, [[0, 0], [margin, margin], [margin, margin], [0, 0]])
    padding = "SAME" if strides == 1 else "VALID"
    return tf.nn.conv2d(inputs, kernel, strides, padding, dilations=dilation)
