"""The EdgeNets' small building blocks: convolution, batch norm and PReLU under published names."""

from collections.abc import Sequence
from typing import Any

import keras

from efficientvision.layers.composite import CompositeLayer
from efficientvision.layers.grouped_conv import GroupedConv2D
from efficientvision.layers.prelu import PReLU

# The published weights name the same three layers in two ways.
ESP_NAMES = ("conv", "bn", "act")
CBR_NAMES = ("cbr.0", "cbr.1", "cbr.2")
CB_NAMES = ("cb.0", "cb.1")


@keras.saving.register_keras_serializable(package="efficientvision")
class ConvBlock(CompositeLayer):
    """Grouped convolution, batch norm, PReLU: `[N, H, W, C]` to `[N, H/s, W/s, filters]`.

    Args:
        filters, kernel_size, strides, groups: arguments of the `GroupedConv2D`.
        activation: whether a PReLU follows.
        names: names of the inner layers, in order.

    Reference: Mehta et al. 2019, https://arxiv.org/abs/1811.11431, section 3.1.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        groups: int = 1,
        activation: bool = True,
        names: Sequence[str] = ESP_NAMES,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.groups = groups
        self.activation = activation
        self.names = tuple(names)
        self.conv = GroupedConv2D(
            filters,
            kernel_size,
            strides,
            groups=groups,
            name=self.names[0],
            dtype=self.dtype_policy,
        )
        self.norm = self._batch_norm(self.names[1])
        self.act = PReLU(name=self.names[2], dtype=self.dtype_policy) if activation else None

    def call(self, inputs, training=None):
        x = self.norm(self.conv(inputs, training=training), training=training)
        return x if self.act is None else self.act(x)

    def get_config(self) -> dict[str, Any]:
        names = "filters kernel_size strides groups activation names".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="efficientvision")
class NormAct(CompositeLayer):
    """Batch norm, PReLU; keeps the shape.

    Args:
        names: names of the two inner layers.
    """

    def __init__(self, names: Sequence[str] = ("bn", "act"), **kwargs: Any):
        super().__init__(**kwargs)
        self.names = tuple(names)
        self.norm = self._batch_norm(self.names[0])
        self.act = PReLU(name=self.names[1], dtype=self.dtype_policy)

    def call(self, inputs, training=None):
        return self.act(self.norm(inputs, training=training))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "names": self.names}


@keras.saving.register_keras_serializable(package="efficientvision")
class LayerStack(CompositeLayer):
    """Layers one after the other, under one name in the variables' paths.

    Args:
        layers: the layers, in their order; each takes `training`.
    """

    def __init__(self, layers: Sequence[keras.Layer], **kwargs: Any):
        super().__init__(**kwargs)
        self.layers = list(layers)

    def call(self, inputs, training=None):
        x = inputs
        for layer in self.layers:
            x = layer(x, training=training)
        return x

    def get_config(self) -> dict[str, Any]:
        layers = [keras.saving.serialize_keras_object(layer) for layer in self.layers]
        return {**super().get_config(), "layers": layers}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "LayerStack":
        # Built by themselves, their variables would not have this layer's name in their paths.
        layers = [
            keras.saving.deserialize_keras_object({**layer, "build_config": None})
            for layer in config["layers"]
        ]
        return cls(**{**config, "layers": layers})
