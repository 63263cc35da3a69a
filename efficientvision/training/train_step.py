"""The compiled training step, for one replica or many."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf

from efficientvision.tasks.training_task import Batch, TrainingTask
from efficientvision.training.gradients import all_reduce_sum, clip_gradients
from efficientvision.training.micro_batches import MicroBatchSums
from efficientvision.training.state import TrainingState


class NonFiniteStep(ArithmeticError):
    """A step whose loss or gradients are not finite; nothing of it was applied.

    Attributes:
        steps: Steps of the same call that were completed before it.
        losses: Means over those steps.
        values: Losses, gradient norm and learning rate of the step that is not finite.
    """

    def __init__(self, steps: int, losses: dict[str, float], values: dict[str, float]):
        super().__init__(f"not finite after {steps} steps: {values}")
        self.steps = steps
        self.losses = losses
        self.values = values


class TrainStep:
    """Runs several steps per call: forward, backward, all-reduce, clip, apply, average.

    The losses of the replicas, and of their micro-batches, add up to the loss of the global batch.
    So gradients are summed, and everything after the sum (clipping, optimizer, averages) is the
    same on every replica. A step whose loss, gradients or batch statistics are not finite changes
    neither weights nor averages, optimizer slots or statistics: the forward pass only computes the
    new statistics, and all results are written together at the end, or not at all. The loops are
    outside `strategy.run` because the replicas could not sum inside it.

    Args:
        task: Provides the losses.
        state: Network, optimizer, averages.
        weight_decay: Factor of the L2 penalty in the loss (0 for a decoupled optimizer).
        clip_norm: Gradient clipping norm, 0 to disable.
        micro_batches: Gradient accumulation: number of micro-batches into which each replica
            splits its batch; only one is in memory at a time.
        skip_non_finite: Skip a step that is not finite instead of stopping.
        use_xla: Compile the step with XLA (fast on accelerators, slow on CPUs).
        held: Whether the state's held parts are frozen in these steps: they are not differentiated,
            which saves the time of their backward pass.

    Attributes:
        held: As the argument.
        names: Keys of the dictionary that a call returns.
        counted: How many steps the means of the last call cover; skipped ones are not counted.
        traces: How often the step was traced, without those of `for_task`.
    """

    def __init__(
        self,
        task: TrainingTask,
        state: TrainingState,
        *,
        weight_decay: float,
        clip_norm: float,
        micro_batches: int = 1,
        skip_non_finite: bool = False,
        use_xla: bool = False,
        held: bool = False,
    ):
        self.held = held
        self._groups = state.optimizer.active_groups(held)
        self._task = task
        self._state = state
        self._weight_decay = weight_decay
        self._clip_norm = clip_norm
        self._micro_batches = micro_batches
        self._skip = skip_non_finite
        self._strategy = state.strategy
        self.names = (*task.loss_names, "reg_l2_loss", "gradient_norm", "learning_rate")
        self.traces = 0
        self.counted = 0
        self._compile = (
            (lambda function: tf.function(function, jit_compile=True, autograph=False))
            if use_xla
            else tf.autograph.experimental.do_not_convert
        )
        if micro_batches > 1:
            self._sums = MicroBatchSums(state, self._groups, len(task.loss_names))
        self._of_tasks = {task: self}
        self._make_functions()

    def _make_functions(self) -> None:
        self._whole_step = self._compile(self._step_on_replica)
        if self._micro_batches > 1:
            self._begin = self._compile(self._begin_on_replica)
            self._add = self._compile(self._add_on_replica)
            self._finish = self._compile(self._finish_on_replica)
        self._run = tf.function(self._run_steps)

    def for_task(self, task: TrainingTask) -> TrainStep:
        """The step with the losses of another task of the same names; compiled when first run."""
        if task not in self._of_tasks:
            other = copy.copy(self)
            other._task, other.traces = task, 0
            other._make_functions()
            self._of_tasks[task] = other
        return self._of_tasks[task]

    def __call__(self, iterator: Iterator, steps: int) -> dict[str, float]:
        """Trains `steps` steps on batches of `iterator`.

        Returns:
            Means over these steps: the task's losses (of the global batch; "loss" includes the L2
            penalty), `reg_l2_loss`, `gradient_norm` (before clipping) and `learning_rate`. Skipped
            steps are not counted; the means are NaN if all steps were skipped.

        Raises:
            NonFiniteStep: A step is not finite, and such steps are not skipped.
        """
        with self._state.held.in_inference(self.held):
            totals, counted, last, stopped = self._run(iterator, tf.constant(steps, tf.int32))
        self.counted = int(counted)
        means = totals.numpy() / (self.counted or float("nan"))
        losses = dict(zip(self.names, means.tolist(), strict=True))
        if stopped:
            values = dict(zip(self.names, last.numpy().tolist(), strict=True))
            raise NonFiniteStep(self.counted, losses, values)
        return losses

    def _run_steps(self, iterator, steps: tf.Tensor):
        self.traces += 1
        self._strategy.run(self._state.gather)
        totals = last = tf.zeros([len(self.names)])
        done, counted, stopped = tf.constant(0), tf.constant(0), tf.constant(False)
        while done < steps and not stopped:
            last, kept, stopped = self._step(next(iterator))
            totals += tf.where(kept, last, 0.0)
            counted += tf.cast(kept, tf.int32)
            done += 1
        self._strategy.run(self._state.scatter)
        return totals, counted, last, stopped

    def _step(self, batch):
        """One step on the global batch; returns what `_apply` does."""
        run = self._strategy.run
        if self._micro_batches == 1:
            outcome = run(self._whole_step, args=(batch,))
        else:
            parts, normalizer = run(self._begin, args=(batch,))
            for index in tf.range(self._micro_batches):
                run(self._add, args=(parts, normalizer, index))
            outcome = run(self._finish, args=(normalizer,))
        return [self._strategy.experimental_local_results(value)[0] for value in outcome]

    # In replica context:

    def _step_on_replica(self, batch: Batch):
        batch, normalizer = self._prepare(batch)
        statistics = tf.convert_to_tensor(self._state.statistics.vector)
        return self._apply(normalizer, *self._backward(batch, normalizer, statistics, 0))

    def _begin_on_replica(self, batch: Batch):
        batch, normalizer = self._prepare(batch)
        self._sums.reset(self._state.statistics.vector)
        parts = {
            name: tf.reshape(value, [self._micro_batches, -1, *value.shape[1:]])
            for name, value in batch.items()
        }
        return parts, normalizer

    def _add_on_replica(self, parts: Batch, normalizer, index: tf.Tensor) -> None:
        batch = {name: value[index] for name, value in parts.items()}
        self._sums.add(*self._backward(batch, normalizer, self._sums.statistics, index))

    def _finish_on_replica(self, normalizer):
        return self._apply(normalizer, *self._sums.values())

    def _prepare(self, batch: Batch):
        batch = self._task.prepare(batch)
        return batch, self._task.normalizer(batch, lambda x: all_reduce_sum([x])[0])

    def _backward(self, batch: Batch, normalizer, statistics: tf.Tensor, index):
        """Returns losses [n], gradients of the weight vectors, and the new statistics."""
        state, task = self._state, self._task
        state.seed_layers(index)
        weights = [tf.convert_to_tensor(group.vector) for group in state.optimizer.groups]
        watched = weights[: len(self._groups)]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(watched)
            with keras.StatelessScope(state.bound(weights, statistics)) as scope:
                losses = task.losses(state.model, batch, training=True, normalizer=normalizer)
            target = state.loss_scale.scaled(losses["loss"])
        gradients = tape.gradient(target, watched, unconnected_gradients="zero")
        values = tf.stack([losses[name] for name in task.loss_names])
        return values, gradients, state.new_statistics(scope)

    def _apply(self, normalizer, values: tf.Tensor, gradients: Sequence, statistics: tf.Tensor):
        """Applies the step if everything is finite.

        Returns:
            The results, float32 [len(names)]; whether they count; whether training must stop.
        """
        state, optimizer = self._state, self._state.optimizer
        bad = tf.math.count_nonzero(~tf.math.is_finite(statistics), dtype=tf.float32)
        *gradients, values, bad = all_reduce_sum([*gradients, values, bad])
        gradients = state.loss_scale.unscaled(gradients)
        gradients, penalty = self._regularized(gradients)
        gradients, norm = clip_gradients(self._groups, gradients, self._clip_norm)
        values = tf.concat([[values[0] + penalty], values[1:]], axis=0)
        clean = tf.reduce_all(tf.math.is_finite(values)) & tf.equal(bad, 0.0)
        finite = clean & tf.math.is_finite(norm)
        overflow = clean & ~finite & state.loss_scale.explains_overflow()
        stopped = ~finite & ~overflow & (not self._skip)
        results = tf.concat([values, [penalty, norm, optimizer.learning_rate]], axis=0)

        def keep():
            optimizer.apply(gradients, self.held)
            state.statistics.vector.assign(statistics)
            state.averages.update(optimizer.iterations)
            state.loss_scale.after_good_step()
            self._task.step_done(normalizer)
            return 0

        def leave():
            state.leave_out(overflow)
            return 0

        with tf.control_dependencies([results]):
            tf.cond(finite, keep, leave)
        optimizer.iterations.assign_add(tf.cast(~stopped, tf.int64))
        return results, finite, stopped

    def _regularized(self, gradients: list) -> tuple[list, tf.Tensor]:
        """Adds the L2 penalty's gradient for decayed weights; returns the penalty too."""
        penalty = tf.zeros([])
        if not self._weight_decay:
            return gradients, penalty
        decayed = self._state.optimizer.decayed
        results = []
        for index, (group, gradient) in enumerate(zip(self._groups, gradients, strict=True)):
            if decayed[index]:
                gradient += self._weight_decay * group.vector
                penalty += self._weight_decay * tf.nn.l2_loss(group.vector)
            results.append(gradient)
        return results, penalty
