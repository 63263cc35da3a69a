"""Exponential moving averages of the weights, with the published ramp-up."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf


class WeightAverages:
    """Averages of trainable variables *and* moving statistics.

    After step t (counted from 0) an average moves by `1 - min(decay, (1 + t) / (10 + t))` towards
    its variable, so that the averages of a short run are not those of the initial weights. Source:
    `optimizers.MovingAverage` (dynamic decay) as used by the original's training.

    Create it under the strategy's scope. `update` is called in replica context: each replica
    updates its own copy with its own weights.

    Args:
        variables: Keras variables to average.
        decay: Largest decay; 0 disables the averaging (`enabled` is False).
    """

    def __init__(self, variables: Sequence, decay: float):
        self.decay = decay
        self.enabled = bool(decay)
        self._variables = list(variables) if self.enabled else []
        self._averages = [
            tf.Variable(
                v.numpy(),
                trainable=False,
                dtype=v.dtype,
                name="average",
                aggregation=tf.VariableAggregation.NONE,
            )
            for v in self._variables
        ]

    @property
    def variables(self) -> list[tf.Variable]:
        """The averages, in the order of `names`."""
        return self._averages

    @property
    def names(self) -> list[str]:
        """Paths of the averaged variables."""
        return [v.path for v in self._variables]

    def update(self, step) -> None:
        """Moves the averages towards the variables after step `step` (scalar, from 0)."""
        if not self.enabled:
            return
        t = tf.cast(step, tf.float32)
        rate = 1.0 - tf.minimum(self.decay, (1.0 + t) / (10.0 + t))
        for average, variable in zip(self._averages, self._variables, strict=True):
            value = tf.cast(variable.value, average.dtype)
            average.assign_sub(tf.cast(rate, average.dtype) * (average - value))

    def numpy(self) -> dict[str, np.ndarray]:
        """The averages by variable path."""
        return {n: a.numpy() for n, a in zip(self.names, self._averages, strict=True)}

    def load(self, values: dict[str, np.ndarray]) -> None:
        """Sets the averages; a variable that `values` lacks keeps its current value's average."""
        for variable, average in zip(self._variables, self._averages, strict=True):
            average.assign(values.get(variable.path, variable.numpy()))

    def reset(self) -> None:
        """Restarts the averages at the variables' values (after loading pretrained weights)."""
        self.load({})

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Inside the context the variables hold their averages; afterwards their own values."""
        own = [v.numpy() for v in self._variables]
        for variable, average in zip(self._variables, self._averages, strict=True):
            variable.assign(average.numpy())
        try:
            yield
        finally:
            for variable, value in zip(self._variables, own, strict=True):
                variable.assign(value)
