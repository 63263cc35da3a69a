"""build_model: which network a name and a task give, and what is refused."""

import importlib
import pathlib
import subprocess
import sys

import pytest

import efficientvision
from efficientvision.api import build_model
from efficientvision.errors import UserError


def test_the_task_decides_what_a_name_gives():
    options = {"num_classes": 3, "image_size": "96x64"}
    by_default = build_model("shufflenetv2_s_0.1", **options)
    assert by_default.output_shape == (None, 3)
    assert build_model("shufflenetv2_s_0.1", "classification", **options).output_shape == (None, 3)
    segmenter = build_model("shufflenetv2_s_0.1", "segmentation", **options)
    assert segmenter.output_shape == (None, 64, 96, 3)


def test_a_segmenter_is_built_as_published():
    """21 classes at 384x384, PASCAL VOC's; DiCENet's kernels are for images of 224."""
    model = build_model("dicenet_s_0.2", task="segmentation")
    assert model.output_shape == (None, 384, 384, 21)
    assert model.get_layer("base_net").build_hw == (224, 224)
    smaller = build_model("dicenet_s_0.2", task="segmentation", image_size=64, build_size="128x96")
    assert smaller.get_layer("base_net").build_hw == (96, 128)


def test_an_ssd_is_built_as_published():
    """21 classes, background included, at 300x300: 11,640 priors."""
    model = build_model("shufflenetv2_s_0.1", task="detection")
    assert list(model.output_shape) == [(None, 11640, 21), (None, 11640, 4)]
    assert model.input_shape == (None, 300, 300, 3)
    # The same backbone in an EfficientDet is another network.
    other = build_model(
        "efficientdet-d0", backbone_name="shufflenetv2_s_0.1", image_size=128, fpn_cell_repeats=1
    )
    assert len(other.outputs) == 10


@pytest.mark.parametrize(
    ("name", "task", "options", "says"),
    [
        ("espnetv2_s_2.0", "segmentatoin", {}, "Did you mean segmentation"),
        ("espnetv2_s_2", "segmentation", {}, r"Did you mean espnetv2_s_2\.0"),
        (
            "efficientdet-d0",
            "classification",
            {},
            "supports detection and segmentation, not classification",
        ),
        ("espnetv2_s_0.5", "segmentation", {"num_clases": 3}, "Did you mean num_classes"),
        ("espnetv2_s_0.5", "segmentation", {"dropout_rate": 0.1}, "Valid names: num_classes"),
        ("espnetv2_s_0.5", "segmentation", {"build_size": 224}, "has no hyper-parameter"),
        ("espnetv2_s_0.5", "segmentation", {"num_classes": 0}, "whole number of at least 1; got 0"),
        ("espnetv2_s_0.5", "segmentation", {"pyramid_width": "x"}, "pyramid_width must be"),
        ("espnetv2_s_0.5", "segmentation", {"image_size": "64x"}, "image_size"),
        ("espnetv2_s_0.5", None, {"decoder_width": 16}, "for classification"),
        ("espnetv2_s_0.5", "detection", {"decoder_width": 16}, "for detection"),
        ("espnetv2_s_0.5", "detection", {"num_classes": 1}, "whole number of at least 2; got 1"),
    ],
)
def test_mistakes(name, task, options, says):
    with pytest.raises(UserError, match=says):
        build_model(name, task, **options)


def test_with_keras_already_there_the_package_brings_its_layers(monkeypatch):
    """With Keras imported later, a new process sees it (tests/read_networks.py)."""
    imported = []
    monkeypatch.setattr(importlib, "import_module", imported.append)
    importlib.reload(efficientvision)
    assert imported == [
        "efficientvision.tasks.detection.efficientdet",
        "efficientvision.tasks.detection.ssd",
        "efficientvision.tasks.segmentation.network",
    ]


@pytest.mark.slow
def test_a_plain_import_registers_every_layer():
    """Otherwise `keras.saving.load_model` does not find them in a new process."""
    package = pathlib.Path(efficientvision.__file__).parent
    with_layers = {
        ".".join(path.relative_to(package.parent).with_suffix("").parts)
        for path in package.rglob("*.py")
        if "@keras.saving.register_keras_serializable" in path.read_text()
    }
    assert "efficientvision.layers.resample" in with_layers
    program = "import sys, efficientvision, keras; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=package.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert with_layers <= set(done.stdout.split())
