"""Detectors against the published variables and outputs, loaded from a checkpoint of their kind."""

import gzip
import json
import pathlib

import numpy as np
import pytest

from efficientvision.api import build_model, load_weights
from efficientvision.exports.flops import multiply_adds
from efficientvision.weights.names import published_variables
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint
from tests.goldens.fill import fill, make_input

FOLDER = pathlib.Path(__file__).parents[2] / "goldens"
GOLDENS = json.loads(gzip.decompress((FOLDER / "networks.json.gz").read_bytes()))
OUTPUTS = np.load(FOLDER / "networks.npz")

# The filled lite0 amplifies rounding: computed in float64 it is 1.9e-4 away from the reference
# outputs themselves, and our float32 outputs are as far from float64. Its backbone alone agrees
# with the reference to the last bit (tests/backbones).
TOLERANCES = {"efficientdet-lite0": 5e-4}

# Trainable and total parameters, and the multiply-adds (billions) that the authors publish.
SIZES = {
    "efficientdet-d0": (3_880_067, 3_927_203),
    "efficientdet-d1": (6_625_898, 6_697_354),
    "efficientdet-d2": (8_097_039, 8_178_815),
    "efficientdet-d3": (12_032_296, 12_146_600),
    "efficientdet-d4": (20_723_675, 20_890_987),
    "efficientdet-d5": (33_653_315, 33_880_707),
    "efficientdet-d6": (51_871_782, 52_183_766),
    "efficientdet-d7": (51_871_782, 52_183_766),
    "efficientdet-d7x": (77_147_166, 77_564_894),
    "efficientdet-lite0": (3_243_470, 3_290_606),
    "efficientdet-lite1": (4_248_318, None),
    "efficientdet-lite2": (5_252_334, None),
    "efficientdet-lite3": (8_350_862, None),
    "efficientdet-lite4": (15_130_894, None),
    "efficientdet-lite3x": (9_280_862, None),
}
VFPN_SIZES = {
    "efficientdet-d0": (4_510_794, 4_568_170),
    "efficientdet-d1": (7_820_310, 7_909_014),
    "efficientdet-d2": (10_632_848, 10_746_432),
}
SHALLOW = {"fpn_cell_repeats": 1, "box_class_repeats": 1}
# By case of a golden, too.
ALL_SIZES = SIZES | {f"{name}_vfpn": counts for name, counts in VFPN_SIZES.items()}


def sizes(model):
    return tuple(
        sum(int(np.prod(v.shape)) for v in variables)
        for variables in (model.trainable_weights, model.weights)
    )


# D0 by itself is in the one with a segmentation head; how inputs of a node are weighed is tested
# with one node (tests/layers/test_fusion.py).
FAST = {
    "efficientdet-d0_seg",
    "efficientdet-d0_qufpn",
    "efficientdet-d0_vfpn",
    "efficientdet-lite0",
}


@pytest.mark.published_depth
@pytest.mark.parametrize(
    "case",
    [
        case if case in FAST else pytest.param(case, marks=pytest.mark.slow)
        for case in sorted(GOLDENS)
    ],
)
def test_variables_and_outputs(case, tmp_path):
    golden = GOLDENS[case]
    model = build_model(golden["model_name"], image_size=128, **golden["hyper_parameters"])
    variables = {n: (list(v.shape), v.trainable) for n, v in published_variables(model).items()}
    assert variables == {n: (shape, train) for n, shape, train in golden["variables"]}
    if case in ALL_SIZES:
        assert sizes(model) == ALL_SIZES[case]
    path = write_tf1_checkpoint(
        tmp_path / "model", {n: fill(n, shape) for n, (shape, _) in variables.items()}
    )
    report = load_weights(model, path, verbose=False)
    assert not report.missing and not report.skipped

    results = model(make_input(128))
    by_name = {}
    for kind, outputs in zip(("class", "box"), results, strict=False):
        by_name |= {f"{kind}_{level}": x for level, x in enumerate(outputs, start=3)}
    if len(results) == 3:
        by_name["segmentation"] = results[2]
    assert by_name.keys() == golden["largest"].keys()
    for name, result in by_name.items():
        step = 10 if name.startswith("class") else 3 if name.startswith("box") else 1
        result = np.asarray(result)[..., ::step]
        difference = np.abs(result - OUTPUTS[f"{case}/{name}"]).max() / golden["largest"][name]
        assert difference < TOLERANCES.get(case, 1e-4), (name, difference)


@pytest.mark.slow
@pytest.mark.published_depth
@pytest.mark.parametrize("name", sorted({*SIZES} - {*GOLDENS}))
def test_sizes(name):
    # Parameters do not depend on the image size, which the smallest builds quickest with.
    trainable, total = sizes(build_model(name, image_size=256))
    assert trainable == SIZES[name][0]
    assert SIZES[name][1] in (None, total)


@pytest.mark.slow
@pytest.mark.published_depth
@pytest.mark.parametrize("name", ["efficientdet-d1", "efficientdet-d2"])
def test_vfpn_sizes(name):
    assert sizes(build_model(name, fpn_name="vfpn", image_size=256)) == VFPN_SIZES[name]


@pytest.mark.slow
@pytest.mark.published_depth
@pytest.mark.parametrize(
    "case",
    [
        "efficientdet-lite0",
        "efficientdet-d0_vfpn",
        "efficientdet-d0_qufpn",
        "efficientdet-d0_seg",
    ],
)
def test_multiply_adds(case):
    golden = GOLDENS[case]
    model = build_model(golden["model_name"], **golden["hyper_parameters"])
    count = multiply_adds(model, model.input_shape[1:3]).whole
    assert count == pytest.approx(golden["multiply_adds"], rel=0.01)


def test_odd_sizes_give_the_levels_of_the_anchors():
    class_outputs, box_outputs = build_model(
        "efficientdet-lite0", image_size="201x130", num_classes=2, **SHALLOW
    )(np.zeros((2, 130, 201, 3), np.float32))
    expected = [(17, 26), (9, 13), (5, 7), (3, 4), (2, 2)]
    assert [tuple(x.shape[1:3]) for x in class_outputs] == expected
    assert [x.shape[-1] for x in box_outputs] == [36] * 5
    assert class_outputs[0].shape == (2, 17, 26, 18)


def test_first_predictions_are_one_percent():
    class_outputs, _ = build_model("efficientdet-d0", image_size=64, num_classes=2, **SHALLOW)(
        np.zeros((1, 64, 64, 3), np.float32)
    )
    mean = np.mean([float(np.mean(1 / (1 + np.exp(-np.asarray(x))))) for x in class_outputs])
    assert mean == pytest.approx(0.01, abs=0.003)
