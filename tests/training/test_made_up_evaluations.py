"""What a kill has cost an epoch is made up at the next start (tests/training/test_kill_chains.py
kills for real)."""

import json
import os
import signal
import time

import pytest

from efficientvision import files
from efficientvision.training import best_checkpoint
from efficientvision.training.best_checkpoint import repair_archive
from efficientvision.training.checkpoints import read_checkpoint
from efficientvision.training.early_stopping import EarlyStopping
from efficientvision.training.epoch_progress import EpochLosses, lacks_row
from efficientvision.training.run_log import read_results
from tests.training.toy_run import ToyTask, toy_trainer

METRICS = {2: 0.2, 4: 0.5, 6: 0.3, 8: 0.4}
EVERY = {"evaluate_epochs": True}


class Killed(BaseException):
    """Ends a run as a signal that nobody can catch does, but for the process."""


def _rows(folder):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in read_results(folder)]


def _train(folder, before_batch=lambda step: None, options=EVERY, **more):
    task = ToyTask(METRICS, before_batch)
    trainer = toy_trainer(folder, task, **more)
    if options.get("evaluate_epochs"):
        repair_archive(folder, task.best_metric)
    trainer.run(**options)
    return trainer


def _kill_at(step):
    def before_batch(reached):
        if reached == step:
            raise Killed

    return before_batch


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    folder = tmp_path_factory.mktemp("control")
    _train(folder)
    return folder


def test_a_chain_of_kills_loses_nothing(tmp_path, control, monkeypatch, capsys):
    with pytest.raises(Killed):
        _train(tmp_path, _kill_at(2))
    assert not _rows(tmp_path) and read_checkpoint(tmp_path).step == 2

    # Between the two moves that exchange the archive.
    move, moves = files.move_folder, []

    def move_once(source, target, *, last):
        if len(moves) == 2:
            raise Killed
        moves.append(target)
        move(source, target, last=last)

    monkeypatch.setattr(best_checkpoint.files, "move_folder", move_once)
    with pytest.raises(Killed):
        _train(tmp_path)
    monkeypatch.setattr(best_checkpoint.files, "move_folder", move)
    assert not (tmp_path / "archive").exists()

    # In the last evaluation of all.
    with pytest.raises(Killed):
        _train(tmp_path, _kill_at(8))
    assert len(_rows(tmp_path)) == 3
    assert "The evaluation at step 4 is missing: evaluating now." in capsys.readouterr().out

    trainer = toy_trainer(tmp_path, ToyTask(METRICS))
    assert trainer.lacks(8, **EVERY, evaluate_end=False)
    trainer.run(**EVERY)
    assert not trainer.lacks(8, **EVERY, evaluate_end=False)
    assert _rows(tmp_path) == _rows(control)
    for part in (".", "archive"):
        ours, theirs = read_checkpoint(tmp_path / part), read_checkpoint(control / part)
        assert ours.step == theirs.step == (8 if part == "." else 4)
        assert {k: v.tolist() for k, v in ours.ema.items()} == {
            k: v.tolist() for k, v in theirs.ema.items()
        }
    assert (tmp_path / "best_objective.txt").read_text() == "0.500000\n"


def test_an_evaluation_that_a_signal_ends_is_made_up(tmp_path, control, capsys):
    task = ToyTask(METRICS)
    trainer = toy_trainer(tmp_path, task)

    def interrupt(step):
        os.kill(os.getpid(), signal.SIGTERM)
        while trainer._interruption.signal is None:
            time.sleep(0.01)  # Another thread takes note of it.

    task.before_batch = interrupt
    trainer.run(**EVERY)
    assert trainer.stop_signal == signal.SIGTERM and not _rows(tmp_path)
    assert "at step 2 was cancelled; run the same command to redo it" in capsys.readouterr().out
    _train(tmp_path)
    assert _rows(tmp_path) == _rows(control)


