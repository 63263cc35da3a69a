"""Records the losses of a run in a file of bounded size."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping

from efficientvision.files import AnyPath
from efficientvision.training.tables import table_to_go_on, write_table

log = logging.getLogger(__name__)

LOSSES_NAME = "losses.csv"
MOST_ROWS = 1000


class LossHistory:
    """Mean losses over equal intervals of steps, as `losses.csv`.

    Each row has `step` (the last of the interval), `steps` (its length), `seconds` (its
    duration), then the mean losses by name. At `MOST_ROWS` rows, adjacent rows are merged and the
    interval doubles, so that a run of any length has a curve and a small file.

    Args:
        model_dir: The run's folder.
        first_step: Number of steps already trained; later rows of the file are dropped.
    """

    def __init__(self, model_dir: AnyPath, first_step: int = 0):
        self._dir = model_dir
        table = table_to_go_on(model_dir, LOSSES_NAME, first_step, log.info)
        rows = [_numbers(row) for row in table]
        self._rows = [row for row in rows if row.get("steps", 0) >= 1]
        self._stride = max(1, *(int(row["steps"]) for row in self._rows[:-1]), 1)

    def add(self, step: int, steps: int, seconds: float, losses: Mapping[str, float]) -> None:
        """Adds mean losses over the `steps` steps that ended at `step`."""
        row = {"step": float(step), "steps": float(steps), "seconds": seconds, **losses}
        if self._rows and self._rows[-1]["steps"] < self._stride:
            row = _joined(self._rows.pop(), row)
        self._rows.append(row)
        if len(self._rows) >= MOST_ROWS:
            pairs = zip(self._rows[::2], [*self._rows[1::2], None], strict=False)
            self._rows = [_joined(one, two) if two else one for one, two in pairs]
            self._stride *= 2

    def write(self) -> None:
        """Writes `losses.csv`."""
        whole = ("step", "steps")
        write_table(
            self._dir,
            LOSSES_NAME,
            [{k: int(v) if k in whole else v for k, v in row.items()} for row in self._rows],
        )


def _numbers(row: Mapping[str, str]) -> dict[str, float]:
    """The numeric fields of a row."""
    numbers = {}
    for name, value in row.items():
        with contextlib.suppress(ValueError):
            numbers[name] = float(value)
    return numbers


def _joined(one: dict[str, float], two: dict[str, float]) -> dict[str, float]:
    """Merges two adjacent rows; a loss that only one of them has keeps its value."""
    total = one["steps"] + two["steps"]
    row = {"step": two["step"], "steps": total, "seconds": one["seconds"] + two["seconds"]}
    for name in {**one, **two}:
        if name in row:
            continue
        if name in one and name in two:
            row[name] = (one[name] * one["steps"] + two[name] * two["steps"]) / total
        else:
            row[name] = one.get(name, two.get(name))
    return row
