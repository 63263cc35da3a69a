"""The training loop, the same for every distribution strategy."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.tasks.training_task import TrainingTask
from efficientvision.training.best_checkpoint import archive_if_best
from efficientvision.training.callbacks import Callback
from efficientvision.training.checkpoints import (
    CheckpointFolder,
    checkpoint_path,
    latest_checkpoint,
)
from efficientvision.training.distribution import (
    check_shares,
    from_chief,
    is_chief,
    on_any_worker,
    share_out,
)
from efficientvision.training.epoch_progress import EpochLosses, lacks_row
from efficientvision.training.evaluator import EvaluationCancelled, Evaluator
from efficientvision.training.interruption import Interruption
from efficientvision.training.non_finite import skip_sentence, stop_sentence
from efficientvision.training.plan import TrainingPlan
from efficientvision.training.progress_display import ProgressDisplay
from efficientvision.training.recipe import TrainingRecipe
from efficientvision.training.run_log import RunLog
from efficientvision.training.schedules import Schedule
from efficientvision.training.state import TrainingState
from efficientvision.training.train_step import NonFiniteStep

log = logging.getLogger(__name__)

_SECONDS_PER_CALL = 2.0


class Trainer:
    """Trains a network on a task, with checkpoints, logs and evaluations in `plan.model_dir`.

    Args:
        task: Data, losses, metrics.
        model: Builds the network. It is a function because the network's variables must be created
            under the strategy's scope; it is called once.
        plan: Length of the run, and what it saves where.
        schedule: Learning rate by step.
        recipe: Optimizer and everything else about the training step.
        callbacks: Called beside the run's own table and progress.
        strategy: Distribution strategy; None means TensorFlow's current one (one device).

    Attributes:
        stop_signal: The signal that ended the last `run`, None if it was not interrupted.

    Raises:
        UserError: `plan` has no `model_dir`, or the batch cannot be divided among the replicas and
            micro-batches.

    Example:
        >>> plan = TrainingPlan(32, examples_per_epoch=5000, num_epochs=30, model_dir="runs/a")
        >>> trainer = Trainer(
        ...     task, lambda: build_model("efficientdet-lite0"), plan, 0.01, TrainingRecipe()
        ... )
        >>> trainer.resume()
        >>> trainer.run(evaluate_epochs=True)
    """

    def __init__(
        self,
        task: TrainingTask,
        model: Callable[[], keras.Model],
        plan: TrainingPlan,
        schedule: Schedule | Callable | float,
        recipe: TrainingRecipe,
        callbacks: Sequence[Callback] = (),
        *,
        strategy: tf.distribute.Strategy | None = None,
    ):
        if not plan.model_dir:
            raise UserError("`model_dir` is missing: the folder for checkpoints and logs.")
        strategy = strategy or tf.distribute.get_strategy()
        check_shares(plan.batch_size, strategy, recipe.micro_batches)
        self.task = task
        self.plan = plan
        self.recipe = recipe
        self.strategy = strategy
        self.is_chief = is_chief(strategy)
        self.model_dir = files.as_text(plan.model_dir)
        self.checkpoints = CheckpointFolder(plan.model_dir, plan.keep)
        with strategy.scope():
            network = model()
            task.create_variables()
            self.state = TrainingState(
                network,
                recipe.build_optimizer(),
                strategy,
                learning_rate=schedule,
                moving_average_decay=recipe.moving_average_decay,
                freeze_pattern=recipe.freeze_pattern,
                seed=recipe.seed,
                scale_loss=recipe.scale_loss,
                reports_skipped=recipe.skips_non_finite,
                decay_all=recipe.decay_all,
                rate_factor=recipe.rate_factor,
                layer_decay=recipe.layer_decay,
                held_parts=recipe.held_parts,
            )
        self.train_step = recipe.build_step(task, self.state, held=bool(recipe.hold_steps))
        self.evaluator = Evaluator(
            task, network, strategy, plan.eval_batch_size, self.state.averages
        )
        self.stop_signal: int | None = None
        self._callbacks = list(callbacks)
        self._active: list[Callback] = []
        self._interruption = Interruption(log.info)
        self._losses = EpochLosses()
        self._profile = plan.profile
        self._chunk = 1
        self._saved_step: int | None = None

    @property
    def model(self) -> keras.Model:
        """The network."""
        return self.state.model

    def resume(self) -> int:
        """Resumes from the newest checkpoint in `model_dir`; returns its step (0 for a new run).

        Raises:
            UserError: The checkpoint belongs to another run, or the workers see different ones.
        """
        checkpoint = self.checkpoints.restore(clean=self.is_chief)
        if checkpoint is not None:
            self.state.restore(checkpoint)
            self._losses.restore(checkpoint.meta.get("epoch", {}))
            self.task.restore(checkpoint.meta.get("task", {}))
        step = self.state.step
        if (chief := int(from_chief(self.strategy, step))) != step:
            raise UserError(
                f"This worker's newest checkpoint in {self.model_dir} is at step {step}, but the "
                f"chief's is at step {chief}: `model_dir` must be a folder that all workers share."
            )
        return step

    def run(
        self,
        *,
        evaluate_epochs: bool = False,
        evaluate_end: bool = False,
    ) -> dict[str, float]:
        """Trains from the current step to the last.

        If an earlier run was killed before it recorded or evaluated the epoch that ends at the
        current step, that is done first (see `lacks`).

        Ctrl-C or SIGTERM ends training early, after a checkpoint; `stop_signal` is then set to it.

        With several workers, only the chief logs, writes and evaluates; the others wait for it.

        Args:
            evaluate_epochs: Evaluate after every epoch and archive the best checkpoint.
            evaluate_end: Evaluate after the last step.

        Returns:
            The metrics of the last evaluation; empty if there was none, and on the other workers.

        Raises:
            UserError: A step is not finite, and `recipe.on_nan` is "stop".
        """
        plan, state = self.plan, self.state
        self._active = [*self._own_callbacks(), *self._callbacks] if self.is_chief else []
        metrics: dict[str, float] = {}
        first = state.step
        lacks = self.lacks(first, evaluate_epochs=evaluate_epochs, evaluate_end=evaluate_end)
        try:
            with Interruption(log.info) as self._interruption:
                for callback in self._active:
                    callback.begin(self)
                if lacks:
                    due = evaluate_epochs or (first >= plan.total_steps and evaluate_end)
                    if due and self.is_chief:
                        log.info(f"The evaluation at step {first} is missing: evaluating now.")
                    metrics = self._end_epoch(plan.epoch_of(first), evaluate=due)
                batches = None
                while state.step < plan.total_steps and not self._is_stopped():
                    batches = batches or iter(self._distributed_batches())
                    epoch = plan.epoch_of(state.step) + 1
                    end = min(plan.epoch_end(epoch), plan.total_steps)
                    self._train_until(end, batches)
                    if self.stop_signal:
                        break
                    last = state.step == plan.total_steps
                    if evaluate_epochs or last:
                        self._save()
                    due = evaluate_epochs or (last and evaluate_end)
                    metrics = self._end_epoch(epoch, evaluate=due)
                if self._is_interrupted() and state.step > first:
                    self._save()
                    self._log_interruption()
        except BaseException as error:
            for callback in self._active:
                callback.failed(error)
            raise
        finally:
            for callback in self._active:
                callback.end()
        return metrics

    def lacks(self, step: int, *, evaluate_epochs: bool, evaluate_end: bool) -> bool:
        """Whether an epoch ended at `step` but its row of results or its evaluation is missing.

        This happens when a run is killed after it has written the checkpoint of that step. The
        arguments are those of `run`. All workers must call this at the same point.
        """
        due = evaluate_epochs or (step >= self.plan.total_steps and evaluate_end)
        metric = self.task.best_metric if due else None
        missing = self.plan.ends_epoch(step) and lacks_row(self.model_dir, step, metric)
        return bool(from_chief(self.strategy, float(missing)))

    def _end_epoch(self, epoch: int, *, evaluate: bool) -> dict[str, float]:
        """Evaluates if `evaluate`, then calls the callbacks; returns the metrics."""
        metrics = self._evaluate() if evaluate else {}
        if metrics is None:
            return {}  # Cancelled: the next start redoes it and writes the row then.
        for callback in self._active:
            values = {**self._losses.means(), **self.state.counts(), **metrics}
            callback.epoch_ended(self.state.step, epoch, values)
        return metrics

    def _is_interrupted(self) -> bool:
        """Whether this or another worker received a signal to stop; sets `stop_signal`."""
        own = self._interruption.signal
        if self.stop_signal is None and on_any_worker(self.strategy, own is not None):
            self.stop_signal = own or signal.SIGTERM
        return self.stop_signal is not None

    def _log_interruption(self) -> None:
        if self.is_chief:
            step = self.state.step
            log.info(
                f"Training was interrupted at step {step} of {self.plan.total_steps}. Run the same "
                f"command to resume from {checkpoint_path(self.model_dir, step)}."
            )

    def _is_stopped(self) -> bool:
        """Whether a signal or a callback asks to stop; the same answer on every worker."""
        if self._is_interrupted():
            return True
        reasons = [reason for callback in self._active if (reason := callback.should_stop())]
        if reasons:
            log.info(f"Training ends at step {self.state.step}: {' '.join(reasons)}")
            self.checkpoints.mark_ended()
        return bool(from_chief(self.strategy, bool(reasons)))

    def _own_callbacks(self) -> list[Callback]:
        batch_size, step = self.plan.batch_size, self.state.step
        return [RunLog(self.model_dir, batch_size=batch_size, first_step=step), ProgressDisplay()]

    def _distributed_batches(self):
        return share_out(
            self.strategy, self.task.training_dataset, self.plan.batch_size, self.state.step
        )

    def _train_until(self, end: int, batches) -> None:
        """Trains until step `end` of the epoch, or until a signal."""
        state, plan = self.state, self.plan
        if not state.step or plan.ends_epoch(state.step):
            self._losses.reset()
        while (step := state.step) < end:
            if self.train_step.held and step >= self.recipe.hold_steps:
                self._train_held_parts(step)
            task, steps_alike = self.task.variant(step)
            self.train_step = self.train_step.for_task(task)
            until_save = plan.save_every - step % plan.save_every
            steps = min(self._chunk, end - step, until_save, steps_alike)
            if self.train_step.held:
                steps = min(steps, self.recipe.hold_steps - step)
            losses = self._train_steps(batches, steps)
            self._losses.add(losses, self.train_step.counted)
            if until_save == steps:
                self._save()
            if self._is_interrupted():
                break

    def _train_held_parts(self, step: int) -> None:
        self.train_step = self.recipe.build_step(self.task, self.state)
        self._chunk = 1
        if self.is_chief:
            parts = "+".join(self.recipe.held_parts)
            log.info(f"Step {step}: {parts} is no longer frozen (unfreeze_epoch).")

    @contextlib.contextmanager
    def _profiler(self):
        """Profiles the first call that does not compile, if profiling is on."""
        if not (self._profile and self.train_step.traces):
            yield
            return
        self._profile = False
        with tf.profiler.experimental.Profile(files.join(self.model_dir, "profile")):
            yield

    def _train_steps(self, batches, steps: int) -> dict[str, float]:
        """Runs one chunk of steps and reports it to the callbacks.

        Raises:
            UserError: A step is not finite, and such steps are not skipped.
        """
        first, skipped = self.state.step, int(self.state.skipped.numpy())
        compiled = self.train_step.traces > 0
        if not compiled:
            for callback in self._active:
                callback.compiling(first)
        start = time.perf_counter()
        stop: NonFiniteStep | None = None
        try:
            with self._profiler():
                losses = self.train_step(batches, steps)
        except NonFiniteStep as error:
            stop, losses, steps = error, error.losses, error.steps
        seconds = time.perf_counter() - start
        if compiled and not stop:
            # Chunks of constant duration keep the progress bar and the log moving.
            chunk = int(from_chief(self.strategy, _SECONDS_PER_CALL * steps // seconds))
            self._chunk = max(1, min(chunk, self.plan.steps_per_call))
        if steps:
            for callback in self._active:
                callback.trained(first + steps, steps, seconds, losses | self.state.counts())
        if stop:
            step = self.state.step + 1
            kept = latest_checkpoint(self.model_dir)
            raise UserError(stop_sentence(step, stop.values, self._batch_ids(step), kept))
        if self._active and (count := int(self.state.skipped.numpy())) > skipped:
            step = int(self.state.last_skipped.numpy())
            log.info(skip_sentence(step, count, self._batch_ids(step)))
        return losses

    def _batch_ids(self, step: int) -> list[str]:
        """Ids of the images in the batch of a step (counted from 1)."""
        return self.task.source_ids(self.plan.batch_size, step=step - 1)

    def _save(self) -> None:
        if self._saved_step == self.state.step:
            return
        self._saved_step = self.state.step
        snapshot = self._snapshot()
        if self.is_chief:
            for callback in self._active:
                callback.saving(snapshot.step)
            self.checkpoints.save(snapshot)

    def _snapshot(self):
        return self.state.snapshot(
            total_steps=self.plan.total_steps,
            batch_size=self.plan.batch_size,
            task=self.task.snapshot(),
            epoch=self._losses.snapshot(),
        )

    def _evaluate(self) -> dict[str, float] | None:
        """Evaluates and archives; returns the metrics ({} off the chief, None if cancelled)."""
        state = self.state
        snapshot = self._snapshot()
        if not self.is_chief:
            return {}
        try:
            metrics, report, evaluation = self.evaluator.evaluate(
                lambda: self._interruption.signal is not None
            )
        except EvaluationCancelled:
            log.info(
                f"Evaluation at step {state.step} was cancelled; run the same command to redo it."
            )
            return None
        metric = self.task.best_metric
        images = self.task.num_evaluation_images
        best = metric in metrics and archive_if_best(
            self.model_dir,
            snapshot,
            metrics,
            metric,
            images=images,
            side_files=lambda: evaluation.archived_files(state.step),
        )
        for callback in self._active:
            callback.evaluated(state.step, metrics, evaluation, report=report, best=best)
        return metrics
