"""Clipping and the L2 penalty."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.training.gradients import clip_gradients, is_regularized, l2_penalty


def test_clipping_equals_tensorflows_two_steps():
    rng = np.random.default_rng(0)
    gradients = [tf.constant(rng.normal(size=s) * 4, tf.float32) for s in ((3, 4), (50,), (), (9,))]
    expected, _ = tf.clip_by_global_norm([tf.clip_by_norm(g, 10.0) for g in gradients], 10.0)
    clipped, norm = clip_gradients(gradients, 10.0)
    for ours, theirs in zip(clipped, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert float(norm) == pytest.approx(float(tf.linalg.global_norm(gradients)), rel=1e-6)
    assert float(tf.linalg.global_norm(clipped)) == pytest.approx(10.0, rel=1e-6)


@pytest.mark.parametrize("limit", [100.0, 0.0])
def test_small_gradients_stay_as_they_are(limit):
    gradients = [tf.constant([3.0, 4.0]), tf.zeros([2])]
    clipped, norm = clip_gradients(gradients, limit)
    for ours, given in zip(clipped, gradients, strict=True):
        np.testing.assert_array_equal(ours, given)
    assert float(norm) == pytest.approx(5.0)


def test_l2_covers_kernels_only():
    layer = keras.layers.SeparableConv2D(2, 3, name="conv")
    layer.build([None, 4, 4, 1])
    paths = {v.path for v in layer.variables if is_regularized(v.path)}
    assert paths == {"conv/depthwise_kernel", "conv/pointwise_kernel"}
    for variable in layer.variables:
        variable.assign(keras.ops.full_like(variable, 2.0))
    # 9 + 2 elements of 2.0: half the sum of squares is 22.
    assert float(l2_penalty(layer.variables, 0.1)) == pytest.approx(2.2)
