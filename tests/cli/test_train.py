"""`main.py` trains: killed and gone on, from a published detector, on a cut photo, too fast."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from efficientvision.api import build_model
from efficientvision.report import observer
from efficientvision.training.checkpoints import list_checkpoints, read_checkpoint
from efficientvision.training.run_log import read_results
from efficientvision.weights.names import published_variables
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint
from tests.made_records import write_made_records
from tests.programs import error_line, in_a_process, train_program
from tests.trained_runs import CASES, data_folder, eagerly

pytestmark = pytest.mark.slow

IMAGES = 8
SMALL = "image_size=64,fpn_cell_repeats=1,box_class_repeats=1"
HPARAMS = f"{SMALL},num_classes=2,bn_momentum=0.9,moving_average_decay=0.9"


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    return write_made_records(folder / "made-00000-of-00001.tfrecord", IMAGES)


def _flags(mode, records, model_dir, *more):
    """A command line; a later flag takes the place of an earlier one."""
    return [
        f"--mode={mode}",
        "--model_name=efficientdet-d0",
        f"--model_dir={model_dir}",
        f"--train_file_pattern={records}",
        f"--val_file_pattern={records}",
        "--train_batch_size=2",
        "--eval_batch_size=3",
        f"--num_examples_per_epoch={IMAGES}",
        f"--hparams={HPARAMS}",
        *more,
    ]


def _run(*arguments):
    with eagerly():
        return train_program(*_flags(*arguments))


def _printed(done):
    assert done.code == 0, done.stderr[-2000:]
    return done.stdout


def test_killed_run_goes_on_and_ends_as_if_it_had_not_been(repository, tmp_path):
    """A classifier, which starts soonest; `tests/training/test_resume.py` kills detectors."""
    options = (
        "--mode=train",
        *CASES["classification"].flags,
        f"--data_dir={data_folder('classification')}",
        "--train_batch_size=2",
        "--num_epochs=10",
        "--save_checkpoints_steps=3",
        f"--hparams={CASES['classification'].hparams},moving_average_decay=0.9",
        "--deterministic",
    )
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = in_a_process("main.py", *options, f"--model_dir={whole}")
    assert done.code == 0, done.stderr[-2000:]
    assert "20 steps" in done.stdout

    process = subprocess.Popen(
        [sys.executable, "main.py", *options, f"--model_dir={killed}"],
        cwd=repository,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not list_checkpoints(killed) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    newest = read_checkpoint(killed).step
    assert 3 <= newest < 20

    done = in_a_process("main.py", *options, f"--model_dir={killed}")
    assert done.code == 0, done.stderr[-2000:]
    assert f"Resuming from step {newest} of 20" in done.stdout
    first, second = read_checkpoint(whole), read_checkpoint(killed)
    assert first.step == second.step == 20
    for group in ("weights", "ema", "optimizer"):
        one, two = getattr(first, group), getattr(second, group)
        assert one.keys() == two.keys()
        for name, value in one.items():
            np.testing.assert_array_equal(two[name], value, err_msg=name)
    assert [row["step"] for row in read_results(killed)] == [str(step) for step in range(2, 21, 2)]


@pytest.mark.parametrize("fpn_name", ["bifpn", "vfpn"])
def test_published_checkpoint_is_evaluated_and_trained_from(records, tmp_path, fpn_name):
    published = tmp_path / "published"
    published.mkdir()
    model = build_model(
        "efficientdet-d0",
        fpn_name=fpn_name,
        num_classes=5,
        image_size=64,
        fpn_cell_repeats=1,
        box_class_repeats=1,
    )
    values = {name: v.numpy() for name, v in published_variables(model).items()}
    write_tf1_checkpoint(str(published / "model"), values)
    printed = _printed(_run("eval", records, published, f"--hparams={SMALL}"))
    assert f"fpn_name={fpn_name}" in printed
    assert "AP50" in printed

    run = tmp_path / "run"
    options = (f"--ckpt={published}", "--num_epochs=1", f"--hparams={SMALL},num_classes=2")
    assert f"fpn_name={fpn_name}" in _printed(_run("train", records, run, *options))
    assert read_checkpoint(run).step == 4


def test_cut_photo_is_named(tmp_path):
    damaged = write_made_records(tmp_path / "made-00000-of-00001.tfrecord", IMAGES, cut=5)
    line = error_line(_run("train", damaged, tmp_path / "run", "--num_epochs=3"))
    assert all(words in line for words in ("record 5", str(damaged), "truncated"))


def test_infinite_loss_stops(records, tmp_path):
    hparams = f"--hparams={HPARAMS},learning_rate=1e30,clip_gradients_norm=0,lr_warmup_epoch=0"
    line = error_line(_run("train", records, tmp_path / "run", hparams, "--num_epochs=5"))
    assert "not finite" in line and "learning rate" in line
    assert os.listdir(tmp_path / "run")


def test_early_stopping_ends_the_run_and_its_continuation(records, tmp_path, monkeypatch):
    monkeypatch.setattr(observer, "build_report", str)
    # No evaluation can be better than the first by more than 1.
    stop = "early_stopping_patience=2,early_stopping_min_delta=1"
    run = tmp_path / "run"
    options = ("--num_epochs=9", f"--hparams={HPARAMS},{stop}", "--eval_samples=3")
    for _ in range(2):
        done = _run("train_and_eval", records, run, *options)
        printed = _printed(done)
        assert "Training ends at step 12: AP has not improved" in printed + done.stderr
        assert "best checkpoint" in printed
        assert [row["step"] for row in read_results(run)] == ["4", "8", "12"]
