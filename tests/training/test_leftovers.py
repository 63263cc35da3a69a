"""Hidden temporary files of killed runs go; those of a live evaluation stay."""

import os
import subprocess

from efficientvision.training.leftovers import remove_leftovers


def _dead_process():
    done = subprocess.Popen(["true"])
    done.wait()
    return done.pid


def test_leftovers_of_every_kind(tmp_path):
    dead = _dead_process()
    for name in ("report.html", "losses.csv", "config.yaml", "run.json", "results.csv", "best"):
        (tmp_path / f".{name}.{dead}.17.tmp").touch()
    (tmp_path / f".curves.png.{os.getpid()}.17.tmp").touch()
    (tmp_path / ".ckpt-7.npz.tmp").touch()
    (tmp_path / ".last.1.17.tmp").touch()
    kept = {
        f".evaluation.json.{os.getppid()}.17.tmp",
        ".hidden",
        "x.1.2.tmp",
        ".tmp",
        "labels.json",
    }
    for name in kept:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept
    remove_leftovers(tmp_path / "not there")
