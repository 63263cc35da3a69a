"""Batch normalisation against its definition."""

import keras
import numpy as np
import pytest

from efficientvision.layers.normalization import BatchNorm


def normalised(x, mean, variance, epsilon=1e-3):
    return (x - mean) / np.sqrt(variance + epsilon)


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(2.0, 3.0, (2, 3, 5, 4)).astype(np.float32)


@pytest.mark.parametrize("synchronized", [False, True])
def test_training_uses_batch_statistics_and_keeps_the_unbiased_variance(values, synchronized):
    layer = BatchNorm(momentum=0.9, synchronized=synchronized)
    outputs = np.asarray(layer(values, training=True))
    flat = values.reshape(-1, 4)
    np.testing.assert_allclose(
        outputs, normalised(values, flat.mean(0), flat.var(0)), rtol=0, atol=1e-5
    )
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.1 * flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(
        layer.moving_variance.numpy(), 0.9 + 0.1 * flat.var(0, ddof=1), rtol=1e-5
    )


@pytest.mark.parametrize("synchronized", [False, True])
def test_the_variance_of_a_nearly_constant_channel_is_not_lost(synchronized):
    """Mean of the squares less square of the mean would be off by 100^2 * 2^-24, six times it."""
    noise = np.random.default_rng(0).normal(0.0, 0.01, (4, 8, 8, 1)).astype(np.float32)
    values = noise + np.float32(100.0)
    layer = BatchNorm(momentum=0.0, synchronized=synchronized)
    layer(values, training=True)
    expected = values.astype(np.float64).var(ddof=1)
    np.testing.assert_allclose(layer.moving_variance.numpy(), [expected], rtol=0.01)


def test_synchronized_gradients_are_those_of_the_fused_kernel(values):
    import tensorflow as tf

    gradients = []
    for synchronized in (False, True):
        layer = BatchNorm(synchronized=synchronized)
        inputs = tf.Variable(values)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.sin(layer(inputs, training=True)))
        gradients.append(tape.gradient(loss, [inputs, *layer.trainable_variables]))
    for fused, own in zip(*gradients, strict=True):
        np.testing.assert_allclose(own, fused, rtol=1e-4, atol=1e-5)


def test_inference_uses_moving_statistics(values):
    layer = BatchNorm()
    layer.build(values.shape)
    layer.moving_mean.assign([1.0, 2.0, 3.0, 4.0])
    layer.moving_variance.assign([4.0, 3.0, 2.0, 1.0])
    expected = normalised(values, np.array([1.0, 2, 3, 4]), np.array([4.0, 3, 2, 1]))
    np.testing.assert_allclose(np.asarray(layer(values)), expected, rtol=0, atol=1e-5)


def test_frozen_trains_scale_and_offset_but_not_statistics(values):
    import tensorflow as tf

    layer = BatchNorm(frozen=True)
    with tf.GradientTape() as tape:
        outputs = layer(values, training=True)
        loss = tf.reduce_sum(outputs * values)
    np.testing.assert_allclose(np.asarray(outputs), normalised(values, 0.0, 1.0), atol=1e-5)
    np.testing.assert_array_equal(layer.moving_mean.numpy(), np.zeros(4))
    np.testing.assert_array_equal(layer.moving_variance.numpy(), np.ones(4))
    gradients = tape.gradient(loss, layer.trainable_variables)
    assert len(gradients) == 2
    np.testing.assert_allclose(gradients[1], values.sum((0, 1, 2)), rtol=1e-5)


def test_bfloat16_inputs_keep_float32_statistics(values):
    layer = BatchNorm(dtype="mixed_bfloat16", momentum=0.0)
    outputs = layer(keras.ops.cast(values, "bfloat16"), training=True)
    assert outputs.dtype == "bfloat16"
    assert layer.moving_mean.dtype == "float32"
    np.testing.assert_allclose(layer.moving_mean.numpy(), values.mean((0, 1, 2)), rtol=1e-2)


def test_config_round_trip():
    layer = BatchNorm(momentum=0.7, epsilon=0.1, frozen=True, synchronized=True)
    twin = BatchNorm.from_config(layer.get_config())
    assert (twin.momentum, twin.epsilon, twin.frozen, twin.synchronized) == (0.7, 0.1, True, True)
