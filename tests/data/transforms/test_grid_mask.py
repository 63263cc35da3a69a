"""GridMask: the squares, their number and their slant."""

import math

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.data.transforms import grid_mask


def test_upright_grid():
    kept = grid_mask.grid_mask(
        tf.constant([30, 40]), tf.constant(10.0), tf.constant([2.0, 5.0]), tf.constant(0.0)
    ).numpy()
    rows, columns = ((np.arange(n) - start) % 10 < 6 for n, start in ((30, 2), (40, 5)))
    np.testing.assert_array_equal(kept, rows[:, None] | columns[None])


@pytest.mark.parametrize("degrees", [-20.0, 7.0])
def test_slanted_grid(degrees):
    height, width, spacing, start = 50, 70, 13.0, (4.0, 9.0)
    kept = grid_mask.grid_mask(
        tf.constant([height, width]), tf.constant(spacing), tf.constant(start), tf.constant(degrees)
    ).numpy()
    angle, stripe = math.radians(degrees), math.floor(13 * 0.6 + 0.5)
    differing = 0
    for y in range(height):
        for x in range(width):
            # The pixel, turned back about the middle into the upright grid.
            dy, dx = y + 0.5 - height / 2, x + 0.5 - width / 2
            v = math.sin(angle) * dx + math.cos(angle) * dy + height / 2
            u = math.cos(angle) * dx - math.sin(angle) * dy + width / 2
            in_stripe = (v - start[0]) % spacing < stripe or (u - start[1]) % spacing < stripe
            differing += in_stripe != kept[y, x]
    assert differing <= 2  # rounding of float32 at an edge


def test_random_grids():
    """69 of 100 photos (a normal number below a half), 16 % of each black, in whole squares."""
    image = tf.fill([60, 100, 3], tf.cast(200, tf.uint8))
    draw = tf.function(grid_mask.random_grid_mask)
    masked = [draw(image, tf.constant([9, k], tf.int64)).numpy() for k in range(150)]
    black = np.array([(picture == 0).all(-1).mean() for picture in masked])
    assert 0.55 < (black > 0).mean() < 0.81
    assert all(((p == 0) | (p == 200)).all() for p in masked)
    assert 0.1 < black[black > 0].mean() < 0.22
    np.testing.assert_array_equal(masked[3], draw(image, tf.constant([9, 3], tf.int64)))
