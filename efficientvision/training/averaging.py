"""Exponential moving averages of the weights, with the published ramp-up."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from efficientvision.training.flat_variables import FlatVariables


def ramp_up(step: Any) -> Any:
    """Largest decay of the averages after `step` (number or tensor, counted from 0)."""
    return (1.0 + step) / (10.0 + step)


class WeightAverages:
    """Averages of trainable variables *and* moving statistics.

    After step t (counted from 0), an average moves by `1 - min(decay, ramp_up(t))` towards its
    variable, so that short runs are not dominated by the initial weights. Source:
    `optimizers.MovingAverage` (dynamic decay) as used by the original's training.

    Create it under the strategy's scope. Call `update` in replica context: each replica updates its
    own copy with its own weights.

    Args:
        groups: The variables to average.
        decay: Largest decay; 0 disables averaging (`enabled` is False).
    """

    def __init__(self, groups: Sequence[FlatVariables], decay: float):
        self.decay = decay
        self.enabled = bool(decay)
        self._groups = list(groups) if self.enabled else []
        self.variables: list[tf.Variable] = [
            group.new_vector(f"average_{index}", group.from_dict({}))
            for index, group in enumerate(self._groups)
        ]

    def update(self, step: tf.Tensor | int) -> None:
        """Moves the averages towards the groups' vectors after step `step` (scalar, from 0)."""
        t = tf.cast(step, tf.float32)
        rate = 1.0 - tf.minimum(self.decay, ramp_up(t))
        for group, average in zip(self._groups, self.variables, strict=True):
            average.assign_sub(rate * (average - group.vector))

    def numpy(self) -> dict[str, np.ndarray]:
        """The averages by variable path; empty if disabled."""
        values: dict[str, np.ndarray] = {}
        for group, average in zip(self._groups, self.variables, strict=True):
            values |= group.to_dict(average.numpy())
        return values

    def load(self, values: Mapping[str, np.ndarray]) -> None:
        """Sets the averages by path; those missing in `values` start at the variable's value."""
        for group, average in zip(self._groups, self.variables, strict=True):
            average.assign(group.from_dict(values))

    def reset(self) -> None:
        """Restarts the averages at the variables' values (after loading pretrained weights)."""
        self.load({})

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Context in which the variables hold their averages; restores their values on exit."""
        averages = self.numpy()
        variables = [v for group in self._groups for v in group.variables]
        own = [(v, v.numpy()) for v in variables]
        for variable, _ in own:
            variable.assign(averages[variable.path])
        try:
            yield
        finally:
            for variable, value in own:
                variable.assign(value)
