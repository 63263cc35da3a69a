"""EfficientNet against the published block tables, variables and outputs."""

import dataclasses
import gzip
import json
import pathlib

import keras
import numpy as np
import pytest

from efficientvision.backbones import efficientnet
from efficientvision.tasks.classification.network import build_classifier
from efficientvision.weights.load import load_weights
from efficientvision.weights.names import published_variables
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint
from tests.goldens.fill import fill, make_input

FOLDER = pathlib.Path(__file__).parents[1] / "goldens"
GOLDENS = json.loads(gzip.decompress((FOLDER / "backbones.json.gz").read_bytes()))


@pytest.mark.published_depth
@pytest.mark.parametrize("name", sorted(GOLDENS["block_tables"]["models"]))
def test_block_table(name):
    published = GOLDENS["block_tables"]["models"][name]
    specs = efficientnet.block_specs(name)
    expected = [list(row) for row in published["blocks"]]
    # The published table scales the first block's nominal input; the convolution gets the stem's.
    expected[0][2] = published["stem_filters"]
    assert [list(dataclasses.astuple(spec)) for spec in specs] == expected
    assert efficientnet.stem_filters(name) == published["stem_filters"]
    assert efficientnet.head_filters(name) == published["head_filters"]
    assert efficientnet.SCALINGS[name].dropout_rate == published["dropout_rate"]


@pytest.mark.published_depth
@pytest.mark.parametrize(
    "name",
    [
        # Its block table is tested, as that of every member.
        pytest.param(name, marks=pytest.mark.slow) if name == "efficientnet-b3" else name
        for name in sorted(GOLDENS["networks"])
    ],
)
def test_variables_and_outputs(name, tmp_path):
    golden = GOLDENS["networks"][name]
    architecture, size = name.split("_")[0], golden["input_size"]
    images = keras.Input((size, size, 3))
    network = efficientnet.EfficientNet(
        architecture, num_classes=None if golden["features_only"] else 1000
    )
    outputs = network(images)
    model = keras.Model(images, outputs, name="backbone")
    variables = {n: (list(v.shape), v.trainable) for n, v in published_variables(model).items()}
    assert variables == {n: (shape, train) for n, shape, train in golden["variables"]}
    path = write_tf1_checkpoint(
        tmp_path / "model", {n: fill(n, shape) for n, (shape, _) in variables.items()}
    )
    load_weights(model, path, verbose=False)

    results = model(make_input(size))
    expected = np.load(FOLDER / "backbones.npz")
    for key in expected.files:
        if not key.startswith(f"{name}/") or key.endswith("/features"):
            continue
        endpoint = key.split("/")[1]
        if endpoint == "logits":
            result = np.asarray(results["logits"])
        else:
            level = int(endpoint.removeprefix("reduction_"))
            result = np.asarray(results[level])[0, ::4, ::4, :36]
        error = np.abs(result - expected[key]).max() / np.abs(expected[key]).max()
        assert error < 1e-4, (endpoint, error)


@pytest.mark.slow
@pytest.mark.published_depth
@pytest.mark.parametrize(
    "name, parameters",
    [
        # Published sizes of the EfficientNet paper (table 2), in millions.
        ("efficientnet-b0", 5.3),
        ("efficientnet-b1", 7.8),
        ("efficientnet-b2", 9.2),
        ("efficientnet-b4", 19),
    ],
)
def test_classifier_sizes(name, parameters):
    model = build_classifier(name, image_hw=(64, 64))
    count = sum(int(np.prod(v.shape)) for v in model.trainable_weights)
    assert count / 1e6 == pytest.approx(parameters, rel=0.03)


@pytest.mark.published_depth
def test_stochastic_depth_falls_linearly_and_only_on_residuals():
    network = efficientnet.EfficientNet("efficientnet-lite0", survival_prob=0.8)
    rates = [block.drop.rate if block.drop else None for block in network.blocks]
    for index, (block, rate) in enumerate(zip(network.blocks, rates, strict=True)):
        if block.residual:
            assert rate == pytest.approx(0.2 * index / len(network.blocks))
        else:
            assert rate is None
    assert sum(rate is not None for rate in rates) == 9


@pytest.mark.parametrize(("given", "rate"), [(None, 0.2), (0.0, 0.0), (0.7, 0.7)])
def test_dropout_is_the_published_one_unless_given(given, rate):
    network = efficientnet.EfficientNet("efficientnet-b0", num_classes=3, dropout_rate=given)
    assert network.dropout_rate == network.head.dropout.rate == rate


def test_unknown_architecture_is_named():
    with pytest.raises(ValueError, match="efficientnet-b9"):
        efficientnet.EfficientNet("efficientnet-b9")


def test_config_round_trip():
    network = efficientnet.EfficientNet(
        "efficientnet-b0", num_classes=7, survival_prob=0.5, batch_norm={"momentum": 0.9}
    )
    twin = efficientnet.EfficientNet.from_config(network.get_config())
    assert twin.get_config() == network.get_config()
