"""The small segmentation head of an EfficientDet."""

from typing import Any

import keras
from keras import ops

from efficientvision.layers.activations import get_activation
from efficientvision.layers.composite import CompositeLayer, numbered


@keras.saving.register_keras_serializable(package="efficientvision")
class SegmentationHead(CompositeLayer):
    """Transposed convolutions from the coarsest level up, joined with each finer level.

    Args:
        num_classes: channels of the output.
        filters: channels of the hidden transposed convolutions.
        num_levels: number of inputs.
        act_type: activation.

    Input: a list of `[N, h, w, C]`, finest first; output: logits `[N, 2 h_0, 2 w_0, num_classes]`
    in float32, at twice the size of the finest level.

    Reference: the segmentation head of google/automl's EfficientDet.
    """

    def __init__(
        self,
        num_classes: int,
        filters: int,
        num_levels: int,
        act_type: str = "swish",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.filters = filters
        self.num_levels = num_levels
        self.act_type = act_type
        self.convs = [
            self._conv(filters, i, self.dtype_policy, use_bias=False) for i in range(num_levels - 1)
        ]
        self.norms = [self._batch_norm(f"bn_{i}") for i in range(num_levels - 1)]
        self.predict = self._conv(num_classes, num_levels - 1, "float32", use_bias=True)

    def _conv(self, filters, index, dtype, use_bias):
        return keras.layers.Conv2DTranspose(
            filters,
            3,
            strides=2,
            padding="same",
            use_bias=use_bias,
            name=numbered("conv2d_transpose", index),
            dtype=dtype,
        )

    def call(self, inputs: list[Any], training: bool | None = None) -> Any:
        activation = get_activation(self.act_type)
        x = inputs[-1]
        for conv, norm, skip in zip(self.convs, self.norms, inputs[-2::-1], strict=True):
            x = activation(norm(conv(x), training=training))
            # An odd level is one row or column smaller than twice the next coarser one.
            x = x[:, : skip.shape[1], : skip.shape[2]]
            x = ops.concatenate([x, skip], axis=-1)
        return self.predict(x)

    def get_config(self) -> dict[str, Any]:
        names = "num_classes filters num_levels act_type".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
