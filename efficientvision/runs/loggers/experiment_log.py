"""The common part of loggers that send a run to an experiment tracker."""

from __future__ import annotations

import abc
import contextlib
import json
import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.report.build import REPORT_NAME
from efficientvision.report.evaluation_files import PREDICTIONS_NAME
from efficientvision.report.run_files import TRAIN_BATCH_NAME
from efficientvision.tasks.training_task import Evaluation
from efficientvision.training.best_checkpoint import BEST_NAME
from efficientvision.training.callbacks import Callback, TrainerView
from efficientvision.training.epoch_progress import EpochLosses

log = logging.getLogger(__name__)

# In the run's folder: the tracker's own id of this run, by logger.
IDS_NAME = "loggers.json"
PROJECT = "efficientvision"


class ExperimentLog(Callback):
    """Sends parameters, losses, metrics, pictures and the report of a run to a tracker.

    A resumed run continues the same run of the tracker, whose id is stored in `loggers.json`. If
    the caller has opened a run of the tracker, that one is used and left open. Losses are called
    `train/<name>`, metrics `val/<name>` (fractions, as in `results.csv`).

    Failures after the start are logged once in a line; training continues.

    Args:
        parameters: Options and hyper-parameters of the run.
    """

    name: ClassVar[str]
    key: ClassVar[str]
    seconds_between_losses: ClassVar[float] = 0.0

    def __init__(self, parameters: Mapping[str, Any]):
        self._parameters = parameters
        self._losses = EpochLosses()
        self._seconds = 0.0
        self._next = 0.0
        self._started = False
        self._status = "finished"
        self._failures: set[str] = set()
        self._trainer: TrainerView | None = None

    def begin(self, trainer: TrainerView) -> None:
        """Opens the tracker's run.

        Raises:
            UserError: The tracker cannot be reached or used.
        """
        self._trainer = trainer
        ids = _read_ids(trainer.model_dir)
        try:
            ids[self.key] = self._start(trainer.model_dir, ids.get(self.key))
        except self._errors() as error:
            raise UserError(
                f"{self.name} could not start: {_one_line(error)} {self.advice} Or remove "
                f"{self.key} from `log_to`."
            ) from error
        self._started = True
        with self._reporting("the id of its run"):
            files.write_text(
                files.join(trainer.model_dir, IDS_NAME), json.dumps(ids, indent=1) + "\n"
            )
        self._send_picture(trainer.state.step, TRAIN_BATCH_NAME)

    def trained(self, step: int, steps: int, seconds: float, losses: Mapping[str, float]) -> None:
        """Sends the mean losses, at most every `seconds_between_losses`."""
        self._losses.add(losses, steps)
        self._seconds += seconds
        if time.monotonic() >= self._next:
            self._send_losses(step)

    def evaluated(
        self,
        step: int,
        metrics: Mapping[str, float],
        evaluation: Evaluation,
        *,
        report: str,
        best: bool,
    ) -> None:
        """Sends the metrics, and the photos that `RunReport` has drawn."""
        self._send_losses(step)
        with self._reporting("metrics"):
            self._log(step, {f"val/{name}": value for name, value in metrics.items()})
        if best and self._trainer is not None:
            with self._reporting("the best metrics"):
                metric = self._trainer.task.best_metric
                path = files.join(self._trainer.model_dir, BEST_NAME)
                self._describe({f"best_{metric}": metrics[metric], "best_checkpoint": path})
        self._send_picture(step, PREDICTIONS_NAME)

    def epoch_ended(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Sends the losses that are still waiting."""
        self._send_losses(step)

    def failed(self, error: BaseException) -> None:
        """Marks the run as failed."""
        self._status = "failed"

    def end(self) -> None:
        """Sends the report and its plots, and closes the run."""
        trainer = self._trainer
        if not self._started or trainer is None:
            return
        self._send_losses(trainer.state.step)
        if self._status == "finished" and trainer.stop_signal:
            self._status = "interrupted"
        names: list[str] = []
        with self._reporting("the report"):
            names = files.list_names(trainer.model_dir)
        plots = sorted(name for name in names if name.endswith(".png"))
        for name in [REPORT_NAME] * (REPORT_NAME in names) + plots:
            with self._reporting(name):
                with files.local_copy(files.join(trainer.model_dir, name)) as path:
                    self._attach(trainer.state.step, name, path)
        with self._reporting("the end of the run"):
            self._finish(self._status)

    def _send_losses(self, step: int) -> None:
        values = self._losses.means()
        if not values or self._trainer is None:
            return
        images = self._losses.snapshot()["steps"] * self._trainer.plan.batch_size
        values["images_per_second"] = images / self._seconds
        self._losses.reset()
        self._seconds = 0.0
        self._next = time.monotonic() + self.seconds_between_losses
        with self._reporting("losses"):
            self._log(step, {f"train/{name}": value for name, value in values.items()})

    def _send_picture(self, step: int, name: str) -> None:
        assert self._trainer is not None
        path = files.join(self._trainer.model_dir, name)
        if files.is_file(path):
            with self._reporting(name), files.local_copy(path) as local:
                self._attach(step, name, local)

    @contextlib.contextmanager
    def _reporting(self, what: str) -> Iterator[None]:
        """Logs a failure once in a line, instead of raising the error."""
        try:
            yield
        except Exception as error:  # Whatever the client raises, the training goes on.
            sentence = f"{self.name} did not get {what}: {_one_line(error)} Training continues."
            if sentence not in self._failures:
                self._failures.add(sentence)
                log.info(sentence)

    advice: ClassVar[str]

    @abc.abstractmethod
    def _errors(self) -> tuple[type[Exception], ...]:
        """The client's own errors."""

    @abc.abstractmethod
    def _start(self, model_dir: str, run_id: str | None) -> str:
        """Opens the run (the one of `run_id` if there is one); returns its id."""

    @abc.abstractmethod
    def _log(self, step: int, values: Mapping[str, float]) -> None:
        """Sends numbers of a step."""

    @abc.abstractmethod
    def _describe(self, facts: Mapping[str, Any]) -> None:
        """Sends facts about the run; later ones replace earlier ones of the same name."""

    @abc.abstractmethod
    def _attach(self, step: int, name: str, path: str) -> None:
        """Sends a picture or page, a local file."""

    @abc.abstractmethod
    def _finish(self, status: str) -> None:
        """Closes the run; `status`: finished, interrupted or failed."""


def _read_ids(model_dir: str) -> dict[str, str]:
    path = files.join(model_dir, IDS_NAME)
    if not files.is_file(path):
        return {}
    try:
        ids = json.loads(files.read_text(path))
    except (UserError, ValueError):
        ids = None
    if not isinstance(ids, dict) or not all(isinstance(value, str) for value in ids.values()):
        log.info(f"{path} is damaged: the loggers start new runs.")
        return {}
    return ids


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())[:300] or type(error).__name__
    return text if text.endswith((".", "!", "?")) else f"{text}."
