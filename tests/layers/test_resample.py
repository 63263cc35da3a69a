"""Resampling between pyramid levels."""

import numpy as np
import pytest

from efficientvision.layers.resample import Resample, resize_nearest


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "size, target, rows",
    [
        (3, 5, [0, 0, 1, 1, 2]),
        (2, 4, [0, 0, 1, 1]),
        (5, 10, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]),
        (2, 3, [0, 0, 1]),
    ],
)
def test_nearest_takes_the_floor(size, target, rows, training):
    image = np.arange(size * size, dtype=np.float32).reshape(1, size, size, 1)
    outputs = np.asarray(resize_nearest(image, (target, target), training))
    np.testing.assert_array_equal(outputs[0, :, :, 0], image[0, rows][:, rows, 0])


def test_pools_the_maximum():
    image = np.random.default_rng(0).normal(size=(1, 5, 5, 2)).astype(np.float32)
    outputs = np.asarray(Resample(2, (3, 3))(image))
    # SAME padding of 3x3 windows with stride 2 on 5 rows: windows centred on rows 0, 2 and 4.
    padded = np.pad(image, [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=-np.inf)
    for row in range(3):
        for column in range(3):
            window = padded[0, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            np.testing.assert_array_equal(outputs[0, row, column], window.max((0, 1)))


def test_channels_change_only_where_they_differ():
    same, other = Resample(4, (8, 8), name="a"), Resample(6, (8, 8), name="b")
    image = np.zeros((1, 8, 8, 4), np.float32)
    assert same(image).shape == (1, 8, 8, 4)
    assert other(image).shape == (1, 8, 8, 6)
    assert not same.weights
    assert [w.path for w in other.trainable_weights] == [
        "b/conv2d/kernel",
        "b/conv2d/bias",
        "b/bn/gamma",
        "b/bn/beta",
    ]


def test_one_axis_up_and_one_down_is_refused():
    with pytest.raises(ValueError, match="grows while the other shrinks"):
        Resample(4, (4, 16))(np.zeros((1, 8, 8, 4), np.float32))
