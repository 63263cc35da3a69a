"""Batch norms behind convolutions vanish; every output stays what it was."""

import collections

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.exports.batch_norm_folding import fold_batch_norms
from efficientvision.exports.frozen_graph import freeze, graph_function
from efficientvision.exports.saved_model import network_function
from efficientvision.layers.normalization import BatchNorm
from efficientvision.tasks.choice import build_serving
from tests.filled_detector import filled_detector

RANDOM = np.random.default_rng(0)
NORMS = 45  # Of the shallow EfficientDet-D0 of `filled_detector`.


def filled_norm(dtype="float32"):
    """A batch norm with statistics far from zero and one."""
    norm = BatchNorm(dtype=dtype)
    norm.build((None, None, None, 6))
    norm.set_weights([RANDOM.uniform(0.3, 3.0, 6) for _ in range(4)])
    return norm


def graphs(call, channels=3):
    """The graph of `call`, as it is and folded, and a function that runs either."""
    spec = tf.TensorSpec((2, 8, 9, channels), tf.float32, name="x")
    function = tf.function(
        lambda x: tf.identity(tf.cast(call(x), tf.float32), name="y"), input_signature=[spec]
    ).get_concrete_function()
    plain = freeze(function, ["y"], fold=False)
    folded = freeze(function, ["y"], fold=True)

    def run(graph):
        x = np.random.default_rng(1).normal(size=(2, 8, 9, channels)).astype(np.float32)
        return graph_function(graph, ["x:0"], ["y:0"])(x)[0].numpy()

    return plain, folded, run


def norms_in(graph):
    return sum(node.op == "FusedBatchNormV3" for node in graph.node)


def built(layer, channels=3):
    layer.build((None, 8, 9, channels))
    layer.set_weights([RANDOM.normal(size=w.shape) for w in layer.weights])
    return layer


def assert_folded(call, tolerance=1e-5, channels=3):
    plain, folded, run = graphs(call, channels)
    assert norms_in(plain) > 0 and norms_in(folded) == 0
    expected = run(plain)
    np.testing.assert_allclose(run(folded), expected, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda bias: keras.layers.Conv2D(6, 3, padding="same", use_bias=bias),
        lambda bias: keras.layers.Conv2D(6, 1, 2, use_bias=bias),
        lambda bias: keras.layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=bias),
        lambda bias: keras.layers.SeparableConv2D(6, 3, padding="same", use_bias=bias),
    ],
    ids=["conv", "conv1x1", "depthwise", "separable"],
)
def test_convolutions(make, use_bias):
    layer, norm = built(make(use_bias)), filled_norm()
    assert_folded(lambda x: norm(layer(x), training=False))


def test_a_kernel_that_several_norms_follow_is_copied():
    layer, one, two = built(keras.layers.Conv2D(6, 3)), filled_norm(), filled_norm()
    assert_folded(lambda x: one(layer(x), training=False) - two(layer(2 * x), training=False))


def test_half_precision():
    layer = built(keras.layers.Conv2D(6, 3, dtype="mixed_float16"))
    norm = filled_norm("mixed_float16")
    assert_folded(lambda x: norm(layer(x), training=False), tolerance=2e-3)


def test_what_something_else_reads_stays():
    layer, norm = built(keras.layers.Conv2D(6, 3)), filled_norm()

    def read_twice(x):
        y = layer(x)
        return norm(y, training=False) + y

    plain, folded, run = graphs(read_twice)
    assert norms_in(folded) == 1
    np.testing.assert_array_equal(run(folded), run(plain))


def test_a_norm_without_a_convolution_stays():
    norm = filled_norm()
    plain, folded, run = graphs(lambda x: norm(tf.nn.relu(x), training=False), channels=6)
    assert norms_in(folded) == 1
    np.testing.assert_array_equal(run(folded), run(plain))


def test_an_output_between_them_stays():
    layer, norm = built(keras.layers.Conv2D(6, 3, use_bias=False)), filled_norm()
    spec = tf.TensorSpec((1, 5, 5, 3), tf.float32, name="x")
    function = tf.function(
        lambda x: tf.identity(norm(layer(x), training=False), name="y"), input_signature=[spec]
    ).get_concrete_function()
    (between,) = (node.name for node in freeze(function, ["y"]).node if node.op == "Conv2D")
    assert norms_in(freeze(function, ["y"])) == 0
    assert norms_in(freeze(function, ["y", between])) == 1


@pytest.mark.slow
def test_a_detector_has_none_left():
    loaded = filled_detector()
    serving = build_serving(loaded.model, loaded.config)
    function, names = network_function(serving, 1)
    plain, folded = freeze(function, names, fold=False), freeze(function, names)
    assert norms_in(plain) == NORMS and norms_in(folded) == 0
    kinds = [collections.Counter(node.op for node in graph.node) for graph in (plain, folded)]
    assert kinds[0]["Conv2D"] == kinds[1]["Conv2D"]
    fetches = [f"{name}:0" for name in names]
    x = RANDOM.normal(size=(1, *serving.image_hw, 3)).astype(np.float32)
    pairs = [graph_function(graph, ["input:0"], fetches)(x) for graph in (plain, folded)]
    for expected, found in zip(*pairs, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max(), rtol=0)

    assert fold_batch_norms(plain, names) == NORMS
    assert fold_batch_norms(plain, names) == 0
