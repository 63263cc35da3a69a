"""Equalised graphs compute what they did; with eight bits they come nearer to it."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from efficientvision.api import build_model
from efficientvision.exports import litert_format, litert_mixed
from efficientvision.exports.equalization import equalize
from efficientvision.exports.frozen_graph import freeze, graph_function
from efficientvision.layers.bilinear import resize_bilinear
from efficientvision.layers.edge_conv import ConvBlock, NormAct
from efficientvision.layers.grouped_conv import GroupedConv2D
from efficientvision.layers.integers import for_integers
from efficientvision.layers.pooling import adaptive_avg_pool, avg_pool_3x3, max_pool_3x3
from efficientvision.layers.prelu import PReLU
from efficientvision.layers.shuffle import channel_shuffle
from tests.filled_segmenter import filled_model

SHAPE = (1, 18, 20, 3)
IMAGES = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype("float32")


def concrete(call, shape=SHAPE):
    spec = tf.TensorSpec(shape, tf.float32, name="images")

    @tf.function(input_signature=[spec])
    def run(images):
        return {"y": tf.identity(call(images), name="y")}

    with for_integers():
        return run.get_concrete_function()


def uneven(channels, seed=0):
    """A layer that multiplies channels by numbers that differ by a factor of up to 1,000."""
    layer = GroupedConv2D(channels, 1)
    layer.build((None, None, None, 3))
    factors = 10.0 ** np.random.default_rng(seed).uniform(-1, 2, channels)
    layer.kernel.assign(layer.kernel * factors)
    return layer


def filled(layer, channels):
    return filled_model(keras.Sequential([keras.Input((18, 20, channels)), layer]))


GATE = filled(GroupedConv2D(12, 1), 12).layers[-1]
CASES = {
    "nothing": lambda x: x,
    "prelu": filled(PReLU(), 12),
    "conv": filled(ConvBlock(8, 3), 12),
    "groups": filled(ConvBlock(8, 3, groups=4), 12),
    "depthwise": filled(ConvBlock(12, 3, groups=12), 12),
    "norm": filled(NormAct(), 12),
    "bias": lambda x: x + np.arange(12.0, dtype="float32"),
    "factor": lambda x: x * np.arange(12.0, dtype="float32"),
    "pooling": lambda x: max_pool_3x3(avg_pool_3x3(x)),
    "resized": lambda x: resize_bilinear(x, (25, 31)),
    "adaptive": lambda x: adaptive_avg_pool(x, (7, 9)),
    "shuffle": lambda x: channel_shuffle(x, 3),
    "split": lambda x: ops.concatenate(ops.split(x, [5], axis=-1)[::-1] + [x], axis=-1),
    "residual": lambda x: x + ops.relu(x),
    "rows": lambda x: x + ops.mean(x, axis=(1, 2), keepdims=True),
    "attention": lambda x: x * ops.sigmoid(GATE(ops.mean(x, axis=(1, 2), keepdims=True))),
    "square": lambda x: x * x,
    "tanh": ops.tanh,
}


@pytest.mark.parametrize("name", CASES)
def test_outputs_stay(name):
    """Behind channels of unlike ranges, and before a layer that could take scales up."""
    first = uneven(12)
    channels = CASES[name](first(IMAGES[0])).shape[-1]
    last = filled(GroupedConv2D(4, 1, use_bias=True), channels).layers[-1]
    function = concrete(lambda x: last(CASES[name](first(x))))
    graph = freeze(function, ["y"])
    scaled = equalize(graph, ["y"], IMAGES[:2])
    assert scaled == 0 if name in ("square", "tanh") else scaled >= 12
    run = graph_function(graph, ["images:0"], ["y:0"])
    expected = function(IMAGES[2])["y"].numpy()
    error = np.abs(run(IMAGES[2])[0].numpy() - expected).max()
    assert error < 2e-6 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("shufflenetv2_s_0.1", {"num_classes": 7}),
        pytest.param(
            "espnetv2_s_0.5",
            {"task": "segmentation", "num_classes": 5},
            marks=pytest.mark.slow,
        ),
        pytest.param("espnetv2_s_0.5", {"task": "detection"}, marks=pytest.mark.slow),
        pytest.param("dicenet_s_0.2", {"num_classes": 7}, marks=pytest.mark.slow),
        pytest.param("efficientnet-b0", {"num_classes": 7}, marks=pytest.mark.slow),
    ],
)
def test_networks_stay(name, options):
    hw = (64, 96)
    model = filled_model(build_model(name, image_size=hw, **options))

    def call(images):
        return tf.concat([tf.reshape(y, [-1]) for y in tf.nest.flatten(model(images))], 0)

    images = np.random.default_rng(1).normal(size=(2, 1, *hw, 3)).astype("float32")
    function = concrete(call, (1, *hw, 3))
    graph = freeze(function, ["y"])
    assert equalize(graph, ["y"], images[:1]) > 100
    expected = function(images[1])["y"].numpy()
    found = graph_function(graph, ["images:0"], ["y:0"])(images[1])[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_the_first_operations_may_stay_in_float():
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    layers = [ConvBlock(12, 3) for _ in range(4)]
    function = concrete(filled_model(keras.Sequential([keras.Input(SHAPE[1:]), *layers])))

    def operations(share):
        """How many compute in float32 and in int8."""
        content = litert_mixed.quantized(function, IMAGES, share)
        interpreter = litert.Interpreter(model_content=content)
        kinds = [detail["dtype"] for detail in interpreter.get_tensor_details()]
        return kinds.count(np.float32), kinds.count(np.int8)

    none, some, all_of_them = map(operations, (0.0, 0.5, 1.0))
    assert none[0] < some[0] < all_of_them[0]
    assert none[1] > some[1] > all_of_them[1] == 0


def test_eight_bits_hold_a_map_with_an_outlier(tmp_path, monkeypatch):
    """One channel reaches 300 times what the others do, and counts as much as they."""
    pytest.importorskip("ai_edge_litert")
    model = filled_model(
        keras.Sequential([keras.Input(SHAPE[1:]), ConvBlock(12, 3), GroupedConv2D(4, 3)])
    )
    norm, kernel = model.layers[0].norm, model.layers[1].kernel
    outlier = np.where(np.arange(12) == 3, 300.0, 1.0).astype("float32")
    norm.gamma.assign(norm.gamma * outlier)
    norm.beta.assign(norm.beta * outlier)
    kernel.assign(kernel / outlier[:, None])
    function = concrete(model)
    expected = function(IMAGES[2])["y"].numpy()

    def error(precision):
        path = tmp_path / f"{precision}.tflite"
        litert_format.write(function, path, "{}", precision=precision, calibration=IMAGES)
        run, _ = litert_format.load(path, threads=1)
        return np.sqrt(np.mean((run(IMAGES[2])["y"] - expected) ** 2)) / expected.std()

    in_integers = functools.partial(litert_mixed.quantized, in_float=0.0)
    monkeypatch.setattr(litert_mixed, "quantized", in_integers)
    assert error("mixed") < 0.05
    assert error("int8") > 0.3
