"""The table of a run's epochs: results.csv."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from efficientvision import files
from efficientvision.files import AnyPath
from efficientvision.training.callbacks import Callback
from efficientvision.training.tables import read_steps, table_to_go_on, write_table

log = logging.getLogger(__name__)

RESULTS_NAME = "results.csv"


class RunLog(Callback):
    """Writes `results.csv`.

    It has a row per epoch (or evaluation): step, epoch, images, seconds, means of the losses over
    the epoch, and the metrics if it was evaluated.

    Args:
        model_dir: The run's folder.
        batch_size: Images per step.
        first_step: Number of steps that a resumed run has done before.
    """

    def __init__(self, model_dir: AnyPath, *, batch_size: int, first_step: int = 0):
        self._dir = files.as_text(model_dir)
        self._batch_size = batch_size
        self._rows = table_to_go_on(self._dir, RESULTS_NAME, first_step, log.info)
        spent = seconds_of(self._rows[-1]) if self._rows else 0.0
        self._start = time.perf_counter() - spent

    def epoch_ended(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Adds a row to `results.csv`, or completes the row of this step."""
        row = {
            "step": step,
            "epoch": epoch,
            "images": step * self._batch_size,
            "seconds": f"{time.perf_counter() - self._start:.1f}",
        }
        row |= {name: f"{value:.6g}" for name, value in values.items()}
        if self._rows and int(self._rows[-1]["step"]) == step:
            row = self._rows.pop() | row
        self._rows.append(row)
        write_table(self._dir, RESULTS_NAME, self._rows)


def read_results(model_dir: AnyPath) -> list[dict[str, str]]:
    """Rows of a run's `results.csv` that have a step; empty if there is no such file.

    Raises:
        UserError: The file is damaged.
    """
    return read_steps(model_dir, RESULTS_NAME)


def seconds_of(row: Mapping[str, str]) -> float:
    """The seconds that a run had taken when a row of `results.csv` was written; 0: unknown."""
    try:
        return float(row.get("seconds") or 0)
    except ValueError:
        return 0.0