def test_a_row_without_an_evaluation_is_made_up_too(tmp_path, monkeypatch):
    """Killed between the last checkpoint and its row; and the losses are those of the epoch."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    only = {"evaluate_epochs": False}
    _train(whole, options=only, epochs=1, steps=3, save_every=1)
    with monkeypatch.context() as patch:
        patch.setattr("efficientvision.training.run_log.write_table", _raise)
        with pytest.raises(Killed):
            _train(killed, options=only, epochs=1, steps=3, save_every=1)
    assert lacks_row(killed, 3)
    _train(killed, options=only, epochs=1, steps=3, save_every=1)
    assert _rows(killed) == _rows(whole) and "loss" in _rows(killed)[0]


def _raise(*arguments):
    raise Killed


def test_early_stopping_counts_what_is_made_up(tmp_path):
    def stopping():
        return (EarlyStopping("AP", patience=2),)

    with pytest.raises(Killed):
        _train(tmp_path, _kill_at(6), epochs=8, callbacks=stopping())
    trainer = _train(tmp_path, epochs=8, callbacks=stopping())
    assert trainer.state.step == 8
    assert [row["AP"] for row in _rows(tmp_path)] == ["0.2", "0.5", "0.3", "0.4"]


def test_another_mode_evaluates_what_was_only_trained(tmp_path):
    trainer = _train(tmp_path, options={}, epochs=1)
    assert not trainer.lacks(2, evaluate_epochs=False, evaluate_end=False)
    assert trainer.lacks(2, evaluate_epochs=False, evaluate_end=True)
    assert _train(tmp_path, epochs=1).run(**EVERY) == {}
    (row,) = _rows(tmp_path)
    assert row["AP"] == "0.2" and row["loss"]


def test_losses_of_an_epoch_go_with_the_checkpoint():
    losses = EpochLosses()
    assert losses.means() == {}
    losses.add({"loss": 1.0}, 1)
    losses.add({"loss": 4.0, "other": 2.0}, 2)
    losses.add({"loss": float("nan")}, 0)
    again = EpochLosses()
    again.restore(json.loads(json.dumps(losses.snapshot())))
    assert again.means() == {"loss": 3.0, "other": pytest.approx(4 / 3)}
    again.reset()
    assert again.means() == {}
    again.restore({})
    assert again.means() == {}


@pytest.mark.parametrize("content", ["{", "[]", '{"AP": "much"}', '{"AP": NaN}', "\xff", ""])
def test_a_damaged_archive_does_not_end_a_run(tmp_path, content):
    checkpoint = read_checkpoint_of_one(tmp_path)
    assert best_checkpoint.archive_if_best(tmp_path, checkpoint, {"AP": 0.2}, "AP")
    (tmp_path / "archive" / "best_eval.txt").write_bytes(content.encode("latin1"))
    repair_archive(tmp_path, "AP")
    assert not best_checkpoint.archive_if_best(tmp_path, checkpoint, {"AP": 0.1}, "AP")
    (tmp_path / "best_objective.txt").write_bytes(content.encode("latin1"))
    assert best_checkpoint.archive_if_best(tmp_path, checkpoint, {"AP": 0.1}, "AP")


def read_checkpoint_of_one(folder):
    from efficientvision.training.checkpoints import Checkpoint, CheckpointFolder

    CheckpointFolder(folder).save(Checkpoint(weights={"a": [1.0]}, step=1))
    return read_checkpoint(folder)


def test_pointers_follow_the_archive(tmp_path):
    checkpoint = read_checkpoint_of_one(tmp_path)
    best_checkpoint.archive_if_best(tmp_path, checkpoint, {"AP": 0.25}, "AP")
    (tmp_path / "best").unlink()
    (tmp_path / "best_objective.txt").write_text("0.1\n")
    (tmp_path / ".archive.tmp").mkdir()
    repair_archive(tmp_path, "AP")
    assert (tmp_path / "best").read_text() == "archive/ckpt-1.npz\n"
    assert (tmp_path / "best_objective.txt").read_text() == "0.250000\n"
    assert not (tmp_path / ".archive.tmp").exists()


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"step,AP\n2,0.5\nx,y\n2.5,1\n"])
def test_a_damaged_table_of_results_is_said(tmp_path, content, capsys):
    (tmp_path / "results.csv").write_bytes(content)
    assert lacks_row(tmp_path, 4)
    _train(tmp_path, options={}, epochs=1)
    said = capsys.readouterr().out
    if b"," in content:
        assert "2 of 3 rows were damaged and dropped" in said
    else:
        assert (tmp_path / "results.csv.damaged").read_bytes() == content
        assert "results.csv.damaged" in said
    assert [row["step"] for row in _rows(tmp_path)] == ["2"]
