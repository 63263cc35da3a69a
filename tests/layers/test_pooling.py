"""Pooling, resizing and padding against PyTorch's own outputs."""

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.exports import litert_format
from efficientvision.layers.bilinear import bilinear_weights, resize_bilinear
from efficientvision.layers.grouped_conv import grouped_conv
from efficientvision.layers.integers import for_integers
from efficientvision.layers.pooling import (
    adaptive_avg_pool,
    along_axis,
    avg_pool_3x3,
    max_pool_3x3,
)
from tests.filled_edge_network import GOLDENS

with np.load(GOLDENS / "blocks" / "raw_ops.npz") as _arrays:
    RAW = {name: _arrays[name] for name in _arrays.files}
CASES = sorted({name.split("|")[0] for name in RAW})


def run(case, inputs, target_hw):
    kind = case.split("_")[0]
    if kind == "adaptive":
        return adaptive_avg_pool(inputs, target_hw)
    if kind == "bilinear":
        return resize_bilinear(inputs, target_hw)
    if kind == "conv":
        return grouped_conv(inputs, np.transpose(RAW[f"{case}|w"], (2, 3, 1, 0)), 2)
    return {"avgpool": avg_pool_3x3, "maxpool": max_pool_3x3}[kind](inputs)


@pytest.mark.parametrize("case", CASES)
def test_raw_operation(case):
    inputs, expected = (np.moveaxis(RAW[f"{case}|{end}"], 1, -1) for end in ("in", "out"))
    outputs = np.asarray(run(case, inputs, expected.shape[1:3]))
    assert outputs.shape == expected.shape
    np.testing.assert_allclose(outputs, expected, atol=1e-6 * np.abs(expected).max())


def test_largest_value_may_be_negative():
    """A border of zeros would be larger than what it surrounds."""
    inputs = -1.0 - np.random.default_rng(0).random((2, 5, 6, 3)).astype("float32")
    outputs = np.asarray(max_pool_3x3(inputs))
    assert outputs[0, 0, 0, 0] == inputs[0, :2, :2, 0].max()
    assert outputs[1, 2, 2, 2] == inputs[1, 3:5, 3:6, 2].max()


@pytest.mark.parametrize(("size", "target"), [(7, 14), (7, 3), (1, 3), (5, 1), (4, 4)])
def test_interpolation_as_a_matrix(size, target):
    """What other backends than TensorFlow compute is the same."""
    inputs = np.random.default_rng(0).random((2, size, 3, 2)).astype("float32")
    expected = np.asarray(resize_bilinear(inputs, (target, 3)))
    outputs = np.asarray(along_axis(inputs, bilinear_weights(size, target), 1))
    np.testing.assert_allclose(outputs, expected, atol=1e-6)
    turned = np.asarray(along_axis(np.swapaxes(inputs, 1, 2), bilinear_weights(size, target), 2))
    np.testing.assert_allclose(np.swapaxes(turned, 1, 2), expected, atol=1e-6)


@pytest.mark.parametrize("size, target", [((7, 10), (4, 6)), ((5, 5), (8, 3))])
def test_the_integers_form_is_the_same(size, target):
    inputs = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
    expected = np.asarray(adaptive_avg_pool(inputs, target))
    with for_integers():
        np.testing.assert_allclose(adaptive_avg_pool(inputs, target), expected, atol=1e-6)


def test_an_int8_file_pools_as_the_network_does(tmp_path):
    """Within two steps of 1/255 of the range; a sum instead of a mean would saturate."""
    pytest.importorskip("ai_edge_litert")
    inputs = np.random.default_rng(1).normal(size=(1, 11, 15, 8)).astype("float32")
    signature = [tf.TensorSpec(inputs.shape, tf.float32, name="images")]

    def run(images):
        return {"y": tf.identity(adaptive_avg_pool(images, (6, 8)), name="y")}

    expected = np.asarray(run(inputs)["y"])
    with for_integers():
        function = tf.function(run, input_signature=signature).get_concrete_function()
    litert_format.write(
        function, tmp_path / "p.tflite", "{}", precision="int8", calibration=[inputs]
    )
    found = litert_format.load(tmp_path / "p.tflite", threads=1)[0](inputs)["y"]
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()
