"""Gradient accumulation: running sums over the micro-batches of one step."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from efficientvision.training.flat_variables import FlatVariables
from efficientvision.training.state import TrainingState


class MicroBatchSums:
    """Sums of losses and gradients, and the moving statistics, over a step's micro-batches.

    They are kept in variables between calls of `strategy.run`. Call all methods in replica context;
    every replica has its own sums.

    Args:
        state: Network and optimizer.
        groups: The optimizer's groups that have gradients.
        num_losses: Number of losses of the task.
    """

    def __init__(self, state: TrainingState, groups: Sequence[FlatVariables], num_losses: int):
        with state.strategy.scope():
            self._losses = tf.Variable(
                tf.zeros([num_losses]),
                trainable=False,
                name="loss_sums",
                aggregation=tf.VariableAggregation.NONE,
            )
            self._gradients = [group.new_vector("gradient_sums") for group in groups]
            self._statistics = state.statistics.new_vector("statistics_so_far")

    @property
    def statistics(self) -> tf.Tensor:
        """The moving statistics after the micro-batches so far."""
        return tf.convert_to_tensor(self._statistics)

    def reset(self, statistics: tf.Variable) -> None:
        """Starts a step from these moving statistics."""
        for total in (self._losses, *self._gradients):
            total.assign(tf.zeros_like(total))
        self._statistics.assign(statistics)

    def add(self, losses: tf.Tensor, gradients: Sequence, statistics: tf.Tensor) -> None:
        """Adds the losses and gradients of a micro-batch; `statistics` are the ones after it."""
        self._losses.assign_add(losses)
        for total, gradient in zip(self._gradients, gradients, strict=True):
            total.assign_add(gradient)
        self._statistics.assign(statistics)

    def values(self) -> tuple[tf.Tensor, list[tf.Tensor], tf.Tensor]:
        """Losses, gradients and statistics of the step."""
        read = tf.convert_to_tensor
        return read(self._losses), [read(total) for total in self._gradients], self.statistics
