"""The losses' table: bounded, and its means are those of all steps."""

import numpy as np
import pytest

from efficientvision.report.history import MOST_ROWS, LossHistory
from efficientvision.training.tables import read_table


def _rows(folder):
    return [{k: float(v) for k, v in row.items() if v} for row in read_table(folder, "losses.csv")]


def test_a_short_run_is_kept_as_it_is(tmp_path):
    history = LossHistory(tmp_path)
    history.add(5, 5, 1.5, {"loss": 2.0})
    history.add(8, 3, 0.5, {"loss": 1.0, "skipped": 1.0})
    history.write()
    assert _rows(tmp_path) == [
        {"step": 5, "steps": 5, "seconds": 1.5, "loss": 2.0},
        {"step": 8, "steps": 3, "seconds": 0.5, "loss": 1.0, "skipped": 1.0},
    ]


def test_a_long_run_keeps_its_means_and_its_size(tmp_path):
    rng = np.random.default_rng(0)
    history, values, weights, step = LossHistory(tmp_path), [], [], 0
    for _ in range(5000):
        steps = int(rng.integers(1, 6))
        step += steps
        values.append(rng.random())
        weights.append(steps)
        history.add(step, steps, 0.1, {"loss": values[-1]})
    history.write()
    rows = _rows(tmp_path)
    assert MOST_ROWS / 4 <= len(rows) < MOST_ROWS
    assert rows[-1]["step"] == step == sum(row["steps"] for row in rows)
    mean = np.average([row["loss"] for row in rows], weights=[row["steps"] for row in rows])
    assert mean == pytest.approx(np.average(values, weights=weights), rel=1e-5)
    lengths = [row["steps"] for row in rows[:-1]]
    assert max(lengths) < 5 * min(lengths)  # A curve of one resolution.
    assert np.all(np.diff([row["step"] for row in rows]) > 0)


def test_a_resumed_run_goes_on_from_its_checkpoint(tmp_path):
    history = LossHistory(tmp_path)
    for step in range(1, 11):
        history.add(step, 1, 0.1, {"loss": float(step)})
    history.write()
    again = LossHistory(tmp_path, first_step=7)
    again.add(8, 1, 0.1, {"loss": 80.0})
    again.write()
    assert [row["loss"] for row in _rows(tmp_path)] == [1, 2, 3, 4, 5, 6, 7, 80]
