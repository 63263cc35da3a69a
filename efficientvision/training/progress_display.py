"""A run's progress for the reader of a terminal or of its log file."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping, Sequence

from efficientvision import progress
from efficientvision.evaluation.shown import shown_metric
from efficientvision.tasks.training_task import Evaluation
from efficientvision.training.callbacks import Callback, TrainerView

log = logging.getLogger(__name__)

# The bar itself is at least this wide, with a space on either side.
_LEAST_BAR = 8
# Share of the newest call in the moving average of the seconds per step.
_NEWEST = 0.3
_GAP = "  "
# From this many columns on, the bar also has the learning rate and the parts of the loss.
_WIDE = 100
_LONGEST_HEADING = 16


class ProgressDisplay(Callback):
    """Shows the epoch as one bar, and every epoch as a row of a table.

    The bar has the epoch, its steps, the loss, images/s, and the time left for the epoch and for
    the run, as far as they fit. If the output is a file or pipe, a line every 30 seconds replaces
    the bar. Rows have the means of the epoch, as many metrics as fit (in percent), a star at the
    best one so far, and the seconds since the row before.
    """

    def __init__(self):
        self._bar: progress.tqdm | None = None

    def begin(self, trainer: TrainerView) -> None:
        """Starts the clocks."""
        self._plan = trainer.plan
        self._best_metric = trainer.task.best_metric
        self._seconds_per_step: float | None = None
        self._compiling = False
        self._compiled_in = ""
        self._evaluation_seconds = 0.0
        self._next_line = 0.0
        self._headings: Sequence[str] = ()
        self._metrics: Sequence[str] = ()
        self._is_best = False
        self._last_report = ""
        self._row_began = self._trained_until = time.perf_counter()

    def compiling(self, step: int) -> None:
        """Says that the next step takes longer."""
        self._compiling = True
        which = "the first" if self._seconds_per_step is None else "another"
        if progress.draws_bars():
            self._draw(step, f"{self._epoch(step + 1)} ", f" compiling {which} step")
        else:
            progress.write_line(f"{self._epoch(step + 1)}: compiling {which} step")

    def trained(self, step: int, steps: int, seconds: float, losses: Mapping[str, float]) -> None:
        """Moves the bar, or writes a line if the last one is old."""
        self._trained_until = time.perf_counter()
        first_call, self._compiling = self._compiling, False
        if first_call:
            self._compiled_in = f"compiled in {progress.duration(seconds)}"
        else:
            pace, before = seconds / steps, self._seconds_per_step
            self._seconds_per_step = (
                pace if before is None else _NEWEST * pace + (1 - _NEWEST) * before
            )
            self._compiled_in = ""
        rate = None if first_call else steps * self._plan.batch_size / seconds
        if progress.draws_bars():
            self._draw(step, *self._pieces(step, rate, losses))
            if step in (self._epoch_end(step), self._plan.total_steps):
                self._close_bar()
        elif first_call or time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + progress.SECONDS_BETWEEN_LINES
            count = f"step {step}/{self._plan.total_steps}"
            parts = [self._epoch(step), count, *self._facts(step, rate, losses)]
            progress.write_line(", ".join(part for part in parts if part))

    def evaluated(
        self,
        step: int,
        metrics: Mapping[str, float],
        evaluation: Evaluation,
        *,
        report: str,
        best: bool,
    ) -> None:
        """Notes the metrics for the epoch's row; the last table of a run is shown in full."""
        self._evaluation_seconds = time.perf_counter() - self._trained_until
        self._is_best = best
        others = [name for name in metrics if name != self._best_metric]
        self._metrics = [name for name in (self._best_metric,) if name in metrics] + others
        self._last_report = report if step >= self._plan.total_steps else ""

    def epoch_ended(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Adds a row to the table."""
        self._close_bar()
        now = time.perf_counter()
        row = {
            "epoch": (str(epoch), 5),
            "step": (str(step), max(4, len(str(self._plan.total_steps)))),
            "loss": (_short(values.get("loss")), 7),
            "lr": (_short(values.get("learning_rate"), digits=3), 8),
        }
        last = {"seconds": (f"{now - self._row_began:.0f}", 7)}
        if self._metrics:
            last = {"best": ("*" if self._is_best else "", 4), **last}
        room = progress.columns() - 1 - _width(row) - _width(last)
        for name in self._metrics:
            heading = _heading(name)
            field = {heading: (shown_metric(name, values.get(name)), max(5, len(heading)))}
            room -= _width(field)
            if room < 0:
                break
            row |= field
        row |= last
        if (headings := list(row)) != self._headings:
            self._headings = headings
            log.info(_line({heading: (heading, width) for heading, (_, width) in row.items()}))
        log.info(_line(row))
        if self._last_report:
            log.info(f"\nEvaluation at the last step:\n{self._last_report}\n")
        self._metrics, self._is_best, self._row_began = (), False, now

    def end(self) -> None:
        """Removes the bar."""
        self._close_bar()

    def _epoch(self, step: int) -> str:
        """Names the epoch of a step (counted from 1)."""
        return f"epoch {self._number(step)}/{self._plan.num_epochs}"

    def _number(self, step: int) -> int:
        return min(self._plan.epoch_of(step - 1) + 1, self._plan.num_epochs)

    def _epoch_begin(self, step: int) -> int:
        return self._plan.epoch_end(self._number(step) - 1)

    def _epoch_end(self, step: int) -> int:
        return min(self._plan.epoch_end(self._number(step)), self._plan.total_steps)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _draw(self, step: int, left: str, right: str) -> None:
        """Draws the bar of the epoch of `step`, between two texts."""
        texts = (text.replace("{", "{{").replace("}", "}}") for text in (left, right))
        layout = "{bar}".join(texts)
        first = step + 1 if self._bar is None and self._compiling else step
        begin = self._epoch_begin(first)
        if self._bar is None:
            total = self._epoch_end(first) - begin
            self._bar = progress.tqdm(
                total=total, initial=step - begin, leave=False, bar_format=layout
            )
            return
        self._bar.bar_format = layout
        self._bar.n = step - begin
        self._bar.refresh()

    def _pieces(
        self, step: int, rate: float | None, losses: Mapping[str, float]
    ) -> tuple[str, str]:
        """The texts to the left and right of the bar that fit the terminal."""
        begin = self._epoch_begin(step)
        left = f"{self._epoch(step)} "
        right = f" {step - begin}/{self._epoch_end(step) - begin}"
        columns = progress.columns(sys.stderr)
        room = columns - _LEAST_BAR - len(left) - len(right)
        loss, speed, time_left, *more = self._facts(step, rate, losses)
        if columns < _WIDE:
            more = []
        # The most important first; shown in the usual order.
        kept = []
        for fact in (time_left, loss, speed, *more):
            if fact and len(fact) + len(_GAP) <= room:
                room -= len(fact) + len(_GAP)
                kept.append(fact)
        shown = [fact for fact in (loss, *more, speed, time_left) if fact in kept]
        return left, right + "".join(_GAP + fact for fact in shown)

    def _facts(self, step: int, rate: float | None, losses: Mapping[str, float]) -> list[str]:
        """Loss, speed and time left; then the learning rate and the parts of the loss."""
        loss = f"loss {_short(losses['loss'])}" if "loss" in losses else ""
        speed = "" if rate is None else f"{rate:.{0 if rate >= 100 else 1}f} images/s"
        parts = [name for name in losses if name.endswith("loss") and name != "loss"]
        return [
            loss,
            speed,
            self._compiled_in or self._time_left(step),
            *(
                [f"lr {_short(losses['learning_rate'], digits=3)}"]
                if "learning_rate" in losses
                else []
            ),
            *(f"{name} {_short(losses[name])}" for name in parts),
        ]

    def _time_left(self, step: int) -> str:
        if self._seconds_per_step is None:
            return ""
        total = self._plan.total_steps
        epoch = (self._epoch_end(step) - step) * self._seconds_per_step
        evaluations = self._plan.num_epochs - self._number(step) + 1
        run = (total - step) * self._seconds_per_step + evaluations * self._evaluation_seconds
        return f"ETA {progress.duration(epoch)}, run {progress.duration(run)}"


def _short(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}g}"


def _heading(name: str) -> str:
    text = name.replace("_/", " ")
    return text if len(text) <= _LONGEST_HEADING else f"{text[: _LONGEST_HEADING - 1]}…"


def _width(row: Mapping[str, tuple[str, int]]) -> int:
    return sum(width + len(_GAP) for _, width in row.values())


def _line(row: Mapping[str, tuple[str, int]]) -> str:
    return _GAP.join(f"{text:>{width}}" for text, width in row.values())
