"""The display matrix, applied to each pixel as FFmpeg's documentation defines it."""

import itertools

import numpy as np
import pytest

from efficientvision.video.orientation import Orientation

_ONE = 1 << 16
_QUARTERS = [
    (a, b, c, d)
    for a, b, c, d in itertools.product((-1, 0, 1), repeat=4)
    if a * d - b * c in (-1, 1) and abs(a) + abs(b) == 1 and abs(c) + abs(d) == 1
]


def matrix_bytes(a, b, c, d):
    return np.array([a, b, 0, c, d, 0, 0, 0, 1 << 14], np.int64).astype(np.int32).tobytes()


def test_there_are_eight_orientations():
    assert len(_QUARTERS) == 8


@pytest.mark.parametrize("quarters", _QUARTERS)
def test_every_pixel_goes_where_the_matrix_sends_it(quarters):
    a, b, c, d = quarters
    stored = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    shown = {}
    for q, p in np.ndindex(2, 3):
        shown[(b * p + d * q, a * p + c * q)] = stored[q, p]
    top, left = (min(position[axis] for position in shown) for axis in (0, 1))
    upright = Orientation.from_display_matrix(
        matrix_bytes(*(_ONE * value for value in quarters))
    ).upright(stored)
    assert upright.shape == ((3, 2, 3) if a == 0 else (2, 3, 3))
    for (y, x), pixel in shown.items():
        assert np.array_equal(upright[y - top, x - left], pixel)


def test_no_matrix_means_as_stored():
    stored = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    assert np.array_equal(Orientation.from_display_matrix(None).upright(stored), stored)


def test_a_small_angle_is_no_quarter_turn():
    tilted = (round(0.95 * _ONE), round(0.3 * _ONE), round(-0.3 * _ONE), round(0.95 * _ONE))
    assert Orientation.from_display_matrix(matrix_bytes(*tilted)) == Orientation()
