"""Loss scaling for float16: keeps small gradients from underflowing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

_INITIAL = 2.0**15
_GROWTH_STEPS = 2000
_SCALE = "loss_scale"
_GOOD_STEPS = "loss_scale_good_steps"


class LossScale:
    """Multiplies the loss by a factor and divides the gradients by it (arXiv:1710.03740, sec. 3.2).

    The factor is halved when a gradient overflows and doubled after 2,000 steps without overflow.
    Create it under the strategy's scope; the methods are called in replica context and do the same
    on every replica.

    Args:
        dynamic: If False, the factor is always 1.
    """

    def __init__(self, dynamic: bool):
        self.dynamic = dynamic
        self._scale: tf.Variable | None = None
        self._good_steps: tf.Variable | None = None
        if dynamic:
            self._scale = _local_variable(_INITIAL, _SCALE)
            self._good_steps = _local_variable(0.0, _GOOD_STEPS)

    @property
    def value(self) -> float:
        """The current factor."""
        return float(self._scale.numpy()) if self.dynamic else 1.0

    def scaled(self, loss: tf.Tensor) -> tf.Tensor:
        """The scaled loss, to differentiate."""
        return loss * self._scale if self.dynamic else loss

    def unscaled(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The gradients of the unscaled loss."""
        return [g / self._scale for g in gradients] if self.dynamic else list(gradients)

    def explains_overflow(self) -> tf.Tensor:
        """Whether the factor may be the cause of gradients that are not finite (bool scalar)."""
        return self._scale > 1.0 if self.dynamic else tf.constant(False)

    def after_good_step(self) -> None:
        """Counts a step with finite gradients."""
        if not self.dynamic:
            return
        good = self._good_steps + 1.0
        grows = good >= _GROWTH_STEPS
        self._scale.assign(tf.where(grows, 2.0 * self._scale, self._scale))
        self._good_steps.assign(tf.where(grows, 0.0, good))

    def after_overflow(self, overflow: tf.Tensor) -> None:
        """Halves the factor, down to 1, if `overflow` (bool scalar)."""
        if self.dynamic:
            self._scale.assign(tf.where(overflow, tf.maximum(1.0, 0.5 * self._scale), self._scale))
            self._good_steps.assign(0.0)

    def numpy(self) -> dict[str, np.ndarray]:
        """The state for a checkpoint; empty without scaling."""
        if not self.dynamic:
            return {}
        return {_SCALE: self._scale.numpy(), _GOOD_STEPS: self._good_steps.numpy()}

    def load(self, values: Mapping[str, np.ndarray]) -> None:
        """Restores the state of `numpy`; without one, the factor keeps its initial value."""
        if self.dynamic and _SCALE in values:
            self._scale.assign(values[_SCALE])
            self._good_steps.assign(values[_GOOD_STEPS])


def _local_variable(value: float, name: str) -> tf.Variable:
    return tf.Variable(value, trainable=False, name=name, aggregation=tf.VariableAggregation.NONE)
