"""SSD detectors against the original's outputs, sizes and counts."""

import functools
import gzip
import json
import pathlib

import keras
import numpy as np
import pytest

from efficientvision.api import build_model, load_weights
from efficientvision.errors import UserError
from efficientvision.exports.flops import count_convolution_multiply_adds
from efficientvision.tasks.classification.network import build_classifier
from efficientvision.weights.identify import identify
from tests.filled_edge_network import filled
from tests.filled_edge_network import noise as reference_noise
from tests.filled_segmenter import filled_model, weights_of
from tests.filled_ssd import filled_ssd
from tests.weights.made_torch_files import write_zip

GOLDENS = pathlib.Path(__file__).parents[2] / "goldens" / "edgenets" / "ssd"
NETWORKS = json.loads(gzip.decompress((GOLDENS / "networks.json.gz").read_bytes()))
OUTPUTS = np.load(GOLDENS / "networks.npz")
HW = (96, 128)
CASES = ["voc_300", pytest.param("coco_512", marks=pytest.mark.slow)]


def parameters(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_weights)


@functools.cache
def built(case):
    golden = NETWORKS[case]
    options = {"num_classes": golden["classes"], "image_size": golden["size"]}
    return build_model(golden["model"], task="detection", **options)


@pytest.mark.published_depth
@pytest.mark.parametrize("case", CASES)
def test_outputs_of_the_original(case, tmp_path):
    """Every weight by its published name, from a file as it was published."""
    golden = NETWORKS[case]
    arrays = {name: filled(name, shape, kind) for name, shape, kind in golden["state_dict"]}
    write_zip(tmp_path / "ssd.pth", arrays)
    found = identify(tmp_path / "ssd.pth")
    assert (found.model, found.task) == (golden["model"], "detection")
    assert found.num_classes == golden["classes"]
    model = built(case)
    report = load_weights(model, tmp_path / "ssd.pth", verbose=False)
    assert len(report.loaded) == len(model.weights)
    assert not report.missing and not report.unused and not report.skipped
    assert set(report.counts()) == {"backbone", "pyramid", "class_heads", "box_heads"}

    images = reference_noise((1, 3, golden["size"], golden["size"]))
    stages = [name for name in golden["stages"] if "basenet" not in name and "level8" not in name]
    inner = keras.Model(
        model.input, [*model.outputs, *(model.get_layer(name).output for name in stages)]
    )
    confidences, locations, *maps = (np.asarray(x)[0] for x in inner(images))
    for name, value in zip(stages, maps, strict=True):
        (_, channels, height, width), mean, std = golden["stages"][name]
        assert value.shape == (height, width, channels), name
        assert value.mean() == pytest.approx(mean, rel=1e-4), name
        assert value.std() == pytest.approx(std, rel=1e-4), name
    for value, name in ((confidences, "conf"), (locations, "loc")):
        chosen = OUTPUTS[f"{case}/{name}"]
        tolerance = 1e-5 * np.abs(chosen).max()
        assert np.abs(value[OUTPUTS[f"{case}/prior_index"]] - chosen).max() < tolerance
        assert np.abs(value[-40:] - OUTPUTS[f"{case}/{name}_tail"]).max() < tolerance


@pytest.mark.slow
@pytest.mark.published_depth
@pytest.mark.parametrize("case", ["voc_300", "coco_512"])
def test_counts_of_the_original(case):
    golden = NETWORKS[case]
    model = built(case)
    assert parameters(model) == golden["parameters"]
    count = count_convolution_multiply_adds(model, model.input_shape[1:3])
    assert count / 1e6 == pytest.approx(golden["mega_multiply_adds"], rel=1e-6)


@pytest.mark.slow
@pytest.mark.published_depth
@pytest.mark.parametrize(
    "classes, size, billions, millions",
    [(21, 512, 2.5, 4.75), (81, 300, 1.1, 5.81)],
)
def test_published_table(classes, size, billions, millions):
    """Rows of the authors' table without a golden; some counts are rounded, some cut (1.165)."""
    model = build_model("espnetv2_s_2.0", "detection", num_classes=classes, image_size=size)
    count = count_convolution_multiply_adds(model, (size, size))
    assert billions - 0.05 <= count / 1e9 < billions + 0.1
    assert round(parameters(model) / 1e6, 2) == millions


def test_dicenet_stands_on_what_its_level_5_has():
    """464 channels at width 1.0; levels 6 to 8 have 1024, 512 and 256."""
    model = build_model("dicenet_s_1.0", "detection", num_classes=5, image_size=512)
    shapes = {name: tuple(value.shape) for name, value in weights_of(model).items()}
    expected = {
        "base_net.extra_level6.layer.0.cbr.0.weight": (3, 3, 1, 464),
        "base_net.extra_level6.layer.1.cbr.0.weight": (1, 1, 464, 1024),
        "base_net.extra_level7.layer.1.cbr.0.weight": (1, 1, 1024, 512),
        "base_net.extra_level8.0.weight": (3, 3, 512, 512),
        "base_net.extra_level8.1.running_var": (512,),
        "base_net.extra_level8.3.weight": (2, 2, 512, 256),
        "base_net.bu_5x5_10x10.projection_layer.cbr.0.weight": (1, 1, 464 + 1024, 92),
        "base_net.bu_5x5_10x10.merge_layer.2.cbr.0.weight": (3, 3, 5, 92),
        "base_net.bu_19x19_38x38.merge_layer.3.weight": (1, 1, 23, 116),
        "loc_layers.2.weight": (1, 1, 464, 24),
        "cls_layers.5.weight": (1, 1, 256, 30),
    }
    assert {name: shapes.get(name) for name in expected} == expected
    assert not any("level8.1.weight" in name and len(shapes[name]) == 4 for name in shapes)
    assert model.get_layer("base_net.basenet").build_hw == (224, 224)
    # One body for every size, which ends in one cell.
    small = build_model("dicenet_s_1.0", "detection", num_classes=5, image_size=300)
    assert {name: tuple(value.shape) for name, value in weights_of(small).items()} == shapes
    for network in (model, small):
        last = network.get_layer("base_net.extra_level8.3").output
        assert last.shape[1:3] == (1, 1)


