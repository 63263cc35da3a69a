"""The training loop, one for every strategy."""

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
from efficientvision.files import AnyPath
from efficientvision.tasks.training_task import TrainingTask
from efficientvision.training.best_checkpoint import archive_if_best
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
from efficientvision.training.non_finite import ON_NAN, skip_sentence, stop_sentence
from efficientvision.training.observer import Observer
from efficientvision.training.optimizers import build_optimizer, uses_l2_loss
from efficientvision.training.plan import TrainingPlan
from efficientvision.training.run_log import RunLog
from efficientvision.training.state import TrainingState
from efficientvision.training.train_step import NonFiniteStep, TrainStep

log = logging.getLogger(__name__)

_SECONDS_PER_CALL = 2.0


class Trainer:
    """Trains a network on a task, with checkpoints, logs and evaluations in `model_dir`.

    Args:
        task: Data, losses, metrics.
        build_model: Makes the network; called once, under the strategy's scope.
        plan: Length and portions of the run.
        schedule: Learning rate by step.
        model_dir: The run's folder.
        strategy: Distribution strategy.
        optimizer: Arguments of `optimizers.build_optimizer`; `name` among them.
        weight_decay: L2 factor of the kernels.
        decay_all: It is of all weights.
        rate_factor: Path of a variable -> by what its learning rate is multiplied; None: 1.
        clip_norm: Limit of the gradients' norms, 0 for none.
        moving_average_decay: Largest decay of the weight averages, 0 for none.
        freeze_pattern: Regular expression of variables that are not trained.
        seed: Seed of the layers' randomness.
        micro_batches: Parts in which each replica works off its share of a batch, one after the
            other, to need less memory.
        scale_loss: Scale the loss, as float16 needs it.
        on_nan: "stop" at a step whose loss or gradients are not finite, or "skip" it; either way
            nothing of it is applied.
        use_xla: Compile the training step with XLA.
        eval_batch_size: Images a batch of the evaluation.
        profile: Write a TensorFlow profile of a few steps to `<model_dir>/profile`.
        observers: Look on beside the run's own log.

    Attributes:
        stop_signal: The signal that ended the last `run`, None if it went to its end.
    """

    def __init__(
        self,
        task: TrainingTask,
        build_model: Callable[[], keras.Model],
        *,
        plan: TrainingPlan,
        schedule,
        model_dir: AnyPath,
        strategy: tf.distribute.Strategy,
        optimizer: dict,
        weight_decay: float = 0.0,
        decay_all: bool = False,
        rate_factor: Callable[[str], float] | None = None,
        clip_norm: float = 0.0,
        moving_average_decay: float = 0.0,
        freeze_pattern: str | None = None,
        seed: int = 0,
        micro_batches: int = 1,
        scale_loss: bool = False,
        on_nan: str = "stop",
        use_xla: bool = False,
        eval_batch_size: int = 1,
        profile: bool = False,
        observers: Sequence[Observer] = (),
    ):
        check_shares(plan.batch_size, strategy, micro_batches)
        if on_nan not in ON_NAN:
            raise UserError(f"on_nan must be one of {', '.join(ON_NAN)}; got {on_nan!r}.")
        self.task = task
        self.plan = plan
        self.strategy = strategy
        self.is_chief = is_chief(strategy)
        self.model_dir = files.as_text(model_dir)
        self.checkpoints = CheckpointFolder(model_dir, plan.keep)
        decoupled = 0.0 if uses_l2_loss(optimizer["name"]) else weight_decay
        with strategy.scope():
            model = build_model()
            task.create_variables()
            self.state = TrainingState(
                model,
                build_optimizer(weight_decay=decoupled, **optimizer),
                strategy,
                learning_rate=schedule,
                moving_average_decay=moving_average_decay,
                freeze_pattern=freeze_pattern,
                seed=seed,
                scale_loss=scale_loss,
                reports_skipped=on_nan == "skip",
                decay_all=decay_all,
                rate_factor=rate_factor,
            )
        self.train_step = TrainStep(
            task,
            self.state,
            weight_decay=0.0 if decoupled else weight_decay,
            clip_norm=clip_norm,
            micro_batches=micro_batches,
            skip_non_finite=on_nan == "skip",
            use_xla=use_xla,
        )
        self._observers = list(observers)
        self._profile = profile
        self._portion = 1
        self._compiled = False
        self._saved_step: int | None = None
        self._losses = EpochLosses()
        self._watching: list[Observer] = []
        self._interruption = Interruption(log.info)
        self.stop_signal: int | None = None
        self.evaluator = Evaluator(task, model, strategy, eval_batch_size, self.state.averages)

    @property
    def model(self) -> keras.Model:
        """The network."""
        return self.state.model

    def resume(self) -> int:
        """Goes on from the newest checkpoint in `model_dir`; returns its step (0: a new run).

        Raises:
            UserError: The checkpoint is not of this run, or the workers do not see the same one.
        """
        checkpoint = self.checkpoints.restore(clean=self.is_chief)
        if checkpoint is not None:
            self.state.restore(checkpoint)
            self._losses.restore(checkpoint.meta.get("epoch", {}))
            self.task.restore(checkpoint.meta.get("task", {}))
        step = self.state.step
        if (chief := int(from_chief(self.strategy, step))) != step:
            raise UserError(
                f"The newest checkpoint that this worker finds in {self.model_dir} is of step "
                f"{step}, and the chief's is of step {chief}: `model_dir` must name a folder that "
                "all workers share."
            )
        return step

    def run(
        self,
        *,
        evaluate_epochs: bool = False,
        evaluate_end: bool = False,
        eval_name: str | None = None,
    ) -> dict[str, float]:
        """Trains from the current step to the last.

        What a kill has cost the epoch that ended with the current step is made up first (`lacks`).

        Ctrl-C or SIGTERM end it early, after a checkpoint: `stop_signal` is that signal then.

        Of several workers the chief alone logs, writes and evaluates; the others wait for it.

        Args:
            evaluate_epochs: Evaluate after every epoch and archive the best checkpoint.
            evaluate_end: Evaluate after the last step.
            eval_name: Subfolder of the evaluation's TensorBoard files.

        Returns:
            The metrics of the last evaluation, empty without one (and on the other workers).

        Raises:
            UserError: If a step is not finite, and such steps are not skipped.
        """
        plan, state = self.plan, self.state
        self._watching = [self._new_log(eval_name), *self._observers] if self.is_chief else []
        metrics: dict[str, float] = {}
        first = state.step
        lacks = self.lacks(first, evaluate_epochs=evaluate_epochs, evaluate_end=evaluate_end)
        try:
            with Interruption(log.info) as self._interruption:
                for observer in self._watching:
                    observer.begin(self)
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
                    self._say_where_to_go_on()
        finally:
            for observer in self._watching:
                observer.end()
        return metrics

    def lacks(self, step: int, *, evaluate_epochs: bool, evaluate_end: bool) -> bool:
        """Whether an epoch ended with a step, and its row of results or its evaluation is missing.

        A run that is killed after the checkpoint of the step leaves it so. The arguments are those
        of `run`. All workers must call it at the same point.
        """
        due = evaluate_epochs or (step >= self.plan.total_steps and evaluate_end)
        metric = self.task.best_metric if due else None
        missing = self.plan.ends_epoch(step) and lacks_row(self.model_dir, step, metric)
        return bool(from_chief(self.strategy, float(missing)))

    def _end_epoch(self, epoch: int, *, evaluate: bool) -> dict[str, float]:
        """Evaluates where that is due, and tells the observers; returns the metrics."""
        metrics = self._evaluate() if evaluate else {}
        if metrics is None:
            return {}  # Left off: the next start makes it up, and writes the row then.
        for observer in self._watching:
            values = {**self._losses.means(), **self.state.counts(), **metrics}
            observer.epoch_ended(self.state.step, epoch, values)
        return metrics

    def _is_interrupted(self) -> bool:
        """Whether a signal asks for the end, here or on another worker; sets `stop_signal`."""
        own = self._interruption.signal
        if self.stop_signal is None and on_any_worker(self.strategy, own is not None):
            self.stop_signal = own or signal.SIGTERM
        return self.stop_signal is not None

    def _say_where_to_go_on(self) -> None:
        if self.is_chief:
            step = self.state.step
            log.info(
                f"Training was interrupted at step {step} of {self.plan.total_steps}. "
                f"{checkpoint_path(self.model_dir, step)} is written: the same command goes on "
                "from there."
            )

    def _is_stopped(self) -> bool:
        """Whether a signal or an observer asks for the end; on every worker the same."""
        if self._is_interrupted():
            return True
        reasons = [reason for observer in self._watching if (reason := observer.why_stop())]
        if reasons:
            log.info(f"Training ends at step {self.state.step}: {' '.join(reasons)}")
            self.checkpoints.mark_ended()
        return bool(from_chief(self.strategy, bool(reasons)))

    def _new_log(self, eval_name: str | None) -> RunLog:
        return RunLog(
            self.model_dir,
            batch_size=self.plan.batch_size,
            total_steps=self.plan.total_steps,
            first_step=self.state.step,
            eval_name=eval_name,
        )

    def _distributed_batches(self):
        return share_out(
            self.strategy, self.task.training_dataset, self.plan.batch_size, self.state.step
        )

    def _train_until(self, end: int, batches) -> None:
        """Trains up to step `end` of the epoch, or until a signal."""
        state, plan = self.state, self.plan
        if not state.step or plan.ends_epoch(state.step):
            self._losses.reset()
        while (step := state.step) < end:
            until_save = plan.save_every - step % plan.save_every
            steps = min(self._portion, end - step, until_save)
            losses = self._train_steps(batches, steps)
            self._losses.add(losses, self.train_step.counted)
            if until_save == steps:
                self._save()
            if self._is_interrupted():
                break

    @contextlib.contextmanager
    def _profiler(self):
        """Profiles the first call that does not compile, where that was asked for."""
        if not (self._profile and self._compiled):
            yield
            return
        self._profile = False
        with tf.profiler.experimental.Profile(files.join(self.model_dir, "profile")):
            yield

    def _train_steps(self, batches, steps: int) -> dict[str, float]:
        """One call of the compiled step, told to the observers.

        Raises:
            UserError: A step is not finite, and such steps are not left out.
        """
        first, skipped = self.state.step, int(self.state.skipped.numpy())
        start = time.perf_counter()
        stop: NonFiniteStep | None = None
        try:
            with self._profiler():
                losses = self.train_step(batches, steps)
        except NonFiniteStep as error:
            stop, losses, steps = error, error.losses, error.steps
        seconds = time.perf_counter() - start
        if self._compiled and not stop:
            # Calls of a fixed duration keep the bar and the log lively.
            portion = int(from_chief(self.strategy, _SECONDS_PER_CALL * steps // seconds))
            self._portion = max(1, min(portion, self.plan.steps_per_call))
        self._compiled = True
        if steps:
            for observer in self._watching:
                observer.trained(first + steps, steps, seconds, losses | self.state.counts())
        if stop:
            step = self.state.step + 1
            kept = latest_checkpoint(self.model_dir)
            raise UserError(stop_sentence(step, stop.values, self._batch_ids(step), kept))
        if self._watching and (count := int(self.state.skipped.numpy())) > skipped:
            step = int(self.state.last_skipped.numpy())
            log.info(skip_sentence(step, count, self._batch_ids(step)))
        return losses

    def _batch_ids(self, step: int) -> list[str]:
        """The images of the batch of a step (from 1)."""
        return self.task.source_ids(self.plan.batch_size, step=step - 1)

    def _save(self) -> None:
        if self._saved_step == self.state.step:
            return
        self._saved_step = self.state.step
        snapshot = self._snapshot()
        if self.is_chief:
            for observer in self._watching:
                observer.saving(snapshot.step)
            self.checkpoints.save(snapshot)

    def _snapshot(self):
        return self.state.snapshot(
            total_steps=self.plan.total_steps,
            batch_size=self.plan.batch_size,
            task=self.task.snapshot(),
            epoch=self._losses.snapshot(),
        )

    def _evaluate(self) -> dict[str, float] | None:
        """Evaluates and archives; the metrics, empty on all but the chief, None where left off."""
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
            self.model_dir, snapshot, metrics, metric, images=images
        )
        for observer in self._watching:
            observer.evaluated(state.step, metrics, evaluation, report=report, best=best)
        return metrics
