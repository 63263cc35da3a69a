"""Pixels of classes over records, and the weights that they give."""

import json
import math
import pathlib

import numpy as np
import pytest

from efficientvision.data.class_pixels import balanced_weights, count_class_pixels, mask_pixels
from efficientvision.errors import UserError
from tests.made_class_records import made_class_record, write_class_records
from tests.made_mask_records import picture, write_records

GOLDENS = pathlib.Path(__file__).resolve().parents[1] / "goldens" / "edgenets"
SIZES = ((40, 56), (24, 30))


@pytest.fixture
def pattern(tmp_path):
    """Five records in one file, two in another."""
    write_records(tmp_path / "a.tfrecord", 5, SIZES)
    write_records(tmp_path / "b.tfrecord", 2, SIZES)
    return str(tmp_path / "*.tfrecord")


def pixels_of(*numbers):
    masks = [picture(k, SIZES[k % 2])[1].reshape(-1) for k in numbers]
    return np.bincount(np.concatenate(masks), minlength=256)


def test_all_pixels_are_counted(pattern):
    np.testing.assert_array_equal(count_class_pixels(pattern), pixels_of(*range(5), 0, 1))


def test_the_first_of_each_file(pattern):
    (batch,) = mask_pixels(pattern, each=2)
    assert batch["file"].tolist() == [0, 0, 1, 1]
    assert batch["mask_hw"].tolist() == [[40, 56], [24, 30]] * 2
    for row, number in zip(batch["pixels"], (0, 1, 0, 1), strict=True):
        np.testing.assert_array_equal(row, pixels_of(number))


def test_a_record_without_a_mask(tmp_path):
    path = write_class_records(tmp_path / "a.tfrecord", [made_class_record(0)])
    with pytest.raises(UserError, match="record 0 of .* has no mask"):
        count_class_pixels(path)


def test_weights_of_cityscapes():
    """The shares of which EdgeNets' weights are made, and what they leave over is ignored."""
    facts = json.loads((GOLDENS / "dataset_facts.json").read_text())
    published = facts["class_weights"]["city"]
    shares = [math.exp(1 / weight) - 1.10 if weight else 0 for weight in published]
    assert 0.85 < sum(shares) < 0.9 and min(shares) >= 0
    pixels = np.zeros(256)
    pixels[: len(shares)] = shares
    pixels[255] = 1 - sum(shares)
    weights = balanced_weights(np.round(1e12 * pixels).astype(np.int64), 20)
    np.testing.assert_allclose(weights, published, rtol=1e-6)
