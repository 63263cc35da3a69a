"""Small networks and checkpoints that the tests of this folder share."""

from __future__ import annotations

import contextlib
import functools
import json

import numpy as np
import pytest

from efficientvision.backbones.encoder import efficientnet_backbone
from efficientvision.tasks.classification import network as classifier
from efficientvision.tasks.detection.efficientdet import efficientdet
from efficientvision.weights.names import published_variables
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint
from tests.depth import set_depth
from tests.goldens.fill import fill
from tests.store import stored

IMAGE_HW = (64, 64)


@functools.cache
def build_detector(name="efficientdet-d0", backbone="efficientnet-b0", num_classes=90, **options):
    """A detector of 64x64 pixels (sizes change no variable), built once for all tests.

    Its values are whatever the last test left: a test sets those that it needs.
    """
    return efficientdet(
        name=name,
        backbone=efficientnet_backbone(backbone),
        image_hw=IMAGE_HW,
        num_classes=num_classes,
        **options,
    )


@contextlib.contextmanager
def shallow():
    """Networks that are built in it have one unit a stage: names repeat beyond that."""
    set_depth(published=False)
    yield
    set_depth(published=True)


SMALL = {"fpn_cell_repeats": 1, "box_class_repeats": 1}


@functools.cache
def small_detector(num_classes):
    """A D0 of one fusion cell, one unit a stage and one convolution a head; as `build_detector`."""
    with shallow():
        return build_detector(num_classes=num_classes, **SMALL)


# Members of the family that several tests look at.
MEMBERS = {
    "d1": {
        "name": "efficientdet-d1",
        "backbone": "efficientnet-b1",
        "fpn_num_filters": 88,
        "fpn_cell_repeats": 4,
    },
    "lite0_qufpn": {
        "name": "efficientdet-lite0",
        "backbone": "efficientnet-lite0",
        "act_type": "relu6",
        "fusion": "qufpn",
        "fpn_weight_method": "sum",
    },
    "vfpn": {"fusion": "vfpn", "fpn_cell_repeats": 8, "num_classes": 20},
    "channel_attn_segmentation": {
        "fpn_weight_method": "channel_attn",
        "separable_conv": False,
        "heads": ("object_detection", "segmentation"),
        **SMALL,
    },
    "levels_2_to_6": {
        "min_level": 2,
        "max_level": 6,
        "anchors_per_location": 4,
        "num_classes": 7,
        "fpn_cell_repeats": 2,
        "box_class_repeats": 1,
    },
    "levels_3_to_8": {"max_level": 8, **SMALL},
}


def member(name):
    """One of `MEMBERS`; as `build_detector`."""
    return build_detector(**MEMBERS[name])


def _shapes(name, build):
    """Published name -> shape of a network that is built once in a run, if only these matter."""

    def write(folder):
        shapes = {n: list(map(int, v.shape)) for n, v in published_variables(build()).items()}
        (folder / "shapes.json").write_text(json.dumps(shapes))

    folder = stored(f"weights-shapes-of-{name}", write)
    shapes = json.loads((folder / "shapes.json").read_text())
    return {name: tuple(shape) for name, shape in shapes.items()}


def member_shapes(name):
    """Published name -> shape of the variables of one of `MEMBERS`."""
    return _shapes(name, lambda: member(name))


@functools.cache
def build_classifier():
    """EfficientNet-B0 with its head of 1000 classes, built once for all tests."""
    return classifier.build_classifier("efficientnet-b0", image_hw=IMAGE_HW)


def classifier_shapes():
    """Published name -> shape of its variables."""
    return _shapes("classifier", build_classifier)


def values_of(model) -> dict[str, np.ndarray]:
    """Copies of a model's weights by published name."""
    return {n: v.numpy().copy() for n, v in published_variables(model).items()}


def assert_filled(model, scale: float = 1.0, only=lambda name: True):
    """Every variable (that `only` picks) holds the reference rule's values, exactly."""
    for name, value in values_of(model).items():
        if only(name):
            np.testing.assert_array_equal(
                value, np.float32(scale) * fill(name, value.shape), err_msg=name
            )


@pytest.fixture(scope="session")
def d0():
    """The D0 with 90 classes."""
    return build_detector()


@pytest.fixture
def blank_d0(d0):
    """The shared D0, every weight zero."""
    for variable in d0.weights:
        variable.assign(np.zeros(variable.shape, np.float32))
    return d0


@pytest.fixture(scope="session")
def d0_shapes():
    """Published name -> shape of D0's variables."""
    return _shapes("d0", build_detector)


@pytest.fixture(scope="session")
def d0_arrays(d0_shapes):
    """Published name -> reference value of D0's variables."""
    return {name: fill(name, shape) for name, shape in d0_shapes.items()}


@pytest.fixture(scope="session")
def d0_checkpoint(tmp_path_factory, d0_arrays):
    """A TF1 checkpoint of D0 as published: raw values, no averages, an optimizer's leavings."""
    prefix = tmp_path_factory.mktemp("efficientdet-d0") / "model"
    extra = {
        "global_step": np.int64(7),
        "efficientnet-b0/stem/conv2d/kernel/Momentum": np.zeros(3, np.float32),
    }
    return write_tf1_checkpoint(prefix, {**d0_arrays, **extra})
