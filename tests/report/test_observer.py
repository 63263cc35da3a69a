"""The observer through a run, and when things go wrong."""

import errno
import types

import pytest
import tensorflow as tf

from efficientvision import files
from efficientvision.report import observer as observer_module
from efficientvision.report.observer import RunReport
from efficientvision.tasks.detection.evaluation import draw_training_examples
from efficientvision.training.tables import read_table
from tests.report.made_run import made_batch, made_evaluation, names

COMMAND = "python main.py --mode=train"
LOSSES = {"loss": 1.0, "learning_rate": 0.1}


class _Task:
    """Data and pictures of a detection task, without records."""

    training_files, evaluation_files, best_metric = "train*", "val*", "AP"

    def training_dataset(self, batch_size, *, start_step):
        return tf.data.Dataset.from_tensors(made_batch(batch_size, seed=start_step))

    def training_pictures(self, batch, limit):
        return draw_training_examples(batch, names(3), limit)


def _trainer(folder, step=0):
    return types.SimpleNamespace(
        model_dir=str(folder),
        task=_Task(),
        state=types.SimpleNamespace(
            step=step, model=types.SimpleNamespace(count_params=lambda: 10)
        ),
        strategy=tf.distribute.get_strategy(),
        plan=types.SimpleNamespace(
            batch_size=4, total_steps=20, examples_per_epoch=40, num_epochs=2
        ),
    )


def _epoch(watching, step):
    watching.trained(step, 10, 1.0, LOSSES)
    evaluation = made_evaluation()
    metrics = evaluation.compute()
    watching.evaluated(step, metrics, evaluation, report="", best=True)
    watching.epoch_ended(step, step // 10, {**LOSSES, **metrics})


def test_a_run_fills_its_folder(tmp_path):
    watching = RunReport(COMMAND)
    watching.begin(_trainer(tmp_path))
    started = {path.name for path in tmp_path.iterdir()}
    assert started == {"command.txt", "run.json", "train_batch.jpg", "eval"}
    _epoch(watching, 10)
    assert {"report.html", "val_predictions.jpg", "per_class.csv", "losses.csv"} <= {
        path.name for path in tmp_path.iterdir()
    }
    page = (tmp_path / "report.html").read_text()
    watching.trained(20, 10, 1.0, LOSSES)
    watching.epoch_ended(20, 2, LOSSES)
    assert (tmp_path / "report.html").read_text() == page  # Nothing was evaluated.
    watching.end()
    assert (tmp_path / "report.html").read_text() != page
    assert [row["step"] for row in read_table(tmp_path, "losses.csv")] == ["10", "20"]


def test_a_remote_folder_is_filled_too():
    folder = "ram://run of the observer"
    watching = RunReport(COMMAND)
    watching.begin(_trainer(folder))
    _epoch(watching, 10)
    watching.end()
    assert {"command.txt", "train_batch.jpg", "val_predictions.jpg", "losses.csv"} <= set(
        files.list_names(folder)
    )
    assert "Predictions" in files.read_text(f"{folder}/report.html")


def test_a_resumed_run_adds_to_it(tmp_path):
    for step in (0, 10):
        watching = RunReport(COMMAND)
        watching.begin(_trainer(tmp_path, step))
        watching.trained(step + 10, 10, 1.0, LOSSES)
        watching.end()
    assert [row["step"] for row in read_table(tmp_path, "losses.csv")] == ["10", "20"]
    assert "resumes from step 10" in (tmp_path / "command.txt").read_text()


def test_evaluations_that_follow_quickly_share_a_page(tmp_path, monkeypatch):
    drawn, clock = [], [100.0]
    monkeypatch.setattr(observer_module.time, "monotonic", lambda: clock[0])
    watching = RunReport(COMMAND)
    watching.begin(_trainer(tmp_path))

    def slow_page(folder):
        drawn.append(clock[0])
        clock[0] += 2

    monkeypatch.setattr(observer_module, "build_report", slow_page)
    for step in range(1, 8):
        _epoch(watching, step)
        clock[0] += 10
    assert drawn == [100, 142]  # 40 seconds after the first was finished.
    watching.end()
    assert len(drawn) == 3
    assert len(read_table(tmp_path, "losses.csv")) == 7


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("cannot open the font"),
        tf.errors.ResourceExhaustedError(None, None, "No space left on device"),
    ],
)
def test_what_cannot_be_written_is_said_and_the_run_goes_on(tmp_path, monkeypatch, capsys, error):
    watching = RunReport(COMMAND)
    watching.begin(_trainer(tmp_path))

    def refuse(*args, **kwargs):
        raise error

    monkeypatch.setattr(files, "write_text", refuse)
    monkeypatch.setattr(files, "write_bytes", refuse)
    capsys.readouterr()
    _epoch(watching, 10)
    watching.end()
    said = [line for line in capsys.readouterr().out.splitlines() if "Could not write" in line]
    assert said and all("Training continues" in line for line in said)
    assert ("space" in said[0]) or ("font" in said[0])


def test_a_mistake_of_the_program_is_not_hidden(tmp_path, monkeypatch):
    def mistaken(*args):
        raise TypeError("a defect")

    monkeypatch.setattr(observer_module, "build_report", mistaken)
    watching = RunReport(COMMAND)
    watching.begin(_trainer(tmp_path))
    with pytest.raises(TypeError):
        _epoch(watching, 10)


def test_without_matplotlib_one_line_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(observer_module, "can_plot", lambda: False)
    RunReport(COMMAND).begin(_trainer(tmp_path))
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "matplotlib" in line]
    assert "curves.png" in line and "pip install" in line
