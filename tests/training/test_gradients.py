"""Clipping, and what is regularised."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.training.flat_variables import FlatVariables
from efficientvision.training.gradients import clip_gradients, is_regularized


def _groups(*shapes):
    """Two groups of variables of these shapes."""
    variables = [
        keras.Variable(np.zeros(s, np.float32), name=f"v{i}") for i, s in enumerate(shapes)
    ]
    return [FlatVariables(variables[:2], "first"), FlatVariables(variables[2:], "second")]


def _clip(gradients, limit):
    groups = _groups(*(g.shape for g in gradients))
    vectors = [groups[0].join(gradients[:2]), groups[1].join(gradients[2:])]
    clipped, norm = clip_gradients(groups, vectors, limit)
    return [part for g, v in zip(groups, clipped, strict=True) for part in g.split(v)], norm


@pytest.mark.parametrize("size", [4.0, 0.7])
def test_clipping_equals_tensorflows_two_steps(size):
    rng = np.random.default_rng(0)
    shapes = ((3, 4), (50,), (), (9,))
    gradients = [tf.constant(rng.normal(size=s) * size, tf.float32) for s in shapes]
    expected, _ = tf.clip_by_global_norm([tf.clip_by_norm(g, 5.0) for g in gradients], 5.0)
    clipped, norm = _clip(gradients, 5.0)
    assert float(norm) > 5.0
    for ours, theirs in zip(clipped, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert float(norm) == pytest.approx(float(tf.linalg.global_norm(gradients)), rel=1e-6)
    assert float(tf.linalg.global_norm(clipped)) == pytest.approx(5.0, rel=1e-6)


@pytest.mark.parametrize("limit", [100.0, 0.0])
def test_small_gradients_stay_as_they_are(limit):
    gradients = [tf.constant([3.0, 4.0]), tf.zeros([2]), tf.zeros([1])]
    clipped, norm = _clip(gradients, limit)
    for ours, given in zip(clipped, gradients, strict=True):
        np.testing.assert_array_equal(ours, given)
    assert float(norm) == pytest.approx(5.0)


def test_kernels_only_are_regularized():
    layer = keras.layers.SeparableConv2D(2, 3, name="conv")
    layer.build([None, 4, 4, 1])
    paths = {v.path for v in layer.variables if is_regularized(v.path)}
    assert paths == {"conv/depthwise_kernel", "conv/pointwise_kernel"}
