"""Learning-rate schedules with one rate per epoch, from EdgeNets."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from efficientvision.errors import UserError

EPOCH_METHODS = ("hybrid", "clr", "linear", "poly", "fixed")
_MOST_ROUNDING = 0.01


def epoch_rates(
    method: str,
    *,
    learning_rate: float,
    num_epochs: int,
    clr_max: int = 61,
    cycle_len: int = 5,
    steps: Sequence[int] = (),
    decay: float = 0.5,
    power: float = 0.9,
) -> list[float]:
    """The learning rate of each epoch.

    Source: `utilities/lr_scheduler.py` of EdgeNets, including its rounding to 5 or 6 decimals,
    except where rounding would change a rate by more than a percent (it turns small rates into 0).

    Args:
        method: "clr" (cyclic, with warm restarts: in each cycle of `cycle_len` epochs the rate
            falls from `cycle_len` times the base rate to the base rate, which is multiplied by
            `decay` at each of `steps`; the first epoch runs at the base rate), "hybrid" (the same
            without `steps` until epoch `clr_max`, then linearly to 0), "linear", "poly"
            (`(1 - epoch / num_epochs) ** power`) or "fixed" (multiplied by `decay` at each of
            `steps`).
        learning_rate: Base rate.
        num_epochs: Number of epochs of the run.
        clr_max: First epoch of the linear part ("hybrid").
        cycle_len: Cycle length in epochs ("clr", "hybrid").
        steps: Epochs at which the rate is lowered, counted from 0 ("clr", "fixed").
        decay: Factor at each of `steps` ("clr", "fixed").
        power: Exponent ("poly").

    Raises:
        UserError: The method is unknown.
    """
    if method not in EPOCH_METHODS:
        raise UserError(
            f"The schedule by epochs must be one of {', '.join(EPOCH_METHODS)}; got {method!r}."
        )

    def lowered(epoch: int) -> float:
        return learning_rate * decay ** sum(step <= epoch for step in steps)

    def cycled(epoch: int, rate: float) -> float:
        # This order of operations decides how a rate halfway between two decimals is rounded.
        return cycle_len * rate - (epoch - 1) % cycle_len * rate if epoch else rate

    def left(epoch: int, total: int) -> float:
        return learning_rate * (1.0 - epoch / total)

    def rate(epoch: int) -> float:
        if method == "fixed":
            return _rounded(lowered(epoch), 5)
        if method == "linear":
            return _rounded(left(epoch, num_epochs), 6)
        if method == "poly":
            return _rounded(learning_rate * (1.0 - epoch / num_epochs) ** power, 6)
        if method == "clr":
            return _rounded(cycled(epoch, lowered(epoch)), 5)
        if epoch < clr_max:
            return _rounded(cycled(epoch, learning_rate), 5)
        return _rounded(left(epoch - clr_max + 1, num_epochs - clr_max + 1), 6)

    return [rate(epoch) for epoch in range(num_epochs)]


def _rounded(rate: float, decimals: int) -> float:
    rounded = round(rate, decimals)
    return rounded if abs(rounded - rate) <= _MOST_ROUNDING * rate else rate


class EpochSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """One rate per epoch, after an optional linear warm-up.

    Args:
        rates: Learning rate of each epoch; the last one also applies beyond the end.
        base: The rate that they were computed from; None means the first.
        steps_per_epoch: Steps per epoch, may be a fraction.
        warmup_init: Learning rate at step 0, if there is a warm-up.
        warmup_steps: Length of the warm-up in steps.

    Attributes:
        peak: The highest rate.
    """

    def __init__(
        self,
        rates: Sequence[float],
        *,
        base: float | None = None,
        steps_per_epoch: float,
        warmup_init: float = 0.0,
        warmup_steps: int = 0,
    ):
        super().__init__()
        self.rates = [float(rate) for rate in rates]
        self.base = self.rates[0] if base is None else base
        self.steps_per_epoch = steps_per_epoch
        self.peak = max(self.rates)
        self.warmup_init = warmup_init
        self.warmup_steps = warmup_steps
        # Epochs begin at integer steps, as in `TrainingPlan.epoch_end`.
        starts = np.arange(1, len(self.rates)) * steps_per_epoch
        self._starts = np.floor(starts + 1e-6).astype(np.int64)

    def __call__(self, step: tf.Tensor | int) -> tf.Tensor:
        """Returns the learning rate (float32 scalar) of `step` (number or scalar tensor)."""
        step = tf.cast(step, tf.int64)
        epoch = tf.reduce_sum(tf.cast(step >= self._starts, tf.int32))
        rate = tf.gather(tf.constant(self.rates, tf.float32), epoch)
        share = tf.cast(step, tf.float32) / max(self.warmup_steps, 1)
        warmup = self.warmup_init + share * (rate - self.warmup_init)
        return tf.where(step < self.warmup_steps, warmup, rate)

    def get_config(self) -> dict:
        return {
            "rates": self.rates,
            "base": self.base,
            "steps_per_epoch": self.steps_per_epoch,
            "warmup_init": self.warmup_init,
            "warmup_steps": self.warmup_steps,
        }
