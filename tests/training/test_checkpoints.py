"""Checkpoint files: whole or not there, and never silently damaged."""

import errno
import json
import os
import pathlib
import re

import numpy as np
import pytest

from efficientvision import files
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


def _no_space(file, **arrays):
    file.write(bytes(100))
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_full_disk_is_told_and_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    folder = checkpoints.CheckpointFolder(tmp_path, keep=1)
    kept = folder.save(_checkpoint(1))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    room = files.free_bytes(tmp_path)
    monkeypatch.setattr(files, "free_bytes", lambda folder: room)
    monkeypatch.setattr(np, "savez", _no_space)
    with pytest.raises(UserError) as caught:
        folder.save(_checkpoint(2))
    message = str(caught.value)
    needed = os.path.getsize(kept)
    assert f"No space left in {tmp_path}: the checkpoint {tmp_path / 'ckpt-2.npz'}" in message
    assert f"{room:,} are free" in message
    (said,) = re.findall(r"needs ([\d,]+) bytes", message)
    assert int(said.replace(",", "")) == pytest.approx(needed, rel=0.01)
    assert f"{kept} is intact" in message
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_full_disk_leaves_the_archive_before(tmp_path, monkeypatch):
    assert archive_if_best(tmp_path, _checkpoint(1), {"AP": 0.2}, "AP")
    monkeypatch.setattr(np, "savez", _no_space)
    with pytest.raises(UserError, match="No space left.*best checkpoint"):
        archive_if_best(tmp_path, _checkpoint(2), {"AP": 0.5}, "AP")
    assert checkpoints.read_checkpoint(tmp_path / "archive").step == 1
    assert best_objective(tmp_path) == 0.2
    assert not list(tmp_path.glob(".*"))


def test_damaged_later_file_does_not_push_out_what_is_written(tmp_path):
    """The first checkpoint after a damaged newest one has a smaller step than that."""
    folder = checkpoints.CheckpointFolder(tmp_path, keep=1)
    damaged = pathlib.Path(folder.save(_checkpoint(20)))
    damaged.write_bytes(b"cut")
    folder.save(_checkpoint(15))
    assert folder.restore().step == 15
    folder.save(_checkpoint(16))
    assert folder.restore().step == 16
    folder.save(_checkpoint(20))
    assert checkpoints.list_checkpoints(tmp_path) == [str(damaged)]


def test_a_run_whose_checkpoints_are_all_damaged_is_not_begun_anew(tmp_path):
    folder = checkpoints.CheckpointFolder(tmp_path)
    pathlib.Path(folder.save(_checkpoint(1))).write_bytes(b"cut")
    with pytest.raises(UserError, match="no readable checkpoint"):
        folder.restore()


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


def test_only_evaluations_of_as_many_images_are_compared(tmp_path, capsys):
    def archive(step, ap, images):
        return archive_if_best(tmp_path, _checkpoint(step), {"AP": ap}, "AP", images=images)

    assert archive(1, 0.2, 87)
    assert not archive(2, 0.9, 5)
    said = capsys.readouterr().out
    assert "AP 90.0 on 5 images" in said
    assert "AP 20.0 on 87 images" in said
    assert "which is kept" in said
    assert archive(3, 0.3, 87)
    assert not archive(4, 0.25, 87)
    assert not capsys.readouterr().out
    assert archive(5, 0.1, 100)
    assert "replaced by this fuller evaluation" in capsys.readouterr().out
    best = json.loads((tmp_path / "archive" / "best_eval.txt").read_text())
    assert best == {"step": 5, "images": 100, "AP": 0.1}
    assert best_objective(tmp_path) == 0.1


@pytest.mark.parametrize("moves", range(3))
def test_archive_is_put_right_after_a_kill(tmp_path, monkeypatch, moves):
    """Killed before, between and after the two moves that exchange the archive."""
    assert archive_if_best(tmp_path, _checkpoint(1), {"AP": 0.2}, "AP")
    move_folder, left = files.move_folder, iter([True] * moves)

    def move_or_die(source, target, *, last):
        if not next(left, False):
            raise KeyboardInterrupt
        move_folder(source, target, last=last)

    monkeypatch.setattr(files, "move_folder", move_or_die)
    if moves < 2:
        with pytest.raises(KeyboardInterrupt):
            archive_if_best(tmp_path, _checkpoint(2), {"AP": 0.5}, "AP")
    else:
        assert archive_if_best(tmp_path, _checkpoint(2), {"AP": 0.5}, "AP")
    monkeypatch.setattr(files, "move_folder", move_folder)
    assert not archive_if_best(tmp_path, _checkpoint(3), {"AP": 0.4}, "AP")
    assert checkpoints.read_checkpoint(tmp_path / "archive").step == 2
    assert checkpoints.read_checkpoint(tmp_path / "backup").step == 1


def test_side_files_travel_with_the_best_checkpoint(tmp_path):
    def archive(step, ap, files):
        return archive_if_best(
            tmp_path, _checkpoint(step), {"AP": ap}, "AP", side_files=lambda: files
        )

    assert archive(1, 0.2, {"thresholds.json": "first"})
    assert not archive(2, 0.1, {"thresholds.json": "worse"})
    assert (tmp_path / "archive" / "thresholds.json").read_text() == "first"
    assert archive(3, 0.3, {})
    assert not (tmp_path / "archive" / "thresholds.json").exists()
    assert (tmp_path / "backup" / "thresholds.json").read_text() == "first"
