"""A run that is killed and begun again ends with the weights of one that was not, bit for bit."""

import os
import signal
import subprocess

import pytest

from efficientvision.runs import run_setup
from efficientvision.training.checkpoints import read_checkpoint, step_of
from tests.made_records import write_made_records
from tests.programs import error_line, in_a_process, train_program
from tests.training.killed_training import tiny_detector

IMAGES = 8
STEPS = 20
HPARAMS = (
    "image_size=64,min_level=3,max_level=3,num_classes=2,survival_prob=0.8,"
    "moving_average_decay=0.9,learning_rate=0.5,fpn_num_filters="
)


def _flags(records, model_dir, filters):
    return [
        "--mode=train",
        "--model_name=efficientdet-d0",
        f"--model_dir={model_dir}",
        f"--train_file_pattern={records}",
        "--train_batch_size=2",
        f"--num_examples_per_epoch={IMAGES}",
        "--num_epochs=5",
        "--save_checkpoints_steps=5",
        f"--hparams={HPARAMS}{filters}",
    ]


def _train(records, model_dir, point, steps_a_call=100):
    options = [f"--iterations_per_loop={steps_a_call}", "--deterministic"]
    flags = [*_flags(records, model_dir, 8), *options]
    return in_a_process("tests/training/killed_training.py", point, *flags, timeout=None)


def _bytes_by_name(folder):
    checkpoint = read_checkpoint(folder)
    assert checkpoint.step == STEPS
    return {
        f"{group}/{name}": value.tobytes()
        for group in ("weights", "ema", "optimizer")
        for name, value in getattr(checkpoint, group).items()
    }


@pytest.mark.slow
def test_killed_at_any_point_resumes_bit_for_bit(tmp_path):
    records = write_made_records(tmp_path / "made.tfrecord", IMAGES)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = _train(records, whole, "never")
    assert done.code == 0, done.stderr[-2000:]

    # Between two checkpoints; asked to end; inside the writing of one.
    left = None
    for point, steps_a_call, newest in (
        ("trained:7", 1, 5),
        ("interrupted:12", 1, 12),
        ("writing:15", 100, 12),
    ):
        done = _train(records, killed, point, steps_a_call)
        asked = point.startswith("interrupted")
        expected = 128 + signal.SIGTERM if asked else -signal.SIGKILL
        assert done.code == expected, done.stderr[-2000:]
        if asked:
            assert f"interrupted at step 12 of {STEPS}. Run the same command" in done.stdout
            assert f"to resume from {killed / 'ckpt-12.npz'}" in done.stdout
        if left is not None:
            assert f"Resuming from step {left} of {STEPS}" in done.stdout
        left = newest
        files = {path.name for path in killed.iterdir() if "ckpt-" in path.name}
        assert max(step_of(name) for name in files if name.endswith(".npz")) == newest
        assert any(name.startswith(".ckpt-15") for name in files) == point.endswith(":15")
    done = _train(records, killed, "never")
    assert done.code == 0, done.stderr[-2000:]
    assert f"Resuming from step 12 of {STEPS}" in done.stdout
    assert not list(killed.glob(".*"))

    expected, got = _bytes_by_name(whole), _bytes_by_name(killed)
    assert expected.keys() == got.keys()
    assert [name for name in expected if got[name] != expected[name]] == []


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 10 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=10m", "none", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mounting is not permitted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_full_disk_ends_the_run_and_keeps_what_was_written(tmp_path, small_disk, monkeypatch):
    monkeypatch.setattr(run_setup, "build_from_config", tiny_detector)
    records = write_made_records(tmp_path / "made.tfrecord", IMAGES)
    run = small_disk / "run"
    # A checkpoint has about 4 MB: the third one does not fit.
    flags = _flags(records, run, 256)
    line = error_line(train_program(*flags))
    assert f"No space left in {run}: the checkpoint {run / 'ckpt-15.npz'} needs" in line
    assert f"{run / 'ckpt-10.npz'} is intact" in line
    assert not list(run.glob(".*"))
    assert read_checkpoint(run).step == 10

    # What the sentence advises: make room, and the same command goes on.
    (run / "ckpt-5.npz").unlink()
    done = train_program(*flags)
    assert f"Resuming from step 10 of {STEPS}" in done.stdout
    assert f"No space left in {run}: the checkpoint {run / 'ckpt-20.npz'} needs" in done.stderr
    assert read_checkpoint(run).step == 15
