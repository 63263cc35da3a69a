"""Grouped convolutions and their gradients, computed in two ways."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.layers import grouped_conv as module
from efficientvision.layers.grouped_conv import GroupedConv2D, grouped_conv

# channels, filters, groups, strides, dilation
CASES = [(8, 8, 8, 1, 1), (8, 8, 8, 2, 3), (8, 12, 4, 1, 2), (12, 4, 4, 1, 1), (6, 6, 1, 2, 1)]


def expected_conv(x, kernel, groups, strides, dilation):
    """The definition, a group after the other, without TensorFlow."""
    margin = dilation * (kernel.shape[0] - 1) // 2
    padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    height, width = (-(-s // strides) for s in x.shape[1:3])
    depth, count = kernel.shape[2], kernel.shape[3] // groups
    outputs = np.zeros((len(x), height, width, kernel.shape[3]))
    for i, j in np.ndindex(kernel.shape[:2]):
        rows = slice(i * dilation, i * dilation + (height - 1) * strides + 1, strides)
        columns = slice(j * dilation, j * dilation + (width - 1) * strides + 1, strides)
        for g in range(groups):
            inside = padded[:, rows, columns, g * depth : (g + 1) * depth]
            filters = slice(g * count, (g + 1) * count)
            outputs[..., filters] += inside @ kernel[i, j, :, filters]
    return outputs


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("has_gradients", [True, False])
@pytest.mark.parametrize(("channels", "filters", "groups", "strides", "dilation"), CASES)
def test_values_and_gradients(
    monkeypatch, channels, filters, groups, strides, dilation, has_gradients, training
):
    """Also where TensorFlow has no gradients of grouped convolutions, and no dilated depthwise."""
    if not has_gradients:
        monkeypatch.setattr(module, "_grouped_gradients_exist", lambda: False)
        monkeypatch.setattr(module, "_dilated_depthwise_exists", lambda: False)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 9, 10, channels)).astype("float32")
    kernel = rng.normal(size=(3, 3, channels // groups, filters)).astype("float32")
    expected = expected_conv(x, kernel, groups, strides, dilation)
    np.testing.assert_allclose(
        grouped_conv(x, tf.constant(kernel), strides, dilation, training), expected, atol=1e-4
    )
    if not training:
        return
    images, weights = tf.constant(x), tf.constant(kernel)
    with tf.GradientTape() as tape:
        tape.watch([images, weights])
        outputs = grouped_conv(images, weights, strides, dilation, True)
        loss = tf.reduce_sum(outputs**2) / 2
    by_image, by_kernel = tape.gradient(loss, [images, weights])
    # The loss is quadratic along a line: its slope is exact from three values of the definition.
    for tensor, gradient, place in ((x, by_image, "x"), (kernel, by_kernel, "kernel")):
        direction = rng.normal(size=tensor.shape)
        values = [
            (
                expected_conv(
                    x + (step * direction if place == "x" else 0),
                    kernel + (step * direction if place == "kernel" else 0),
                    groups,
                    strides,
                    dilation,
                )
                ** 2
            ).sum()
            / 2
            for step in (-1.0, 1.0)
        ]
        slope = (values[1] - values[0]) / 2
        assert float(np.sum(gradient * direction)) == pytest.approx(slope, rel=1e-4)


def test_groups_that_do_not_divide():
    with pytest.raises(ValueError, match=r"4 groups .* 6 input"):
        GroupedConv2D(8, 3, groups=4)(np.zeros((1, 4, 4, 6), "float32"))
    with pytest.raises(ValueError, match="odd"):
        GroupedConv2D(8, 2)


def test_shape_without_sizes():
    layer = GroupedConv2D(8, 3, 2, groups=2)
    assert layer(keras.Input((None, None, 4))).shape == (None, None, None, 8)
    assert layer(keras.Input((7, 10, 4))).shape == (None, 4, 5, 8)
