"""Keeps the files of a run's folder up to date during training."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence

import tensorflow as tf

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.preflight.findings import Finding
from efficientvision.report.build import REPORT_NAME, build_report, without_plots
from efficientvision.report.evaluation_files import write_evaluation, write_pictures
from efficientvision.report.facts import (
    FINDINGS_NAME,
    append_command,
    write_facts,
    write_findings,
)
from efficientvision.report.history import LOSSES_NAME, LossHistory
from efficientvision.report.plots import can_plot
from efficientvision.report.run_files import TRAIN_BATCH_NAME
from efficientvision.tasks.training_task import Evaluation
from efficientvision.training.callbacks import Callback, TrainerView
from efficientvision.visualize.sheet import write_sheet

log = logging.getLogger(__name__)

_SHOWN_EXAMPLES = 12
_COLUMNS = 4
_PAUSE = 20


class RunReport(Callback):
    """Writes all files of a run except checkpoints and logs, including its `report.html`.

    Writes `command.txt`, `run.json`, `preflight.json` and `train_batch.jpg` at the start; tables,
    photos, plots and the page after each evaluation; plots and page again at the end. The worst
    mistakes are those of the best evaluation so far, and of the one after the last step. If
    evaluations are only seconds apart, plots and page are written less often, to take at most a
    twentieth of the time. Failures are logged in one line: a full disk or a damaged font must not
    stop training.

    Args:
        command: The command that started the run, for `command.txt`.
        eval_name: Subfolder for the evaluation's TensorBoard files.
        findings: Findings of the preflight, for `preflight.json`; None: it did not run, and those
            of an earlier start are kept.
        writes_tensorboard: Also write the pictures to TensorBoard.
    """

    def __init__(
        self,
        command: str,
        eval_name: str | None = None,
        findings: Sequence[Finding] | None = None,
        *,
        writes_tensorboard: bool = True,
    ):
        self._command = command
        self._writes_tensorboard = writes_tensorboard
        self._eval_name = eval_name or "eval"
        self._findings = findings
        self._dir: str | None = None
        self._total_steps = 0
        self._history: LossHistory | None = None
        self._writer: tf.summary.SummaryWriter | None = None
        self._new = False  # Losses or an evaluation not yet on the page.
        self._evaluated = False
        self._next_page = 0.0

    def begin(self, trainer: TrainerView) -> None:
        self._dir, self._total_steps = trainer.model_dir, trainer.plan.total_steps
        step = trainer.state.step
        with said_in_a_line("the earlier losses.csv"):
            self._history = LossHistory(self._dir, step)
        with said_in_a_line("command.txt"):
            append_command(self._dir, self._command, step)
        with said_in_a_line("run.json"):
            write_facts(self._dir, trainer)
        if self._findings is not None:
            with said_in_a_line(FINDINGS_NAME):
                write_findings(self._dir, self._findings)
        if self._writes_tensorboard:
            with said_in_a_line("TensorBoard's pictures"):
                self._writer = tf.summary.create_file_writer(files.join(self._dir, self._eval_name))
        with said_in_a_line(TRAIN_BATCH_NAME):
            self._draw_training_batch(trainer)
        if not can_plot():
            log.info(without_plots())

    def trained(self, step: int, steps: int, seconds: float, losses: Mapping[str, float]) -> None:
        if self._history is not None:
            self._history.add(step, steps, seconds, losses)
            self._new = True

    def saving(self, step: int) -> None:
        self._write_losses()  # A killed run resumes from this checkpoint, and from these losses.

    def evaluated(
        self,
        step: int,
        metrics: Mapping[str, float],
        evaluation: Evaluation,
        *,
        report: str,
        best: bool,
    ) -> None:
        with said_in_a_line("the details of the evaluation"):
            worth = best or step >= self._total_steps
            write_evaluation(self._dir, step, metrics, evaluation, self._writer, complete=worth)
        self._new = self._evaluated = True

    def epoch_ended(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        self._write_losses()
        if self._evaluated and time.monotonic() >= self._next_page:
            self._write_page()

    def end(self) -> None:
        if self._new:
            self._write_losses()
            self._write_page()
        if self._writer is not None:
            with said_in_a_line("TensorBoard's pictures"):
                self._writer.close()

    def _write_losses(self) -> None:
        if self._history is not None:
            with said_in_a_line(LOSSES_NAME):
                self._history.write()

    def _write_page(self) -> None:
        started = time.monotonic()
        with said_in_a_line(REPORT_NAME):
            build_report(self._dir)
        ended = time.monotonic()
        self._next_page = ended + _PAUSE * (ended - started)
        self._new = self._evaluated = False

    def _draw_training_batch(self, trainer: TrainerView) -> None:
        data = trainer.task.training_dataset(trainer.plan.batch_size, start_step=trainer.state.step)
        batch = {name: value.numpy() for name, value in next(iter(data)).items()}
        pictures = trainer.task.training_pictures(batch, _SHOWN_EXAMPLES)
        if not pictures:
            return
        path = files.join(self._dir, TRAIN_BATCH_NAME)
        files.write_bytes(path, write_sheet(pictures, _COLUMNS))
        if self._writer is not None:
            with self._writer.as_default(step=trainer.state.step):
                write_pictures("train_batch", pictures[:_COLUMNS])


@contextlib.contextmanager
def said_in_a_line(what: str) -> Iterator[None]:
    """Logs in one line that something could not be written, instead of raising the error.

    Catches what files, fonts, pictures and damaged tables raise, but not programming errors
    such as a wrong type.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError, UserError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        log.info(f"Could not write {what}: {reason}. Training continues.")
