"""Bilinear resizing whose corners are those of the input."""

from typing import Any

import keras
import numpy as np
from keras import ops

from efficientvision.layers.pooling import along_axis


def resize_bilinear(inputs: keras.KerasTensor, target_hw: tuple[int, int]) -> keras.KerasTensor:
    """Bilinear interpolation with aligned corners, without antialiasing.

    Output position i reads input position i * (size - 1) / (target - 1).

    Args:
        inputs: `[N, H, W, C]`; H and W may be unknown on the TensorFlow backend.
        target_hw: (height, width) of the output; integers, or tensors on that backend.

    Returns:
        `[N, *target_hw, C]`, in the inputs' dtype.
    """
    if tuple(inputs.shape[1:3]) == tuple(target_hw):
        return inputs
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        resized = tf.raw_ops.ResizeBilinear(images=inputs, size=target_hw, align_corners=True)
        return ops.cast(resized, inputs.dtype)
    for axis, target in ((1, target_hw[0]), (2, target_hw[1])):
        size = inputs.shape[axis]
        if size != target:
            inputs = along_axis(inputs, bilinear_weights(size, target), axis)
    return inputs


@keras.saving.register_keras_serializable(package="efficientvision")
class BilinearResize(keras.layers.Layer):
    """`resize_bilinear` as a layer: `[N, H, W, C]` to `[N, *target_hw, C]`.

    Args:
        target_hw: (height, width) of the output.
    """

    def __init__(self, target_hw: tuple[int, int], **kwargs: Any):
        super().__init__(**kwargs)
        self.target_hw = tuple(target_hw)

    def call(self, inputs):
        return resize_bilinear(inputs, self.target_hw)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.target_hw, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "target_hw": self.target_hw}


def bilinear_weights(size: int, target: int) -> np.ndarray:
    """The matrix of the interpolation along one axis.

    Args:
        size: length of the input.
        target: length of the output.

    Returns:
        float32 array `[target, size]`, rows adding up to 1.
    """
    step = (size - 1) / (target - 1) if target > 1 else 0.0
    position = np.arange(target) * step
    low = np.minimum(position.astype(int), size - 1)
    high = np.minimum(low + 1, size - 1)
    share = position - low
    weights = np.zeros((target, size), "float32")
    weights[np.arange(target), low] += 1.0 - share
    weights[np.arange(target), high] += share
    return weights
