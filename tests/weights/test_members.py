"""Members of the EfficientDet family: identified, named, read and written like D0."""

import numpy as np
import pytest

from efficientvision.weights.checkpoint_reader import open_checkpoint
from efficientvision.weights.identify import identify
from efficientvision.weights.load import load_weights
from efficientvision.weights.names import published_variables
from efficientvision.weights.object_attributes import AttributeNames
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint
from tests.goldens.fill import fill
from tests.weights.attribute_paths import attribute_path
from tests.weights.conftest import MEMBERS, assert_filled, member, member_shapes, values_of

IDENTIFIED = {
    "d1": {"model": "efficientdet-d1", "backbone_name": "efficientnet-b1"},
    "lite0_qufpn": {
        "model": "efficientdet-lite0",
        "fpn_name": "qufpn",
        "fpn_weight_methods": ("sum",),
    },
    "vfpn": {"model": "efficientdet-d0", "fpn_name": "vfpn", "num_classes": 20},
    "channel_attn_segmentation": {
        "fpn_name": "bifpn",
        "fpn_weight_methods": ("channel_fastattn", "channel_attn"),
        "separable_conv": False,
        "heads": ("object_detection", "segmentation"),
        "seg_num_classes": 3,
    },
    "levels_2_to_6": {
        "model": None,
        "min_level": 2,
        "max_level": 6,
        "anchors_per_location": 4,
        "num_classes": 7,
        "fpn_name": "bifpn",
        "fpn_cell_repeats": 2,
        "box_class_repeats": 1,
    },
}


@pytest.fixture(scope="module")
def name(request):
    """One after the other, so that each network is built in one process."""
    return request.param


@pytest.mark.parametrize("name", IDENTIFIED, indirect=True)
def test_identified_by_names_and_shapes(name):
    found = identify(member_shapes(name))
    expected = IDENTIFIED[name]
    assert {key: getattr(found, key) for key in expected} == expected


@pytest.mark.parametrize(
    "name",
    ["d1", "lite0_qufpn", "channel_attn_segmentation", "levels_2_to_6", "levels_3_to_8"],
    indirect=True,
)
def test_the_rule_of_attributes_names_them_all(name):
    shapes = member_shapes(name)
    min_level = MEMBERS[name].get("min_level", 3)
    expected = {attribute_path(n, shapes, min_level): n for n in shapes}
    assert len(expected) == len(shapes)
    rule = AttributeNames({path: shapes[n] for path, n in expected.items()})
    assert {path: rule.name(path) for path in expected} == expected


@pytest.mark.parametrize(
    "name", ["vfpn", "channel_attn_segmentation", "lite0_qufpn"], indirect=True
)
def test_loaded_whole(name, tmp_path):
    model = member(name)
    arrays = {n: fill(n, v.shape) for n, v in published_variables(model).items()}
    report = load_weights(model, write_tf1_checkpoint(tmp_path / "model", arrays), verbose=False)
    assert len(report.loaded) == len(model.weights) and not report.unused
    assert_filled(model)


@pytest.mark.parametrize(
    "name",
    [pytest.param("vfpn", marks=pytest.mark.slow), "channel_attn_segmentation"],
    indirect=True,
)
def test_keras3_names(name, tmp_path):
    model = member(name)
    model.save_weights(tmp_path / "model.weights.h5")
    expected = values_of(model)
    reader = open_checkpoint(tmp_path / "model.weights.h5")
    assert reader.names() == {n: value.shape for n, value in expected.items()}
    read = reader.read_many(expected)
    assert all(np.array_equal(read[n], expected[n]) for n in expected)
