"""Stops a run whose metric no longer improves."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from efficientvision.evaluation.shown import shown_metric
from efficientvision.tasks.training_task import Evaluation
from efficientvision.training.callbacks import Callback, TrainerView
from efficientvision.training.run_log import read_results


class EarlyStopping(Callback):
    """Stops training after `patience` evaluations without improvement.

    The count is read from the run's `results.csv`, so a resumed run continues counting.

    Args:
        metric: Name of the metric to watch; larger is better.
        patience: Number of evaluations in a row without improvement.
        min_delta: Smallest increase over the best value that counts as an improvement.
    """

    def __init__(self, metric: str, *, patience: int, min_delta: float = 0.0):
        self._metric = metric
        self._patience = patience
        self._min_delta = min_delta
        self._best: float | None = None
        self._best_step = 0
        self._waited = 0

    def begin(self, trainer: TrainerView) -> None:
        """Counts the evaluations of earlier runs."""
        self._best, self._waited = None, 0
        for row in read_results(trainer.model_dir):
            with contextlib.suppress(ValueError):  # A damaged field counts as no evaluation.
                if row.get(self._metric) and int(row["step"]) <= trainer.state.step:
                    self._count(int(row["step"]), float(row[self._metric]))

    def evaluated(
        self,
        step: int,
        metrics: Mapping[str, float],
        evaluation: Evaluation,
        *,
        report: str,
        best: bool,
    ) -> None:
        """Counts an evaluation."""
        if self._metric in metrics:
            # Rounded as in `results.csv`, so that a resumed run decides the same way.
            self._count(step, float(f"{metrics[self._metric]:.6g}"))

    def should_stop(self) -> str | None:
        """The reason to stop, once `patience` evaluations brought no improvement."""
        if self._waited < self._patience:
            return None
        return (
            f"{self._metric} has not improved by more than {100 * self._min_delta:g} in "
            f"{self._waited} evaluations; it was best at step {self._best_step}: "
            f"{shown_metric(self._metric, self._best)} "
            "(early_stopping_patience)."
        )

    def _count(self, step: int, value: float) -> None:
        if self._best is None or value > self._best + self._min_delta:
            self._best, self._best_step, self._waited = value, step, 0
        else:
            self._waited += 1
