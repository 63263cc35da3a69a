"""`main.py --mode=eval` beside a training: it waits, follows, and ends."""

import json
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from efficientvision.runs import evaluate
from efficientvision.training.checkpoints import (
    Checkpoint,
    CheckpointFolder,
    has_ended,
    list_checkpoints,
)
from tests.made_records import write_made_records
from tests.programs import train_program
from tests.trained_runs import eagerly

IMAGES = 8


def _save(folder, step):
    return CheckpointFolder(folder).save(Checkpoint({"w": np.zeros(3, np.float32)}, step=step))


class Clock:
    """A clock that moves only when somebody sleeps; at given times something happens."""

    def __init__(self, events=()):
        self.now = 0.0
        self._events = dict(events)

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        for moment in [m for m in self._events if m <= self.now]:
            self._events.pop(moment)()


def test_waits_for_a_newer_checkpoint_and_says_for_what(tmp_path, monkeypatch, capsys):
    first = _save(tmp_path, 5)
    monkeypatch.setattr(evaluate, "time", Clock({1500: lambda: _save(tmp_path, 10)}))
    newest = evaluate.wait_for_checkpoint(str(tmp_path), first, None, 20)
    assert newest == str(tmp_path / "ckpt-10.npz")
    lines = capsys.readouterr().out.splitlines()
    assert f"Waiting for a checkpoint in {tmp_path} after step 5 of 20" in lines[0]
    assert "`eval_timeout=SECONDS`" in lines[0]
    assert [re.search(r"after (\d+) minutes", line)[1] for line in lines[1:]] == ["10", "20"]


def test_waiting_ends_by_the_timeout(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluate, "time", clock := Clock())
    assert evaluate.wait_for_checkpoint(str(tmp_path), None, 30) is None
    assert clock.now == pytest.approx(30, abs=1)
    out = capsys.readouterr().out
    assert f"the first checkpoint in {tmp_path}" in out
    assert "No new checkpoint within 30 s" in out


def test_waiting_ends_when_the_training_ended_early(tmp_path, monkeypatch, capsys):
    first = _save(tmp_path, 5)
    ended = CheckpointFolder(tmp_path).mark_ended
    monkeypatch.setattr(evaluate, "time", Clock({7: ended}))
    assert evaluate.wait_for_checkpoint(str(tmp_path), first, None, 20) is None
    assert "stopped early" in capsys.readouterr().out
    # A run that goes on takes it back.
    _save(tmp_path, 6)
    assert not has_ended(tmp_path)


def test_a_half_written_newest_checkpoint_is_not_taken(tmp_path, monkeypatch):
    first = _save(tmp_path, 5)
    (tmp_path / "ckpt-10.npz").write_bytes(b"half")
    monkeypatch.setattr(evaluate, "time", Clock())
    assert evaluate.wait_for_checkpoint(str(tmp_path), first, 5, 20) is None


@pytest.mark.parametrize(
    ("names", "timeout", "waits"),
    [
        (None, None, False),  # It is rather a slip of the pen.
        (None, 60.0, True),
        ((), None, False),
        ((), 60.0, True),
        (("run.lock",), None, True),  # A training has just begun.
        (("config.yaml",), None, True),
        (("config.yaml", "ckpt-5.npz"), 60.0, False),
        (("run.lock", "model.ckpt-5.index"), 60.0, False),
        (("weights.h5",), 60.0, False),
        (("notes.txt",), 60.0, False),
    ],
)
def test_a_folder_is_waited_for_where_a_training_will_write(tmp_path, names, timeout, waits):
    folder = tmp_path / "run"
    if names is not None:
        folder.mkdir()
        for name in names:
            (folder / name).touch()
    assert evaluate.is_awaited(str(folder), timeout) == waits
    (tmp_path / "published.pth").touch()
    assert not evaluate.is_awaited(str(tmp_path / "published.pth"), timeout)


def _command(mode, records, run, *more):
    hparams = "image_size=64,fpn_cell_repeats=1,box_class_repeats=1,num_classes=2"
    return [
        sys.executable,
        "main.py",
        f"--mode={mode}",
        "--model_name=efficientdet-d0",
        f"--model_dir={run}",
        f"--train_file_pattern={records}",
        f"--val_file_pattern={records}",
        "--train_batch_size=2",
        f"--num_examples_per_epoch={IMAGES}",
        f"--hparams={hparams}",
        *more,
    ]


@pytest.mark.slow
@pytest.mark.published_depth
def test_follows_a_training_to_its_last_step(repository, tmp_path):
    records = write_made_records(tmp_path / "made.tfrecord", IMAGES)
    run = tmp_path / "run"
    steps = 60
    training = subprocess.Popen(
        _command(
            "train", records, run, "--num_epochs=15", "--save_checkpoints_steps=4",
            "--preflight=false",
        ),
        cwd=repository, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    # Begun before there is a folder: with a time limit it waits for that too.
    following = subprocess.Popen(
        _command("eval", records, run, "--min_eval_interval=0", "--eval_timeout=300"),
        cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        while not list_checkpoints(run) and training.poll() is None:
            time.sleep(0.01)
        # The training stands still until an earlier checkpoint than its last is evaluated.
        training.send_signal(signal.SIGSTOP)
        lines = []
        for line in following.stdout:
            lines.append(line)
            if "after step" in line:
                break
        training.send_signal(signal.SIGCONT)
        rest, errors = following.communicate(timeout=300)
        assert training.wait(timeout=300) == 0
    finally:
        training.kill()
        following.kill()
    assert following.returncode == 0, errors[-2000:]
    out = "".join(lines) + rest
    assert f"Waiting for the first checkpoint in {run}" in out
    evaluated = [int(step) for step in re.findall(rf"^Step (\d+) of {steps} ", out, re.M)]
    assert len(evaluated) >= 2
    assert evaluated == sorted(set(evaluated))
    assert evaluated[-1] == steps
    assert json.loads((run / "archive" / "best_eval.txt").read_text())["images"] == IMAGES

    # Fewer images say nothing about the best of all of them.
    best = (run / "archive" / "best_eval.txt").read_text()
    with eagerly():
        done = train_program(*_command("eval", records, run, "--eval_samples=3")[2:])
    assert done.code == 0, done.stderr[-2000:]
    assert "on 3 images does not compare" in done.stdout
    assert (run / "archive" / "best_eval.txt").read_text() == best
