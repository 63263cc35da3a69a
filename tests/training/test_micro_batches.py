"""Gradient accumulation agrees with the large batch where batch norm does not see its parts."""

import numpy as np
import pytest

from efficientvision.runs import run_setup
from efficientvision.training.checkpoints import read_checkpoint
from tests.made_records import write_made_records
from tests.programs import error_line, train_program
from tests.training.replicas import small_detector
from tests.training.small_training import begun

FROZEN = {"is_training_bn": False}


def _largest_difference(one, two):
    assert one.keys() == two.keys()
    return max(float(np.abs(two[name] - value).max()) for name, value in one.items())


@pytest.mark.parametrize("parts", [2, 4])
def test_equals_the_large_batch(parts):
    """The parts have different numbers of boxes: one normaliser is for all.

    With SGD: Adam's quotient makes a whole step of a gradient that is a rounding error.
    """
    whole = begun(FROZEN, optimizer="sgd")
    start = whole.values()
    losses = whole.train([0, 1, 2, 3, 4])
    cut = begun(FROZEN, optimizer="sgd", micro_batches=parts)
    cut_losses = cut.train([0, 1, 2, 3, 4])
    for name, value in losses.items():
        assert cut_losses[name] == pytest.approx(value, rel=1e-5), name
    assert _largest_difference(whole.values(), cut.values()) < 1e-6
    assert _largest_difference(whole.values(), start) > 1e-2
    assert cut.step.traces == 1


def test_moving_statistics_follow_every_micro_batch():
    """Two parts of equal images: the statistics move twice, by the same batch statistics."""
    cut = begun(kind="loss", micro_batches=2)
    before = cut.state.model.get_layer("bn").moving_mean.numpy()
    cut.train([0])
    batch_means = []
    for half in range(2):
        alone = begun(kind="loss")
        alone.train_images(slice(2 * half, 2 * half + 2))
        moved = alone.state.model.get_layer("bn").moving_mean.numpy()
        batch_means.append((moved - 0.9 * before) / 0.1)
    expected = 0.9 * (0.9 * before + 0.1 * batch_means[0]) + 0.1 * batch_means[1]
    found = cut.state.model.get_layer("bn").moving_mean.numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def _train(records, model_dir, parts):
    hparams = (
        "num_classes=2,image_size=64,min_level=3,max_level=3,"
        "is_training_bn=false,moving_average_decay=0.9,lr_warmup_epoch=0,"
        f"gradient_accumulation={parts}"
    )
    return train_program(
        "--model_name=efficientdet-d0",
        f"--model_dir={model_dir}",
        f"--train_file_pattern={records}",
        "--train_batch_size=4",
        "--num_examples_per_epoch=20",
        "--num_epochs=1",
        "--preflight=false",
        f"--hparams={hparams}",
    )


def test_batches_that_cannot_be_cut_are_refused(tmp_path):
    records = write_made_records(tmp_path / "made-00000-of-00001.tfrecord", 8)
    line = error_line(_train(records, tmp_path / "3", 3))
    assert "--train_batch_size=4 must be a multiple of 3" in line


@pytest.mark.slow
def test_main_trains_alike_in_two_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(run_setup, "build_from_config", small_detector)
    records = write_made_records(tmp_path / "made-00000-of-00001.tfrecord", 8)
    for parts in (1, 2):
        done = _train(records, tmp_path / str(parts), parts)
        assert done.code == 0, done.stderr[-3000:]
    one, two = (read_checkpoint(tmp_path / str(parts)) for parts in (1, 2))
    assert one.step == two.step == 5
    for group in ("weights", "ema", "optimizer"):
        assert _largest_difference(getattr(one, group), getattr(two, group)) < 1e-5, group
    assert max(np.abs(v).max() for k, v in one.optimizer.items() if "momentum" in k) > 1e-4
