"""One replica and two logical CPU devices train alike: same losses, weights, averages, slots."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = os.path.join(os.path.dirname(__file__), "replicas.py")


def _compare(repository, norm, size, micro_batches=1):
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    done = subprocess.run(
        [sys.executable, PROGRAM, norm, size, str(micro_batches)],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.strip().splitlines()[-1])
    one, two = result["losses"]
    for first, second in zip(one, two, strict=True):
        for name in first:
            assert second[name] == pytest.approx(first[name], rel=1e-5, abs=1e-5), name
    # The clipping acted, and training moved the weights far beyond the tolerance.
    assert one[0]["gradient_norm"] > 0.5
    assert result["moved"] > 1e-2
    assert max(result["differences"].values()) < 1e-5, result["differences"]


@pytest.mark.parametrize("norm", ["frozen", "synchronized"])
def test_small_detector(repository, norm):
    _compare(repository, norm, "small")


@pytest.mark.parametrize("norm", ["frozen", "synchronized"])
def test_small_ssd(repository, norm):
    """The replicas have different numbers of positive priors, and mine their own negatives."""
    _compare(repository, norm, "ssd")


def test_two_devices_with_two_micro_batches_each(repository):
    _compare(repository, "frozen", "small", micro_batches=2)


@pytest.mark.parametrize("labels", ["classifier", "labels"])
@pytest.mark.parametrize("norm", ["frozen", "synchronized"])
def test_small_classifier(repository, norm, labels):
    """One class an image and several, with the weight decay of all weights."""
    _compare(repository, norm, labels)


@pytest.mark.parametrize("norm", ["frozen", "synchronized"])
def test_small_segmenter(repository, norm):
    """The replicas have different numbers of pixels that count, of different weights."""
    _compare(repository, norm, "masks")


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["frozen", "synchronized"])
def test_d0(repository, norm):
    _compare(repository, norm, "d0")
