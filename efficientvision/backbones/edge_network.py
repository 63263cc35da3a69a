"""Base class of the EdgeNets backbones: batch norm, and a table of widths."""

from collections.abc import Mapping
from typing import Any

from efficientvision.backbones.levels import LAST_LEVEL, check_max_level
from efficientvision.layers.composite import CompositeLayer
from efficientvision.layers.pooling import max_pool_3x3
from efficientvision.layers.rematerialization import rematerialized

BATCH_NORM = {"momentum": 0.9, "epsilon": 1e-5}


class EdgeNetwork(CompositeLayer):
    """Base of ESPNetv2, DiCENet and ShuffleNetv2.

    Args:
        width: a key of `CHANNELS`, the `s` of the published names.
        num_classes: adds a classification head, if given.
        dropout_rate: dropout before the classifier, or None for the published one.
        grad_checkpoint: in training keep only the units' outputs for the gradient, which computes
            the rest again: less memory, more time, same numbers (TensorFlow backend).
        batch_norm: changes to the published momentum 0.9 and epsilon 1e-5.
        max_level: the last level to build, 2 to 5; a head needs level 5.

    Input: `[N, H, W, 3]` float, normalised. Output: a dict `{1: [N, H/2, W/2, C1], ...,
    5: [N, H/32, W/32, C5]}` (sizes rounded up) to `max_level`, with `"logits": [N, num_classes]`
    if there is a head.
    """

    CHANNELS: dict[float, tuple[int, ...]] = {}

    def __init__(
        self,
        width: float,
        num_classes: int | None = None,
        dropout_rate: float | None = None,
        grad_checkpoint: bool = False,
        batch_norm: Mapping[str, Any] | None = None,
        max_level: int = LAST_LEVEL,
        **kwargs: Any,
    ):
        super().__init__(batch_norm={**BATCH_NORM, **(batch_norm or {})}, **kwargs)
        if width not in self.CHANNELS:
            raise ValueError(
                f"{type(self).__name__} has no width {width!r}; expected one of "
                f"{', '.join(map(str, self.CHANNELS))}."
            )
        check_max_level(max_level, num_classes)
        self.width = width
        self.num_classes = num_classes
        self.dropout_rate = dropout_rate
        self.grad_checkpoint = grad_checkpoint
        self.max_level = max_level

    @property
    def _shared(self):
        return {"batch_norm": self.batch_norm, "dtype": self.dtype_policy}

    def _run(self, unit, inputs, training):
        """A unit's output; `inputs` are its arguments."""

        def call(arguments):
            return unit(*arguments, training=training)

        if self.grad_checkpoint and training:
            return rematerialized(call, [unit], inputs)
        return call(inputs)

    def _shuffle_levels(self, inputs, training):
        """Levels of a network of ShuffleNetv2's plan: `stem`, pooling, each level's `units`."""
        features = {1: self.stem(inputs, training=training)}
        features[2] = x = max_pool_3x3(features[1])
        for level, units in self.units.items():
            for unit in units:
                x = self._run(unit, [x], training)
            features[int(level)] = x
        return features

    def get_config(self) -> dict[str, Any]:
        names = "width num_classes dropout_rate grad_checkpoint max_level".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
