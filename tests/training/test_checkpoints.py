"""Checkpoint files: whole or not there, and never silently damaged."""

import json
import pathlib

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.training import checkpoints
from efficientvision.training.best_checkpoint import archive_if_best, best_objective


def _checkpoint(step):
    rng = np.random.default_rng(step)
    weights = {"a/conv/kernel": rng.normal(size=(3, 3)).astype("float32"), "a/wsm": np.float32(2)}
    return checkpoints.Checkpoint(
        weights=weights,
        ema={k: v * 2 for k, v in weights.items()},
        optimizer={"iterations": np.int64(step), "momentum/a/conv/kernel": np.ones((3, 3))},
        step=step,
        meta={"seed": 3, "total_steps": 100},
    )


def test_round_trip(tmp_path):
    folder = checkpoints.CheckpointFolder(tmp_path)
    path = folder.save(_checkpoint(7))
    for source in (path, tmp_path):
        read = checkpoints.read_checkpoint(source)
        assert (read.step, read.meta) == (7, {"seed": 3, "total_steps": 100})
        for group in ("weights", "ema", "optimizer"):
            expected, got = getattr(_checkpoint(7), group), getattr(read, group)
            assert expected.keys() == got.keys()
            for name in expected:
                np.testing.assert_array_equal(got[name], expected[name])
    assert checkpoints.latest_checkpoint(tmp_path) == path
    assert json.loads((tmp_path / "checkpoint.json").read_text())["latest"] == "ckpt-7.npz"


def test_keeps_the_last_few(tmp_path):
    folder = checkpoints.CheckpointFolder(tmp_path, keep=2)
    for step in (9, 10, 100):
        folder.save(_checkpoint(step))
    assert checkpoints.list_checkpoints(tmp_path) == [
        str(tmp_path / name) for name in ("ckpt-10.npz", "ckpt-100.npz")
    ]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_cut_short_newest_gives_way_to_the_one_before(tmp_path, share, capsys):
    folder = checkpoints.CheckpointFolder(tmp_path)
    folder.save(_checkpoint(1))
    newest = pathlib.Path(folder.save(_checkpoint(2)))
    content = newest.read_bytes()
    newest.write_bytes(content[: int(len(content) * share)])
    assert folder.restore().step == 1
    assert str(newest) in capsys.readouterr().out
    with pytest.raises(UserError, match="cut short"):
        checkpoints.read_checkpoint(newest)


def test_flipped_bytes_are_noticed(tmp_path):
    path = pathlib.Path(checkpoints.CheckpointFolder(tmp_path).save(_checkpoint(1)))
    content = bytearray(path.read_bytes())
    place = content.index(_checkpoint(1).weights["a/conv/kernel"].tobytes())
    content[place] ^= 0xFF
    path.write_bytes(content)
    assert not checkpoints.is_whole(path)


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = pathlib.Path(checkpoints.CheckpointFolder(tmp_path).save(_checkpoint(1)))
    before = path.read_bytes()

    def fail(file, **arrays):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        checkpoints.write_checkpoint(path, _checkpoint(1))
    assert path.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"ckpt-1.npz", "checkpoint.json", "last"}


def test_leftovers_of_a_killed_run_are_removed(tmp_path):
    folder = checkpoints.CheckpointFolder(tmp_path)
    folder.save(_checkpoint(1))
    (tmp_path / ".ckpt-2.npz.tmp").write_bytes(b"half")
    assert folder.restore().step == 1
    assert not list(tmp_path.glob(".*.tmp"))


def test_missing_checkpoint_is_said(tmp_path):
    assert checkpoints.latest_checkpoint(tmp_path / "none") is None
    with pytest.raises(UserError, match="does not exist"):
        checkpoints.read_checkpoint(tmp_path / "ckpt-1.npz")


def test_archive_holds_the_best(tmp_path):
    (tmp_path / "labels.json").write_text("{}")
    for step, ap, expected in ((1, 0.2, 1), (2, 0.5, 2), (3, 0.4, 2)):
        best = archive_if_best(tmp_path, _checkpoint(step), {"AP": ap, "AP50": 1.0}, "AP")
        assert best == (expected == step)
        assert checkpoints.read_checkpoint(tmp_path / "archive").step == expected
    assert best_objective(tmp_path) == 0.5
    assert json.loads((tmp_path / "archive" / "best_eval.txt").read_text())["AP"] == 0.5
    assert checkpoints.read_checkpoint(tmp_path / "backup").step == 1
    assert (tmp_path / "archive" / "labels.json").is_file()
    assert not checkpoints.read_checkpoint(tmp_path / "archive").optimizer
