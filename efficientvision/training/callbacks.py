"""Training callbacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import tensorflow as tf

from efficientvision.tasks.training_task import Evaluation, TrainingTask
from efficientvision.training.plan import TrainingPlan
from efficientvision.training.state import TrainingState


class TrainerView(Protocol):
    """The part of a `Trainer` that callbacks may use."""

    task: TrainingTask
    plan: TrainingPlan
    state: TrainingState
    strategy: tf.distribute.Strategy
    model_dir: str
    stop_signal: int | None


class Callback:
    """Base class of training callbacks; the trainer calls their methods on the chief only.

    Override what you need: every method does nothing by default. Losses and metrics are Python
    floats by name.
    """

    def begin(self, trainer: TrainerView) -> None:
        """Called before the first step; `trainer.state.step` steps were done by earlier runs."""

    def compiling(self, step: int) -> None:
        """Called at `step`, before a call that compiles the training step.

        It is the first call, and the first with another variant of the task.
        """

    def trained(self, step: int, steps: int, seconds: float, losses: Mapping[str, float]) -> None:
        """Called after a chunk of `steps` steps that took `seconds` and ended at `step`.

        `losses` holds the means over these steps.
        """

    def saving(self, step: int) -> None:
        """Called before the checkpoint of `step` is written."""

    def evaluated(
        self,
        step: int,
        metrics: Mapping[str, float],
        evaluation: Evaluation,
        *,
        report: str,
        best: bool,
    ) -> None:
        """Called after an evaluation; `best`: this checkpoint is the best of the run so far."""

    def epoch_ended(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Called after epoch `epoch` (counted from 1) and its evaluation.

        `values` holds the means of the losses over the epoch, and the latest metrics.
        """

    def should_stop(self) -> str | None:
        """The reason to stop early, as a sentence, or None; asked before every epoch."""
        return None

    def failed(self, error: BaseException) -> None:
        """Called before `end` if an error, such as a non-finite loss, ended training."""

    def end(self) -> None:
        """Called after the last step, after an interruption, or after an error."""
