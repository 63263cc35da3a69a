"""Bringing a feature map to another pyramid level's size and channels."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from efficientvision.layers.composite import CompositeLayer
from efficientvision.layers.pooling import max_pool_3x3

RESIZINGS = ("nearest", "bilinear")


@keras.saving.register_keras_serializable(package="efficientvision")
class Resample(CompositeLayer):
    """1x1 convolution where channels differ, then a change of size.

    Args:
        filters: channels of the output.
        target_hw: (height, width) of the output, static; None: half of the input, rounded up.
        apply_bn: batch norm after the 1x1 convolution.
        conv_after_downsample: pool before the convolution instead of after it.
        padding: padding when pooling: `"same"`, or `"symmetric"` as in PyTorch.
        resizing: `"nearest"`: max-pooling down and nearest neighbour up, as published;
            `"bilinear"`: bilinear interpolation both ways, with pixels' centres aligned and without
            antialiasing.

    Input `[N, H, W, C]` with static H, W; output `[N, *target_hw, filters]`, or of another
    `target_hw` that `call` is given: the weights do not depend on it. Mixed cases (one
    axis up, the other down) are refused with a ValueError.

    Reference: EfficientDet, section 3; the 1x1 convolution follows the published code.
    """

    def __init__(
        self,
        filters: int,
        target_hw: Sequence[int] | None,
        apply_bn: bool = True,
        conv_after_downsample: bool = False,
        padding: str = "same",
        resizing: str = "nearest",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.target_hw = tuple(target_hw) if target_hw else None
        self.apply_bn = apply_bn
        self.conv_after_downsample = conv_after_downsample
        self.padding = padding
        self.resizing = resizing
        self.conv = self.norm = None

    def build(self, input_shape):
        if input_shape[-1] != self.filters:
            self.conv = keras.layers.Conv2D(
                self.filters, 1, padding="same", name="conv2d", dtype=self.dtype_policy
            )
            if self.apply_bn:
                self.norm = self._batch_norm("bn")
        super().build(input_shape)

    def call(self, inputs, training=None, target_hw=None):
        height, width = inputs.shape[1:3]
        target_hw = target_hw or self.target_hw or ((height + 1) // 2, (width + 1) // 2)
        down = height > target_hw[0] or width > target_hw[1]
        up = height < target_hw[0] or width < target_hw[1]
        if down and up:
            raise ValueError(
                f"Cannot resample {(height, width)} to {tuple(target_hw)}: one axis grows while "
                "the other shrinks."
            )
        if not down:
            x = self._match_channels(inputs, training)
            if self.resizing == "bilinear":
                return _resize_bilinear(x, target_hw)
            return resize_nearest(x, target_hw, training=bool(training))
        if self.conv_after_downsample:
            return self._match_channels(self._pool(inputs, target_hw), training)
        return self._pool(self._match_channels(inputs, training), target_hw)

    def _match_channels(self, inputs, training):
        if self.conv is None:
            return inputs
        x = self.conv(inputs)
        return x if self.norm is None else self.norm(x, training=training)

    def _pool(self, inputs, target_hw):
        if self.resizing == "bilinear":
            return _resize_bilinear(inputs, target_hw)
        strides = [
            (size - 1) // target + 1
            for size, target in zip(inputs.shape[1:3], target_hw, strict=True)
        ]
        if self.padding == "symmetric" and strides == [2, 2]:
            return max_pool_3x3(inputs)
        return ops.max_pool(inputs, [s + 1 for s in strides], strides, padding="same")

    def get_config(self) -> dict[str, Any]:
        names = "filters target_hw apply_bn conv_after_downsample padding resizing".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _resize_bilinear(inputs, target_hw):
    if tuple(inputs.shape[1:3]) == tuple(target_hw):
        return inputs
    return ops.image.resize(inputs, target_hw, interpolation="bilinear")


def resize_nearest(
    inputs: keras.KerasTensor, target_hw: Sequence[int], training: bool | None = False
) -> keras.KerasTensor:
    """Nearest neighbour upsampling where output row i takes input row floor(i * H / target).

    TensorFlow's current `resize` takes floor((i + 0.5) * H / target), which differs for ratios
    that are not whole (3 -> 5 gives 0,0,1,2,2 instead of 0,0,1,1,2); the published networks used
    the former.

    Args:
        inputs: `[N, H, W, C]` with static H and W.
        target_hw: (height, width), each at least the input's.
        training: whether gradients are wanted: XLA has none for the resizing operation, which is
            otherwise the faster one and the one that mobile runtimes know.

    Returns:
        `[N, *target_hw, C]`.
    """
    height, width = inputs.shape[1:3]
    if (height, width) == tuple(target_hw):
        return inputs
    if target_hw[0] % height == 0 and target_hw[1] % width == 0:
        if not training:
            return ops.image.resize(inputs, target_hw, interpolation="nearest")
        inputs = ops.repeat(inputs, target_hw[0] // height, axis=1)
        return ops.repeat(inputs, target_hw[1] // width, axis=2)
    for axis, size, target in ((1, height, target_hw[0]), (2, width, target_hw[1])):
        if size != target:
            inputs = ops.take(inputs, np.arange(target) * size // target, axis=axis)
    return inputs
