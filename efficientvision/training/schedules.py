"""Learning-rate schedules: warm-up, then decay by step, or one rate per epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.training.epoch_schedules import EPOCH_METHODS, EpochSchedule, epoch_rates

DECAY_METHODS = ("cosine", "cosine_automl", "stepwise", "polynomial")
REFERENCE_BATCH_SIZE = 64


def adjusted_learning_rate(learning_rate: float, batch_size: int, *, scale: bool = True) -> float:
    """The peak learning rate for a batch size (linear scaling rule).

    Args:
        learning_rate: Rate for a batch of 64 images, or the rate itself if not `scale`.
        batch_size: Global batch size, images.
        scale: Whether to scale the rate with the batch size.

    Returns:
        `learning_rate * batch_size / 64`, or `learning_rate`.
    """
    return learning_rate * batch_size / REFERENCE_BATCH_SIZE if scale else learning_rate


class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up to `peak`, then a decay.

    Source: `tf2/train_lib.py` of the original (its three schedules), except for "cosine". The
    original's cosine counts from step 0 but has length `total_steps - warmup_steps`: it is below
    the peak when the warm-up ends, reaches 0 too early and rises again; if the warm-up is half of
    the run, it is back at the peak at the last step. It is available as "cosine_automl".

    Args:
        method: "cosine" (from `peak` at the end of the warm-up to 0 at `total_steps`),
            "cosine_automl" (the original's), "stepwise" (x 0.1 at `first_drop_step`, x 0.01 at
            `second_drop_step`) or "polynomial" (`peak * (1 - step / total_steps) ** power`).
        peak: Learning rate after the warm-up (see `adjusted_learning_rate`).
        warmup_init: Learning rate at step 0, if there is a warm-up.
        warmup_steps: Length of the warm-up in steps.
        total_steps: Length of training in steps.
        first_drop_step: Step of the first drop ("stepwise").
        second_drop_step: Step of the second drop ("stepwise").
        power: Exponent ("polynomial").

    Raises:
        UserError: `method` is unknown.
    """

    def __init__(
        self,
        method: str,
        *,
        peak: float,
        warmup_init: float,
        warmup_steps: int,
        total_steps: int,
        first_drop_step: int = 0,
        second_drop_step: int = 0,
        power: float = 0.9,
    ):
        super().__init__()
        if method not in DECAY_METHODS:
            raise UserError(
                f"The decay method must be one of {', '.join(DECAY_METHODS)}; got {method!r}."
            )
        self.method = method
        self.base = self.peak = peak
        self.warmup_init = warmup_init
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps
        self.first_drop_step = first_drop_step
        self.second_drop_step = second_drop_step
        self.power = power

    def __call__(self, step: tf.Tensor | int) -> tf.Tensor:
        """Returns the learning rate (float32 scalar) of `step` (number or scalar tensor)."""
        step = tf.cast(step, tf.float32)
        warmup = self.warmup_init + (step / max(self.warmup_steps, 1)) * (
            self.peak - self.warmup_init
        )
        return tf.where(step < self.warmup_steps, warmup, self._decayed(step))

    def _decayed(self, step: tf.Tensor) -> tf.Tensor:
        if self.method in ("cosine", "cosine_automl"):
            decay_steps = max(self.total_steps - self.warmup_steps, 1)
            share = step / decay_steps
            if self.method == "cosine":
                share = tf.clip_by_value((step - self.warmup_steps) / decay_steps, 0.0, 1.0)
            return 0.5 * self.peak * (1.0 + tf.cos(math.pi * share))
        if self.method == "stepwise":
            factor = tf.where(step < self.first_drop_step, 1.0, 0.1)
            return self.peak * tf.where(step < self.second_drop_step, factor, 0.01)
        left = 1.0 - tf.minimum(step / max(self.total_steps, 1), 1.0)
        return self.peak * left**self.power

    def get_config(self) -> dict:
        return {
            "method": self.method,
            "peak": self.peak,
            "warmup_init": self.warmup_init,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
            "first_drop_step": self.first_drop_step,
            "second_drop_step": self.second_drop_step,
            "power": self.power,
        }


Schedule = WarmupSchedule | EpochSchedule


def build_schedule(
    *,
    method: str,
    learning_rate: float,
    scale: bool,
    batch_size: int,
    steps_per_epoch: float,
    num_epochs: int,
    warmup_epochs: float,
    warmup_init: float,
    first_drop_epoch: float,
    second_drop_epoch: float,
    power: float,
    clr_max: int = 61,
    cycle_len: int = 5,
    lr_steps: Sequence[int] = (),
    lr_decay: float = 0.5,
    lr_power: float = 0.9,
) -> Schedule:
    """Builds the schedule of a run from its hyper-parameters.

    As in the original's `main.py`, `warmup_init` is scaled with the batch like the learning rate.
    It is then limited to the peak, so that a warm-up never starts above the rate it leads to.

    Args:
        method: Decay method, see `WarmupSchedule` and `epoch_schedules.epoch_rates`.
        learning_rate: Rate at batch 64 (or the rate itself without `scale`).
        scale: Whether to scale rates with the batch size.
        batch_size: Global batch size, images.
        steps_per_epoch: Steps per epoch, may be a fraction.
        num_epochs: Number of epochs of the run.
        warmup_epochs: Length of the warm-up in epochs.
        warmup_init: Learning rate at step 0, for the same batch size as `learning_rate`.
        first_drop_epoch: Epoch of the first drop ("stepwise").
        second_drop_epoch: Epoch of the second drop ("stepwise").
        power: Exponent ("polynomial").
        clr_max, cycle_len, lr_steps, lr_decay, lr_power: Arguments of `epoch_rates`.

    Returns:
        The schedule, a function of the step.
    """
    peak = adjusted_learning_rate(learning_rate, batch_size, scale=scale)
    start = adjusted_learning_rate(warmup_init, batch_size, scale=scale)
    warmup_steps = int(warmup_epochs * steps_per_epoch)
    if method in EPOCH_METHODS:
        rates = epoch_rates(
            method,
            learning_rate=peak,
            num_epochs=num_epochs,
            clr_max=clr_max,
            cycle_len=cycle_len,
            steps=lr_steps,
            decay=lr_decay,
            power=lr_power,
        )
        return EpochSchedule(
            rates,
            base=peak,
            steps_per_epoch=steps_per_epoch,
            warmup_init=min(start, peak),
            warmup_steps=warmup_steps,
        )
    return WarmupSchedule(
        method,
        peak=peak,
        warmup_init=min(start, peak),
        warmup_steps=warmup_steps,
        # As `TrainingPlan.total_steps`, which uses integer division.
        total_steps=int(num_epochs * steps_per_epoch + 1e-6),
        first_drop_step=int(first_drop_epoch * steps_per_epoch),
        second_drop_step=int(second_drop_epoch * steps_per_epoch),
        power=power,
    )
