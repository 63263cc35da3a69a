"""Model names and the numbers behind them, against the published tables."""

import json
import pathlib

import pytest

from efficientvision import registry
from efficientvision.errors import UserError
from efficientvision.tasks.choice import get_config

GOLDEN = json.loads((pathlib.Path(__file__).parent / "goldens/hparams.json").read_text())
PUBLISHED = GOLDEN["efficientdet_model_param_dict"] | GOLDEN["efficientdet_lite_param_dict"]


def test_every_published_detector_is_listed():
    assert set(registry.efficientdet_names()) == set(PUBLISHED)
    # SSD takes any backbone.
    assert set(registry.list_models("detection")) == {*PUBLISHED, *registry.backbone_names()}


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_defaults_are_the_published_ones(name):
    """The published table over the published common defaults gives the whole configuration."""
    expected = GOLDEN["default_detection_configs"] | PUBLISHED[name]
    for key in ("mean_rgb", "stddev_rgb"):  # One number stands for three equal channels.
        if not isinstance(expected[key], list):
            expected[key] = [expected[key]] * 3
    actual = get_config(name).as_dict()
    for key in set(expected) & set(actual) - {"nms_configs"}:
        assert actual[key] == expected[key], key


@pytest.mark.parametrize("name", ["efficientdet-d0", "efficientdet-d1", "efficientdet-d2"])
def test_vfpn_cells_are_the_published_ones(name):
    fork = GOLDEN["fork"]["master (VFPN)"]["model_overrides"]
    assert registry.vfpn_cell_repeats(name) == fork[name]["fpn_cell_repeats"]


@pytest.mark.parametrize("name", [f"efficientdet-d{scale}" for scale in range(1, 7)])
def test_vfpn_has_two_cells_for_each_of_the_quad_path_fork(name):
    fork = GOLDEN["fork"]["edet-quadfpn"]["model_overrides"]
    assert registry.vfpn_cell_repeats(name) == 2 * fork[name]["fpn_cell_repeats"]


def test_every_detector_has_vfpn_cells_that_do_not_shrink_along_the_family():
    family = registry.efficientdet_names()
    for prefix in ("efficientdet-d", "efficientdet-lite"):
        cells = [registry.vfpn_cell_repeats(n) for n in family if n.startswith(prefix)]
        assert cells == sorted(cells)


def test_backbones_of_detectors_exist():
    backbones = registry.backbone_names()
    for name in registry.efficientdet_names():
        assert registry.detection_defaults(name)["backbone_name"] in backbones


def test_classifier_sizes():
    """Resolutions of the EfficientNet paper, of the lite models' page, and of the EdgeNets."""
    paper = {0: 224, 1: 240, 2: 260, 3: 300, 4: 380, 5: 456, 6: 528, 7: 600}
    lite = {0: 224, 1: 240, 2: 260, 3: 280, 4: 300}
    expected = {f"efficientnet-b{scale}": size for scale, size in paper.items()}
    expected |= {f"efficientnet-lite{scale}": size for scale, size in lite.items()}
    edge = {
        "espnetv2": "0.5 1.0 1.25 1.5 2.0",
        "dicenet": "0.2 0.5 0.75 1.0 1.25 1.5 1.75 2.0 2.4",
        "shufflenetv2": "0.1 0.5 1.0 1.5 2.0",
    }
    expected |= {f"{name}_s_{s}": 224 for name, widths in edge.items() for s in widths.split()}
    assert set(registry.list_models("classification")) == set(expected)
    for name, size in expected.items():
        assert registry.classifier_image_size(name) == size


def test_tasks():
    tasks = ("detection", "classification", "segmentation")
    names = registry.list_models()
    assert set(names) == {name for task in tasks for name in registry.list_models(task)}
    assert len(names) == len(set(names))
    assert registry.task_of("efficientdet-lite3x") == "detection"
    assert registry.task_of("efficientnet-lite3") == "classification"
    assert registry.task_of("espnetv2_s_2.0", "segmentation") == "segmentation"
    assert registry.task_of("espnetv2_s_2.0", "detection") == "detection"
    with pytest.raises(UserError, match="detection"):
        registry.list_models("detecton")


def test_published_segmentation_networks_are_listed():
    golden = pathlib.Path(__file__).parent / "goldens/edgenets/segmentation.json"
    rows = json.loads(golden.read_text())["published_tables"]
    published = {row["model"] for row in rows}
    assert len(published) == 11
    # The decoder takes any backbone, and detectors have a head for it.
    detectors = set(registry.list_models("detection"))
    named = set(registry.list_models("segmentation"))
    assert published < named == set(registry.backbone_names()) | detectors


@pytest.mark.parametrize(
    ("name", "task", "says"),
    [
        (
            "efficientdet-d0",
            "classification",
            "supports detection and segmentation, not classification",
        ),
        ("dicenet_s_3.0", "detection", r"Unknown detection model.*dicenet_s_2\.0"),
        ("dicenet_s_3.0", "segmentation", r"Unknown segmentation model.*dicenet_s_2\.0"),
        ("espnet_s_1.0", None, r"Did you mean espnetv2_s_1\.0"),
        ("espnetv2_s_1.0", "segment", "Did you mean segmentation"),
    ],
)
def test_a_name_that_is_none_of_the_task(name, task, says):
    with pytest.raises(UserError, match=says):
        registry.task_of(name, task)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("efficientdet-d8", "efficientdet-d7"),
        ("EfficientDet-D0", "efficientdet-d0"),
        ("effdet-lite0", "efficientdet-lite0"),
        ("dicenet_s_9", r"dicenet_s_2\.4"),
        ("efficientnet-b0", "a backbone, not an EfficientDet"),
        ("", "efficientdet-d0"),
    ],
)
def test_unknown_detector_names_the_nearest(name, nearest):
    with pytest.raises(UserError, match=nearest):
        registry.detection_defaults(name)


def test_defaults_are_copies():
    registry.detection_defaults("efficientdet-d0")["image_size"] = 1
    assert registry.detection_defaults("efficientdet-d0")["image_size"] == 512
