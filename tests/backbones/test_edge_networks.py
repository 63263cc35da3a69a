"""ESPNetv2, DiCENet and ShuffleNetv2: the original's outputs, counts, and every size and road."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientvision.api import build_model
from efficientvision.backbones.dicenet import DiCENet
from efficientvision.backbones.encoder import edge_network
from efficientvision.exports.flops import count_convolution_multiply_adds
from efficientvision.weights.load import load_weights
from tests.filled_edge_network import GOLDENS, classifiers, filled, noise
from tests.weights.made_torch_files import write_legacy

# Trainable parameters and millions of multiply-adds in convolutions, as published and as the
# original code counts them; dicenet_s_2.4 and the rest of ShuffleNetv2 have no published counts.
TABLE = {
    "espnetv2_s_0.5": (1_241_332, 28.38),
    "espnetv2_s_1.0": (1_670_072, 85.72),
    "espnetv2_s_1.25": (1_965_440, 123.40),
    "espnetv2_s_1.5": (2_314_856, 168.60),
    "espnetv2_s_2.0": (3_498_136, 284.81),
    "dicenet_s_0.2": (1_130_704, 14.90),
    "dicenet_s_0.5": (1_214_120, 24.71),
    "dicenet_s_0.75": (1_495_676, 46.83),
    "dicenet_s_1.0": (1_805_604, 70.71),
    "dicenet_s_1.25": (2_162_888, 98.11),
    "dicenet_s_1.5": (2_652_200, 135.48),
    "dicenet_s_1.75": (3_264_932, 182.24),
    "dicenet_s_2.0": (3_979_044, 236.29),
    "shufflenetv2_s_0.5": (1_369_736, 40.477),
    "shufflenetv2_s_1.0": (2_283_656, 142.616),
}
# The smaller one of each family's two.
FAST = ["espnetv2_s_0.5", "dicenet_s_0.2", "shufflenetv2_s_0.5"]
SMALLEST = ["espnetv2_s_0.5", "dicenet_s_0.2", "shufflenetv2_s_0.1"]


@functools.cache
def outputs_of(name):
    with np.load(GOLDENS / "classification" / "classifiers.npz") as arrays:
        mine = [key for key in arrays.files if key.startswith(f"{name}|")]
        return {key.split("|")[1].removeprefix("stage:"): arrays[key] for key in mine}


def relative_error(outputs, expected):
    return np.abs(np.asarray(outputs) - expected).max() / np.abs(expected).max()


def parameters(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_weights)


def multiply_adds(model):
    """Of the convolutions, for one image, in millions."""
    return count_convolution_multiply_adds(model, model.input_shape[1:3]) / 1e6


@pytest.mark.published_depth
@pytest.mark.parametrize(
    "name",
    [
        name if name in FAST else pytest.param(name, marks=pytest.mark.slow)
        for name in sorted(classifiers())
    ],
)
def test_golden(name, tmp_path):
    """Logits and stages with weights from a state-dict file."""
    golden = classifiers()[name]
    path = tmp_path / f"{name}.pth"
    write_legacy(path, {key: filled(key, shape, kind) for key, shape, kind in golden["state_dict"]})
    model = build_model(name)
    report = load_weights(model, path, verbose=False)
    assert not report.missing and not report.unused and not report.skipped
    assert parameters(model) == golden["params"] == TABLE[name][0]
    assert multiply_adds(model) == pytest.approx(golden["multiply_adds_M"], rel=1e-3)
    assert golden["multiply_adds_M"] == pytest.approx(TABLE[name][1], rel=1e-3)
    network = next(layer for layer in model.layers if layer.name == name)
    features = network(noise((1, 3, 224, 224)))
    expected = outputs_of(name)
    assert relative_error(features["logits"], expected.pop("logits")) < 1e-5
    last = {"espnetv2": {"level3.2": 3, "level4.6": 4, "level5.2": 5}}.get(name.split("_")[0], {})
    checked = 0
    for stage, values in expected.items():
        level = last.get(stage) or ("." not in stage and int(stage[5]))
        if level and not (stage == "level5" and name.startswith("shuffle")):
            step = features[level].shape[1] // 7
            ours = np.moveaxis(np.asarray(features[level][0, ::step, ::step, :8]), -1, 0)
            assert relative_error(ours[:, :7, :7], values) < 1e-5, stage
            checked += 1
    assert checked == len([stage for stage in expected if "." not in stage or stage in last]) - (
        "level5" in expected and name.startswith("shuffle")
    )


@pytest.mark.slow
@pytest.mark.published_depth
@pytest.mark.parametrize("name", [*sorted({*TABLE} - {*classifiers()}), "dicenet_s_2.4"])
def test_counts(name):
    """Of those that have no golden."""
    model = build_model(name)
    assert model.output_shape == (None, 1000)
    if name in TABLE:
        params, madds = TABLE[name]
        assert parameters(model) == params
        assert multiply_adds(model) == pytest.approx(madds, rel=1e-3)


@pytest.mark.parametrize("name", SMALLEST)
def test_levels_of_any_size(name):
    network = edge_network(name)
    for image_hw in ((224, 224), (256, 320), (97, 130)):
        features = network(np.zeros((2, *image_hw, 3), "f"))
        for level in range(1, 6):
            expected = tuple(-(-side // 2**level) for side in image_hw)
            assert features[level].shape[:3] == (2, *expected)


@pytest.mark.parametrize("name", ["espnetv2_s_0.5", "shufflenetv2_s_0.1"])
def test_sizes_may_be_open(name):
    images = keras.Input((None, None, 3))
    model = keras.Model(images, edge_network(name, num_classes=5)(images)["logits"])
    open_sizes = tf.function(model, input_signature=[tf.TensorSpec((None, None, None, 3))])
    for size in ((64, 64), (50, 81)):
        batch = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
        np.testing.assert_allclose(open_sizes(batch), model(batch), atol=1e-5)


def test_dicenet_says_that_it_needs_sizes():
    with pytest.raises(ValueError, match="height and width must be known"):
        edge_network("dicenet_s_0.2")(keras.Input((None, 64, 3)))
    with pytest.raises(ValueError, match="multiples of 32"):
        DiCENet(0.2, build_hw=(100, 64))
    with pytest.raises(ValueError, match=r"no width 3.0; expected one of 0.2, .*2.4"):
        edge_network("dicenet_s_3.0")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["espnetv2_s_0.5", "shufflenetv2_s_0.1"])
def test_gradients_with_checkpoints_are_the_same(name):
    images = np.random.default_rng(0).normal(size=(4, 64, 64, 3)).astype("float32")
    first, second = (edge_network(name, grad_checkpoint=remat) for remat in (False, True))
    for network in (first, second):
        network(images)
    second.set_weights(first.get_weights())
    results = []
    for network in (first, second):

        @tf.function
        def step(network=network):
            weights = [v.value for v in network.trainable_variables]
            with tf.GradientTape() as tape:
                features = network(images, training=True)
                loss = tf.add_n([tf.reduce_mean(tf.square(x)) for x in features.values()])
            gradients = tape.gradient(loss, weights, unconnected_gradients="zero")
            return loss, gradients

        loss, gradients = step()
        statistics = [v.numpy() for v in network.non_trainable_variables]
        results.append((float(loss), [g.numpy() for g in gradients], statistics))
    (loss, gradients, statistics), (again, others, after) = results
    assert again == pytest.approx(loss, rel=1e-5)
    assert max(np.abs(g).max() for g in gradients) > 0
    for one, two in zip([*gradients, *statistics], [*others, *after], strict=True):
        np.testing.assert_allclose(two, one, atol=1e-4 * max(1.0, np.abs(one).max()))
