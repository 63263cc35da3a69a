"""`main.py` on a few made pictures: train, kill, go on, evaluate, bad input."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from efficientvision.api import build_model
from efficientvision.training.checkpoints import list_checkpoints, read_checkpoint
from efficientvision.training.run_log import read_results
from efficientvision.weights.names import published_variables
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint
from tests.made_records import write_made_records

IMAGES = 8
SMALL = "image_size=64,fpn_cell_repeats=1,box_class_repeats=1"
HPARAMS = f"{SMALL},num_classes=2,bn_momentum=0.9,moving_average_decay=0.9"


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    (folder / "labels.json").write_text(json.dumps({"1": "dark", "2": "light"}))
    return write_made_records(folder / "made-00000-of-00001.tfrecord", IMAGES)


def _command(mode, records, model_dir, *more):
    return [
        sys.executable,
        "main.py",
        f"--mode={mode}",
        "--model_name=efficientdet-d0",
        f"--model_dir={model_dir}",
        f"--train_file_pattern={records}",
        f"--val_file_pattern={records}",
        "--train_batch_size=2",
        "--eval_batch_size=3",
        f"--num_examples_per_epoch={IMAGES}",
        *([] if any(m.startswith("--hparams") for m in more) else [f"--hparams={HPARAMS}"]),
        *more,
    ]


def _run(repository, *command):
    done = subprocess.run(
        _command(*command), cwd=repository, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def _assert_sentence(result, *words):
    """Exit code 1, one `error:` line with the words, no traceback."""
    code, _, stderr = result
    assert code == 1, stderr[-2000:]
    assert "Traceback" not in stderr
    (line,) = [text for text in stderr.splitlines() if text.startswith("error:")]
    for word in words:
        assert str(word) in line


@pytest.mark.slow
def test_killed_run_goes_on_and_ends_as_if_it_had_not_been(repository, records, tmp_path):
    options = ("--num_epochs=5", "--save_checkpoints_steps=3", "--deterministic")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    code, stdout, stderr = _run(repository, "train", records, whole, *options)
    assert code == 0, stderr[-2000:]
    assert "20 steps" in stdout

    process = subprocess.Popen(
        _command("train", records, killed, *options),
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

    code, stdout, stderr = _run(repository, "train", records, killed, *options)
    assert code == 0, stderr[-2000:]
    assert f"Going on from step {newest} of 20" in stdout
    first, second = read_checkpoint(whole), read_checkpoint(killed)
    assert first.step == second.step == 20
    for group in ("weights", "ema", "optimizer"):
        one, two = getattr(first, group), getattr(second, group)
        assert one.keys() == two.keys()
        for name, value in one.items():
            np.testing.assert_array_equal(two[name], value, err_msg=name)
    assert [row["step"] for row in read_results(killed)] == ["4", "8", "12", "16", "20"]

    code, stdout, stderr = _run(repository, "train", records, killed, *options)
    assert code == 0
    assert "finished" in stdout


@pytest.mark.slow
def test_train_and_eval_then_eval(repository, records, tmp_path):
    run = tmp_path / "run"
    code, stdout, stderr = _run(
        repository, "train_and_eval", records, run, "--num_epochs=2", "--eval_samples=7"
    )
    assert code == 0, stderr[-2000:]
    assert "Learning rate: learning_rate=0.08 is for batches of 64; at 2 it is 0.0025" in stdout
    assert {
        *("config.yaml", "labels.json", "command.txt", "results.csv", "losses.csv", "report.html"),
        *("per_class.csv", "confusion_matrix.csv", "train_batch.jpg", "val_predictions.jpg"),
        *("archive", "train", "eval", "last", "best"),
    } <= {path.name for path in run.iterdir()}
    assert json.loads((run / "labels.json").read_text()) == {"1": "dark", "2": "light"}
    rows = read_results(run)
    assert [(row["step"], row["epoch"]) for row in rows] == [("4", "1"), ("8", "2")]
    best = max(float(row["AP"]) for row in rows)
    assert float((run / "best_objective.txt").read_text()) == pytest.approx(best, abs=1e-6)
    assert "AP_/dark" in json.loads((run / "archive" / "best_eval.txt").read_text())

    code, stdout, stderr = _run(repository, "eval", records, run)
    assert code == 0, stderr[-2000:]
    assert "Step 8 of 8" in stdout
    assert "light" in stdout
    assert f"Report: {run}" in stdout and (run / "evaluations.csv").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("fpn_name", ["bifpn", "vfpn"])
def test_published_checkpoint_is_evaluated_and_trained_from(
    repository, records, tmp_path, fpn_name
):
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
    hparams = f"--hparams={SMALL}"
    code, stdout, stderr = _run(repository, "eval", records, published, hparams)
    assert code == 0, stderr[-2000:]
    assert f"fpn_name={fpn_name}" in stdout
    assert "AP50" in stdout

    run = tmp_path / "run"
    options = (f"--ckpt={published}", "--num_epochs=1", f"--hparams={SMALL},num_classes=2")
    code, stdout, stderr = _run(repository, "train", records, run, *options)
    assert code == 0, stderr[-2000:]
    assert f"fpn_name={fpn_name}" in stdout
    assert read_checkpoint(run).step == 4
    _assert_sentence(
        _run(repository, "train", records, tmp_path / "b", *options, "--backbone_ckpt=x"),
        "--backbone_ckpt",
    )


def test_bad_flags_are_told_in_a_sentence(repository, records, tmp_path):
    nowhere = tmp_path / "nowhere*.tfrecord"
    _assert_sentence(_run(repository, "train", nowhere, tmp_path / "run"), nowhere)
    _assert_sentence(_run(repository, "trian", records, tmp_path / "run"), "trian", "train")
    assert not (tmp_path / "run").exists()


def test_too_few_classes_are_told_with_both_numbers(repository, records, tmp_path):
    hparams = f"--hparams={SMALL},num_classes=1"
    result = _run(repository, "train", records, tmp_path / "run", hparams)
    _assert_sentence(result, "num_classes=1", "num_classes=2")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_cut_photo_is_named(repository, tmp_path):
    damaged = write_made_records(tmp_path / "made-00000-of-00001.tfrecord", IMAGES, cut=5)
    result = _run(repository, "train", damaged, tmp_path / "run", "--num_epochs=3")
    _assert_sentence(result, "record 5", damaged, "truncated")


@pytest.mark.slow
def test_infinite_loss_stops(repository, records, tmp_path):
    hparams = f"--hparams={HPARAMS},learning_rate=1e30,clip_gradients_norm=0,lr_warmup_epoch=0"
    result = _run(repository, "train", records, tmp_path / "run", hparams, "--num_epochs=5")
    _assert_sentence(result, "not finite", "learning rate")
    assert os.listdir(tmp_path / "run")


@pytest.mark.slow
def test_early_stopping_ends_the_run_and_its_continuation(repository, records, tmp_path):
    # No evaluation can be better than the first by more than 1.
    stop = "early_stopping_patience=2,early_stopping_min_delta=1"
    run = tmp_path / "run"
    options = ("--num_epochs=9", f"--hparams={HPARAMS},{stop}", "--eval_samples=3")
    for _ in range(2):
        code, stdout, stderr = _run(repository, "train_and_eval", records, run, *options)
        assert code == 0, stderr[-2000:]
        assert "Training ends at step 12: AP has not risen" in stdout + stderr
        assert "best checkpoint" in stdout
        assert [row["step"] for row in read_results(run)] == ["4", "8", "12"]
    result = _run(repository, "train", records, tmp_path / "other", *options)
    _assert_sentence(result, "early_stopping_patience=2", "--mode=train_and_eval")