@pytest.mark.parametrize(
    "name",
    ["espnetv2_s_0.5", pytest.param("dicenet_s_0.2", marks=pytest.mark.slow), "shufflenetv2_s_0.1"],
)
def test_identification(name, tmp_path):
    model = filled_ssd(name, num_classes=4, image_size=HW)
    model.save_weights(tmp_path / "model.weights.h5")
    found = identify(tmp_path / "model.weights.h5")
    assert (found.model, found.task, found.num_classes) == (name, "detection", 4)
    expected = model.get_weights()
    filled_model(model, seed=1)
    report = load_weights(model, tmp_path / "model.weights.h5", verbose=False)
    assert len(report.loaded) == len(model.weights)
    for value, other in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(value, other)


def test_efficientnet_takes_the_same_detector(tmp_path):
    build_classifier("efficientnet-b0", image_hw=HW, num_classes=3).save_weights(
        tmp_path / "b0.weights.h5"
    )
    model = build_model("efficientnet-b0", "detection", num_classes=5, image_size=HW)
    report = load_weights(model, tmp_path / "b0.weights.h5", verbose=False)
    assert report.backbone_match == 1
    assert {name.partition(".")[0] for name in report.missing} == {
        "base_net",
        "cls_layers",
        "loc_layers",
    }
    model.save_weights(tmp_path / "ssd.weights.h5")
    report = load_weights(model, tmp_path / "ssd.weights.h5", verbose=False)
    assert len(report.loaded) == len(model.weights) and not report.unused
    found = identify(tmp_path / "ssd.weights.h5")
    assert (found.model, found.task, found.num_classes) == ("efficientnet-b0", "detection", 5)


def test_a_classifier_begins_a_detector(tmp_path):
    """With the two convolutions that end ESPNetv2's level 5; the classes are another matter."""
    source = build_classifier("espnetv2_s_0.5", image_hw=(64, 64), num_classes=3)
    source.save_weights(tmp_path / "cls.weights.h5")
    model = filled_ssd("espnetv2_s_0.5", num_classes=4, image_size=HW)
    report = load_weights(model, tmp_path / "cls.weights.h5", verbose=False)
    assert report.backbone_match == 1 and not report.skipped
    weights, theirs = weights_of(model), weights_of(source)
    for name in ("level5.4.conv.weight", "level5_0.inp_reinf.1.conv.weight"):
        np.testing.assert_array_equal(weights[f"base_net.basenet.{name}"], theirs[name])


def test_other_classes_keep_their_class_heads(tmp_path):
    source = filled_ssd("shufflenetv2_s_0.1", num_classes=21, image_size=HW, seed=1)
    source.save_weights(tmp_path / "voc.weights.h5")
    model = filled_ssd("shufflenetv2_s_0.1", num_classes=4, image_size=HW)
    before = weights_of(model)
    report = load_weights(model, tmp_path / "voc.weights.h5", verbose=False)
    assert {name.rpartition(".")[0] for name in report.skipped} == {
        f"cls_layers.{i}" for i in range(6)
    }
    after, theirs = weights_of(model), weights_of(source)
    np.testing.assert_array_equal(after["cls_layers.0.weight"], before["cls_layers.0.weight"])
    np.testing.assert_array_equal(after["loc_layers.5.weight"], theirs["loc_layers.5.weight"])


def test_another_plan_is_refused(tmp_path):
    source = filled_ssd("shufflenetv2_s_0.1", num_classes=4, image_size=HW)
    source.save_weights(tmp_path / "ssd.weights.h5")
    segmenter = build_model("shufflenetv2_s_1.0", "segmentation", num_classes=4, image_size=HW)
    with pytest.raises(UserError, match=r"shufflenetv2_s_0\.1 for detection with 4 classes"):
        load_weights(segmenter, tmp_path / "ssd.weights.h5", verbose=False)


def test_kernels_start_within_glorots_bounds():
    """sqrt(6 / (inputs + outputs)), by which the original starts a detector."""
    model = build_model("shufflenetv2_s_0.5", "detection", num_classes=21, image_size=HW)
    kernels = [v for v in model.trainable_weights if v.name == "kernel" and v.shape[-1] >= 96]
    assert len(kernels) > 20
    for kernel in kernels:
        size, _, inputs, outputs = kernel.shape
        # As float32, which the draws are: the largest may be the bound itself, rounded up.
        bound = np.float32(np.sqrt(6.0 / (size * size * (inputs + outputs))))
        largest = np.abs(kernel.numpy()).max()
        assert 0.9 * bound < largest <= bound, kernel.path
