"""`RUN/last` and `RUN/best` as paths of checkpoints."""

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.loading import run_folder_of
from efficientvision.training.best_checkpoint import archive_if_best
from efficientvision.training.checkpoints import Checkpoint, CheckpointFolder
from efficientvision.weights.checkpoint_reader import find_checkpoint, open_checkpoint


def _checkpoint(step):
    return Checkpoint(weights={"d0/box_net/bias": np.full(3, float(step), np.float32)}, step=step)


@pytest.fixture
def run(tmp_path):
    """Steps 1, 2 and 3; 2 was the best."""
    folder = CheckpointFolder(tmp_path / "run")
    for step, ap in ((1, 0.1), (2, 0.3), (3, 0.2)):
        folder.save(_checkpoint(step))
        archive_if_best(tmp_path / "run", _checkpoint(step), {"AP": ap}, "AP")
    return tmp_path / "run"


def _value(path):
    reader = open_checkpoint(path)
    (name,) = reader.names()
    return float(reader.read(name)[0])


def test_last_and_best_are_checkpoints(run):
    assert (run / "last").read_text() == "ckpt-3.npz\n"
    assert (run / "best").read_text() == "archive/ckpt-2.npz\n"
    assert _value(run / "last") == 3 and _value(run / "best") == 2
    assert run_folder_of(run / "best") == run_folder_of(run / "last") == str(run)


def test_inside_the_folder_too(run, monkeypatch):
    monkeypatch.chdir(run)
    assert _value("last") == 3 and _value("best") == 2


def test_a_damaged_newest_checkpoint_is_passed_over(run):
    content = (run / "ckpt-3.npz").read_bytes()
    (run / "ckpt-3.npz").write_bytes(content[: len(content) // 2])
    assert _value(run / "last") == 2


def test_runs_from_before_these_files_have_them_too(run):
    (run / "last").unlink()
    (run / "best").unlink()
    assert _value(run / "last") == 3 and _value(run / "best") == 2


def test_a_folder_or_a_file_of_that_name_is_itself(tmp_path, run):
    other = CheckpointFolder(run / "best of all" / "best")
    other.save(_checkpoint(9))
    assert _value(run / "best of all" / "best") == 9
    (tmp_path / "last").write_text("nothing of ours")
    with pytest.raises(UserError, match="not a checkpoint"):
        find_checkpoint(tmp_path / "last")
    with pytest.raises(UserError, match="no checkpoint"):
        find_checkpoint(tmp_path / "best")
