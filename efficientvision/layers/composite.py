"""Base class of the composite layers."""

from collections.abc import Mapping
from typing import Any

import keras

from efficientvision.layers.normalization import BatchNorm


class CompositeLayer(keras.layers.Layer):
    """A layer made of named layers whose paths are the published checkpoints' names.

    Args:
        batch_norm: arguments of every `BatchNorm` inside (`momentum`, `epsilon`, `synchronized`,
            `frozen`), or None for the published ones.
    """

    def __init__(self, batch_norm: Mapping[str, Any] | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.batch_norm = dict(batch_norm or {})

    def _batch_norm(self, name):
        return BatchNorm(name=name, dtype=self.dtype_policy, **self.batch_norm)

    def build(self, input_shape=None):
        # Children are built by tracing `call` symbolically (Keras does so on first use), which
        # nests their paths under this layer's.
        self.built = True

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "batch_norm": dict(self.batch_norm)}


def numbered(name: str, index: int) -> str:
    """`name`, then `name_1`, `name_2`...: the numbering of layers in the published checkpoints."""
    return name if index == 0 else f"{name}_{index}"
