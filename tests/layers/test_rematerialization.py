"""Rematerialised layers against the same layers run once."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.layers.mbconv import MBConv
from efficientvision.layers.rematerialization import rematerialized

IMAGES = np.random.default_rng(0).normal(size=(8, 6, 6, 4)).astype(np.float32)


@pytest.fixture
def block():
    """Batch norms and stochastic depth: 8 samples, of which it keeps about half."""
    layer = MBConv(3, 1, 4, 4, 2, se_filters=2, survival_prob=0.5, name="block")
    layer(IMAGES)
    return layer


def run_twice(layer, images, remat):
    function = functools.partial(layer, training=True)
    for _ in range(2):
        images = rematerialized(function, [layer], images) if remat else function(images)
    return images


def gradients_in_scope(layer, remat):
    """Output, gradients of images and of bound weights (taken outside the scope), new state."""

    @tf.function
    def step(images):
        weights = [tf.identity(v.value) * 1.5 for v in layer.trainable_variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([images, *weights])
            bound = list(zip(layer.trainable_variables, weights, strict=True))
            with keras.StatelessScope(bound) as scope:
                outputs = run_twice(layer, images, remat)
            loss = tf.reduce_sum(outputs**3)
        gradients = tape.gradient(loss, [images, *weights])
        state = [scope.get_current_value(v) for v in layer.non_trainable_variables]
        return outputs, gradients, state

    return tf.nest.map_structure(np.asarray, step(tf.constant(IMAGES)))


def gradients_of_variables(layer, remat):
    """Output, gradients of images and variables, state after the run."""

    @tf.function
    def step(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = run_twice(layer, images, remat)
            loss = tf.reduce_sum(outputs**3)
        return outputs, tape.gradient(loss, [images, *(v.value for v in layer.trainable_variables)])

    outputs, gradients = tf.nest.map_structure(np.asarray, step(tf.constant(IMAGES)))
    return outputs, gradients, [v.numpy() for v in layer.non_trainable_variables]


@pytest.mark.parametrize("gradients_by", [gradients_in_scope, gradients_of_variables])
def test_same_outputs_gradients_masks_and_state(block, gradients_by):
    variables = [*block.trainable_variables, *block.non_trainable_variables]
    start = [v.numpy() for v in variables]
    expected = gradients_by(block, remat=False)
    for variable, value in zip(variables, start, strict=True):
        variable.assign(value)
    got = gradients_by(block, remat=True)
    for a, b in zip(tf.nest.flatten(got), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5 * np.abs(b).max())
    # The state did change: six statistics and the seed of the stochastic depth.
    old = start[len(block.trainable_variables) :]
    assert len(old) == 7
    assert not any(np.array_equal(a, b) for a, b in zip(got[2], old, strict=True))


def test_an_enclosing_scope_leaves_the_variables_alone(block):
    before = [v.numpy() for v in block.variables]
    gradients_in_scope(block, remat=True)
    for variable, value in zip(block.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_the_gradient_runs_the_function_again(block):
    runs = []

    def function(images):
        runs.append(images)
        return block(images, training=True)

    images = tf.constant(IMAGES)
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = rematerialized(function, [block], images)
    assert len(runs) == 1
    assert tape.gradient(outputs, images).shape == IMAGES.shape
    assert len(runs) == 2


def test_frozen_statistics_are_not_assigned():
    layer = MBConv(3, 1, 4, 4, 2, batch_norm={"frozen": True}, name="block")
    layer(IMAGES)
    with keras.StatelessScope() as scope:
        rematerialized(functools.partial(layer, training=True), [layer], IMAGES)
    assert not any(scope.get_current_value(v) is not None for v in layer.variables)


def test_a_layer_that_is_not_built_is_built_under_its_own_names():
    layer = MBConv(3, 1, 4, 4, 2, name="block")
    rematerialized(functools.partial(layer, training=True), [layer], IMAGES)
    other = MBConv(3, 1, 4, 4, 2, name="block")
    other(IMAGES)
    assert [v.path for v in layer.variables] == [v.path for v in other.variables]


def test_on_other_backends_the_function_just_runs(block, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(tf, "recompute_grad", None)
    assert float(rematerialized(lambda x: x + 1.0, [block], tf.constant(1.0))) == 2.0
