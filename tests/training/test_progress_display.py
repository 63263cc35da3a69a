"""What a run shows on terminals of 80 and 120 columns, and in a file or pipe."""

import io
import logging
import re
import sys
import types

import pytest

from efficientvision import progress
from efficientvision.training.plan import TrainingPlan
from efficientvision.training.progress_display import ProgressDisplay

LOSSES = {
    "loss": 12.34567,
    "learning_rate": 1.25e-5,
    "cls_loss": 1.0,
    "box_loss": 0.001,
    "reg_l2_loss": 0.04,
}
METRICS = {
    **{name: 0.551 for name in "AP AP50 AP75 APs APm APl ARmax1 ARmax10 ARmax100".split()},
    **{f"AP_/{'a class with a very long name ' * 3}{i}": 0.1 for i in range(5)},
}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def shown(monkeypatch, caplog):
    """Runs two epochs of ten steps; returns what stderr got, and the logged lines."""

    def run(width, *, metrics=METRICS, losses=LOSSES, terminal=True, epochs=2):
        caplog.set_level(logging.INFO)
        caplog.clear()
        stream = Terminal() if terminal else io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr(progress, "columns", lambda stream=None: width)
        monkeypatch.setattr("tqdm.utils._screen_shape_wrapper", lambda: lambda fp: (width, 24))
        monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda fp: (width, 24))
        plan = TrainingPlan(64, 640, epochs)
        display = ProgressDisplay()
        task = types.SimpleNamespace(best_metric="AP")
        display.begin(types.SimpleNamespace(plan=plan, task=task))
        display.compiling(0)
        for epoch in range(epochs):
            for step in (1, 5, 10):
                display.trained(10 * epoch + step, 4, 2.0, losses)
            step = 10 * epoch + 10
            if metrics:
                report = "the whole table"
                display.evaluated(step, metrics, None, report=report, best=not epoch)
            display.epoch_ended(step, epoch + 1, {**losses, **metrics})
        display.end()
        return stream.getvalue(), [record.getMessage() for record in caplog.records]

    return run


@pytest.mark.parametrize("width", [60, 80, 120])
def test_bars_and_rows_fit_the_terminal(shown, width):
    bars, rows = shown(width)
    drawn = [text for text in bars.split("\r") if text.strip()]
    assert all(len(text.rstrip("\n")) <= width for text in drawn)
    assert "epoch 1/2" in drawn[0] and "compiling the first step" in drawn[0]
    assert any(re.search(r"epoch 2/2 .*5/10  loss 12.35", text) for text in drawn)
    assert ("lr 1.25e-05" in bars) == (width >= 100)
    header, first, second, table = rows
    assert len(header) == len(first) == len(second) < width
    assert "the whole table" in table
    assert ("ARmax1" in header) == (width >= 100)
    assert "55.1" in first and "*" in first and "*" not in second


def test_the_bar_of_a_wide_terminal_has_the_speed_and_the_time_left(shown):
    bars, _ = shown(120)
    assert "128 images/s" in bars and re.search(r"ETA 00:02, run 00:\d\d", bars)


def test_a_pipe_gets_few_lines_and_no_control_characters(shown):
    lines, rows = shown(80, terminal=False)
    assert not re.search(r"[\r\x1b\x08]", lines)
    first, second, *more = lines.splitlines()
    assert first == "epoch 1/2: compiling the first step"
    assert second.startswith("epoch 1/2, step 1/20, loss 12.35, compiled in 00:02")
    assert not more  # The next one would come after 30 seconds.
    assert len(rows) == 4


def test_an_epoch_without_evaluation_is_a_row_too(shown):
    _, (header, *rows) = shown(80, metrics={})
    assert header.split() == ["epoch", "step", "loss", "lr", "seconds"] and len(rows) == 2


def test_losses_are_no_percentages_and_missing_truth_is_a_dash(shown):
    _, (header, row, *_) = shown(100, metrics={"AP": -1.0, "val_loss": 0.25})
    assert dict(zip(header.split(), row.split(), strict=True)) == {
        "epoch": "1", "step": "10", "loss": "12.35", "lr": "1.25e-05", "AP": "-",
        "val_loss": "0.25", "best": "*", "seconds": "0",
    }  # fmt: skip


def test_names_with_braces_do_not_break_the_bar(shown):
    bars, _ = shown(200, losses={"loss": 1.0, "{odd}_loss": 2.0})
    assert "{odd}_loss 2" in bars
