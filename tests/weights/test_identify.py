import pytest

from efficientvision.tasks.choice import get_config
from efficientvision.weights.identify import apply_checkpoint_architecture, differences, identify
from tests.weights.conftest import classifier_shapes, member_shapes


@pytest.fixture(scope="module")
def vfpn_shapes():
    return member_shapes("vfpn")


def test_d0(d0_shapes):
    found = identify(d0_shapes)
    assert found.model == "efficientdet-d0" and found.candidates == ("efficientdet-d0",)
    assert found.backbone_name == "efficientnet-b0"
    assert (found.fpn_name, found.fpn_cell_repeats, found.fpn_num_filters) == ("bifpn", 3, 64)
    assert found.fpn_weight_method == "fastattn"
    assert (found.num_classes, found.anchors_per_location) == (90, 9)
    assert (found.min_level, found.max_level, found.box_class_repeats) == (3, 7, 3)
    assert found.heads == ("object_detection",) and found.separable_conv


def test_a_checkpoint_file_tells_the_same(d0_checkpoint, d0_shapes):
    assert identify(d0_checkpoint) == identify(d0_shapes)


def test_vfpn(vfpn_shapes):
    found = identify(vfpn_shapes)
    assert (found.model, found.fpn_name, found.fpn_cell_repeats) == ("efficientdet-d0", "vfpn", 8)
    assert found.num_classes == 20


def registry_shapes(name):
    """The few variables that tell a registry model, from its defaults alone."""
    config = get_config(name)
    filters = (config.fpn_num_filters,)
    shapes = {
        f"{config.backbone_name}/stem/conv2d/kernel": (3, 3, 3, 32),
        "class_net/class-predict/bias": (810,),
        "box_net/box-predict/bias": (36,),
    }
    levels = range(config.min_level, config.max_level + 1)
    for cell in range(config.fpn_cell_repeats):
        for node in range(2 * (len(levels) - 1)):
            scope = f"fpn_cells/cell_{cell}/fnode{node}"
            shapes[f"{scope}/op_after_combine{len(levels) + node}/bn/gamma"] = filters
    for repeat in range(config.box_class_repeats):
        shapes[f"box_net/box-{repeat}/bias"] = filters
        for level in levels:
            shapes[f"box_net/box-{repeat}-bn-{level}/gamma"] = filters
    return shapes


@pytest.mark.parametrize("name", [
    "efficientdet-d0", "efficientdet-d1", "efficientdet-d2", "efficientdet-d3", "efficientdet-d4",
    "efficientdet-d5", "efficientdet-d6", "efficientdet-d7", "efficientdet-d7x",
    "efficientdet-lite0", "efficientdet-lite1", "efficientdet-lite2", "efficientdet-lite3",
    "efficientdet-lite3x", "efficientdet-lite4",
])  # fmt: skip
def test_every_registry_model_is_told_apart(name):
    found = identify(registry_shapes(name))
    assert found.named(name) == name
    # d6 and d7 have the same variables.
    twins = ("efficientdet-d6", "efficientdet-d7")
    assert found.candidates == (twins if name in twins else (name,))


def test_a_classifier():
    found = identify(classifier_shapes())
    assert (found.model, found.fpn_name, found.num_classes) == ("efficientnet-b0", None, 1000)


def test_differences_name_both_sides(d0_shapes, vfpn_shapes):
    lines = differences(identify(vfpn_shapes), identify(d0_shapes))
    assert "fpn_name: checkpoint vfpn, model bifpn" in lines
    assert not any("num_classes" in line for line in lines)
    assert differences(identify(d0_shapes), identify(d0_shapes)) == []


def test_the_fusion_is_taken_from_the_checkpoint(vfpn_shapes):
    config = get_config("efficientdet-d0")
    lines = apply_checkpoint_architecture(config, identify(vfpn_shapes))
    assert (config.fpn_name, config.fpn_cell_repeats, config.num_classes) == ("vfpn", 8, 20)
    assert config.aspect_ratios == ((1.0, 1.0), (1.4, 0.7), (0.7, 1.4))
    assert any(line.startswith("fpn_name=vfpn") for line in lines)
    assert any(line.startswith("num_classes=20") for line in lines)


def test_what_the_user_gave_stays(vfpn_shapes):
    config = get_config("efficientdet-d0", "fpn_name=bifpn,num_classes=3,fpn_cell_repeats=3")
    assert apply_checkpoint_architecture(config, identify(vfpn_shapes)) == []
    assert (config.fpn_name, config.num_classes) == ("bifpn", 3)


def test_another_models_checkpoint_changes_the_fusion_only(vfpn_shapes):
    config = get_config("efficientdet-d1")
    apply_checkpoint_architecture(config, identify(vfpn_shapes))
    assert (config.fpn_name, config.fpn_num_filters, config.num_classes) == ("vfpn", 88, 90)
