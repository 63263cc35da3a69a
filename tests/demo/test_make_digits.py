"""The digits of scikit-learn as folders of classes."""

import collections

import numpy as np
import pytest
from PIL import Image

from demo.make_digits import write_digits

datasets = pytest.importorskip("sklearn.datasets")


def test_every_digit_stands_in_its_folder(tmp_path):
    assert write_digits(str(tmp_path), 16) == 1797
    data = datasets.load_digits()
    found = collections.Counter(path.parent.name for path in tmp_path.glob("*/*.png"))
    assert found == collections.Counter(map(str, data.target))
    with Image.open(tmp_path / str(data.target[7]) / "0007.png") as image:
        pixels = np.asarray(image, float)
    assert pixels.shape == (16, 16)
    # Averaged back to 8x8 it is nearly the digit that it was made of.
    small = pixels.reshape(8, 2, 8, 2).mean(axis=(1, 3)) * 16 / 255
    assert np.abs(small - data.images[7]).mean() < 1.0
