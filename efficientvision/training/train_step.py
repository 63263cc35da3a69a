"""The compiled training step, for one replica or many."""

from __future__ import annotations

import tensorflow as tf

from efficientvision.tasks.base import Batch, Task
from efficientvision.training.gradients import all_reduce_sum, clip_gradients, l2_penalty
from efficientvision.training.state import TrainingState


class TrainStep:
    """Runs several steps a call: forward, backward, all-reduce, clip, apply, average.

    The losses of the replicas add up to the global batch's, so that gradients are summed, and
    what follows the sum (clipping, optimizer, averages) is the same on every replica. The loop
    over steps stands outside `strategy.run`: inside, the optimizer's merge calls would fail.

    Args:
        task: Gives the losses.
        state: Network, optimizer, averages.
        weight_decay: Factor of the L2 penalty in the loss (0 for a decoupled optimizer).
        clip_norm: Limit of the gradients' norms, 0 for none.
        use_xla: Compile the step with XLA (fast on accelerators, slow on CPUs).
    """

    def __init__(
        self,
        task: Task,
        state: TrainingState,
        *,
        weight_decay: float,
        clip_norm: float,
        use_xla: bool = False,
    ):
        self._task = task
        self._state = state
        self._weight_decay = weight_decay
        self._clip_norm = clip_norm
        self._strategy = state.strategy
        self.names = (*task.loss_names, "reg_l2_loss", "gradient_norm", "learning_rate")
        self.traces = 0
        self._replica_step = (
            tf.function(self._step_on_replica, jit_compile=True)
            if use_xla
            else tf.autograph.experimental.do_not_convert(self._step_on_replica)
        )
        self._run = tf.function(self._run_steps)

    def __call__(self, iterator, steps: int) -> dict[str, float]:
        """Trains `steps` steps on batches of `iterator`.

        Returns:
            The means over these steps of the task's losses (the global batch's; "loss" includes
            the L2 penalty), `reg_l2_loss`, `gradient_norm` (before clipping), `learning_rate`.
        """
        totals = self._run(iterator, tf.constant(steps, tf.int32))
        return {
            name: value / steps
            for name, value in zip(self.names, totals.numpy().tolist(), strict=True)
        }

    def _run_steps(self, iterator, steps: tf.Tensor) -> tf.Tensor:
        self.traces += 1
        totals = tf.zeros([len(self.names)])
        for _ in tf.range(steps):
            values = self._strategy.run(self._replica_step, args=(next(iterator),))
            totals += self._strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)
        return totals

    def _step_on_replica(self, batch: Batch) -> tf.Tensor:
        state = self._state
        replicas = self._strategy.num_replicas_in_sync
        state.seed_layers()
        with tf.GradientTape() as tape:
            losses = self._task.losses(
                state.model, batch, training=True, reduce_sum=lambda x: all_reduce_sum([x])[0]
            )
            penalty = l2_penalty(state.trainables, self._weight_decay) / replicas
            losses["loss"] += penalty
        gradients = tape.gradient(losses["loss"], [v.value for v in state.trainables])
        gradients = [
            tf.zeros_like(v.value) if g is None else g
            for g, v in zip(gradients, state.trainables, strict=True)
        ]
        gradients, norm = clip_gradients(all_reduce_sum(gradients), self._clip_norm)
        step = tf.identity(state.optimizer.iterations)
        rate = state.optimizer.learning_rate
        state.optimizer.apply(gradients, replicas)
        state.averages.update(step)
        losses["reg_l2_loss"] = penalty
        losses["gradient_norm"] = norm / replicas
        losses["learning_rate"] = rate / replicas
        return tf.stack([losses[name] for name in self.names])
