"""Pooling as PyTorch does it: symmetric padding, and windows that adapt to the output's size."""

import keras
import numpy as np
from keras import ops

from efficientvision.layers import integers

_PADDING = ((0, 0), (1, 1), (1, 1), (0, 0))


def avg_pool_3x3(inputs: keras.KerasTensor) -> keras.KerasTensor:
    """Means of 3x3 windows, stride 2, one pixel of zeros around, which count.

    Args:
        inputs: `[N, H, W, C]`.

    Returns:
        `[N, ceil(H / 2), ceil(W / 2), C]`.
    """
    return ops.average_pool(ops.pad(inputs, _PADDING), 3, 2, "valid")


def max_pool_3x3(inputs: keras.KerasTensor) -> keras.KerasTensor:
    """Largest values of 3x3 windows, stride 2; the border of one pixel is never the largest.

    Args:
        inputs: `[N, H, W, C]`.

    Returns:
        `[N, ceil(H / 2), ceil(W / 2), C]`.
    """
    # The border repeats the edge, which is in the window anyway. A border of the lowest number
    # would be the range that int8 has to represent.
    for axis in (1, 2):
        first = inputs[:, :1] if axis == 1 else inputs[:, :, :1]
        last = inputs[:, -1:] if axis == 1 else inputs[:, :, -1:]
        inputs = ops.concatenate([first, inputs, last], axis=axis)
    return ops.max_pool(inputs, 3, 2, "valid")


def adaptive_weights(size: int, target: int) -> np.ndarray:
    """The matrix of adaptive average pooling along one axis.

    Window i is [floor(i * size / target), ceil((i + 1) * size / target)); windows may overlap.

    Args:
        size: length of the input.
        target: length of the output.

    Returns:
        float32 array `[target, size]`, rows adding up to 1.
    """
    index = np.arange(target)
    start, end = index * size // target, -((index + 1) * size // -target)
    position = np.arange(size)
    inside = (position >= start[:, None]) & (position < end[:, None])
    return (inside / inside.sum(1, keepdims=True)).astype("float32")


def adaptive_avg_pool(inputs: keras.KerasTensor, target_hw: tuple[int, int]) -> keras.KerasTensor:
    """Means over windows that cover the input evenly, whatever its size.

    Args:
        inputs: `[N, H, W, C]` with static H and W.
        target_hw: (height, width) of the output.

    Returns:
        `[N, *target_hw, C]`.
    """
    height, width = inputs.shape[1:3]
    factors = (height // target_hw[0], width // target_hw[1])
    if (height, width) == (factors[0] * target_hw[0], factors[1] * target_hw[1]):
        return inputs if factors == (1, 1) else ops.average_pool(inputs, factors, factors)
    for axis, size, target in ((1, height, target_hw[0]), (2, width, target_hw[1])):
        if size != target:
            inputs = along_axis(inputs, adaptive_weights(size, target), axis)
    return inputs


def along_axis(inputs: keras.KerasTensor, weights: np.ndarray, axis: int) -> keras.KerasTensor:
    """A matrix applied to one spatial axis.

    Args:
        inputs: `[N, H, W, C]`.
        weights: `[target, size]` array, size that of the axis.
        axis: 1 (height) or 2 (width).

    Returns:
        The inputs with that axis of length `target`.
    """
    weights = ops.convert_to_tensor(weights, inputs.dtype)
    if integers.are_wanted():
        # In the published segmenters LiteRT's int8 products of matrices were off by up to 40
        # steps, its convolutions, with a scale for each output, by 2. The axis takes the place of
        # the channels.
        order = (0, 2, 3, 1) if axis == 1 else (0, 1, 3, 2)
        kernel = ops.transpose(weights)[None, None]
        rows = ops.conv(ops.transpose(inputs, order), kernel)
        return ops.transpose(rows, np.argsort(order).tolist())
    if axis == 2:
        return ops.matmul(weights, inputs)
    height, width, channels = inputs.shape[1:]
    rows = ops.matmul(weights, ops.reshape(inputs, (-1, height, width * channels)))
    return ops.reshape(rows, (-1, weights.shape[0], width, channels))
