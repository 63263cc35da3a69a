"""MixUp: the blend and its ratio."""

import numpy as np
import tensorflow as tf

from efficientvision.data.transforms import mixup


def test_blend():
    random = np.random.default_rng(0)
    first, second = random.integers(0, 256, (2, 8, 9, 3), np.uint8)
    mixed = mixup.blend(tf.constant(first), tf.constant(second), tf.constant(0.3)).numpy()
    assert mixed.dtype == np.uint8
    np.testing.assert_allclose(mixed, 0.3 * first + 0.7 * second, atol=0.501)


def test_ratios_follow_the_beta_distribution():
    ratios = np.array([mixup.draw_ratio(tf.constant([1, k])) for k in range(400)])
    expected = np.random.default_rng(0).beta(8, 8, 100000)
    np.testing.assert_allclose(ratios.mean(), expected.mean(), atol=0.02)
    np.testing.assert_allclose(ratios.std(), expected.std(), atol=0.02)
    np.testing.assert_array_equal(ratios[7], mixup.draw_ratio(tf.constant([1, 7])))
