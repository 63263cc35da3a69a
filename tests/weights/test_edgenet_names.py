import pytest

from efficientvision.weights import edgenet_names, names


@pytest.mark.parametrize(
    "path, name",
    [
        ("espnetv2_s_2.0/level1/conv/kernel", "level1.conv.weight"),
        ("espnetv2_s_2.0/espnetv2_s_2.0/level1/act/alpha", "level1.act.weight"),
        ("dicenet_s_1.75/level3.0/left_layer.0.cbr.0/kernel", "level3.0.left_layer.0.cbr.0.weight"),
        ("efficientdet-d0/shufflenetv2_s_0.5/level1/cbr.1/gamma", "level1.cbr.1.weight"),
        ("espnetv2_s_0.5-quick/level2_0/act/alpha", "level2_0.act.weight"),
        ("base_net/level4.6/br_after_cat/bn/beta", "base_net.level4.6.br_after_cat.bn.bias"),
        ("bu_dec_l4/merge_layer.3/bias", "bu_dec_l4.merge_layer.3.bias"),
        ("level5.4/bn/moving_mean", "level5.4.bn.running_mean"),
        ("level5.4/bn/moving_variance", "level5.4.bn.running_var"),
        # The other family keeps its own form.
        ("efficientdet-d0/class_net/class-predict/bias", "class_net/class-predict/bias"),
        ("efficientnet-b0/stem/conv2d/kernel", "efficientnet-b0/stem/conv2d/kernel"),
    ],
)
def test_names_of_paths(path, name):
    assert names.canonical_name(names.name_from_keras_path(path)) == name


@pytest.mark.parametrize(
    "name, part, stage",
    [
        ("level3_0.eesp.proj_1x1.conv.weight", "backbone", "level3"),
        ("base_net.level5_0.act.weight", "backbone", "level5"),
        ("base_net.basenet.level1.conv.weight", "backbone", "level1"),
        ("classifier.2.bias", "classifier_head", "classifier_head"),
        ("eff_pool_16x16.stages.0.weight", "decoder", "decoder"),
        ("base_net.extra_level6.0.conv.weight", "pyramid", "pyramid"),
        ("loc_layers.3.bias", "box_heads", "box_heads"),
        ("cls_layers.3.bias", "class_heads", "class_heads"),
        ("conv_stem.weight", "conv_stem", "conv_stem"),
        ("efficientnet-b0/stem/conv2d/kernel", "backbone", "backbone"),
    ],
)
def test_parts_and_stages(name, part, stage):
    assert (names.part_of(name), names.stage_of(name)) == (part, stage)


@pytest.mark.parametrize(
    "name, is_head",
    [
        ("classifier.weight", True),
        ("classifier.2.bias", True),
        ("classifier.0.weight", False),
        ("bu_dec_l4.merge_layer.3.weight", True),
        ("eff_pool_128x128.merge_layer.3.bias", True),
        ("bu_dec_l4.merge_layer.2.cbr.0.weight", False),
        ("cls_layers.0.weight", True),
        ("loc_layers.0.weight", False),
        ("level5.4.conv.weight", False),
    ],
)
def test_layers_that_depend_on_the_classes(name, is_head):
    assert names.is_class_head(name) == is_head


@pytest.mark.parametrize("source", edgenet_names.ENCODER_PREFIXES)
@pytest.mark.parametrize("target", edgenet_names.ENCODER_PREFIXES)
def test_encoders_move_to_their_place_and_nothing_else_moves(source, target):
    others = ["classifier.weight", "base_net.extra_level6.act.weight", "bu_br_l2.1.weight"]
    theirs = [f"{source}level1.conv.weight", f"{source}level5.0.act.weight", *others]
    moved = edgenet_names.fitting_names(theirs, [f"{target}level1.conv.weight", "head.weight"])
    assert list(moved) == theirs
    expected = [f"{target}level1.conv.weight", f"{target}level5.0.act.weight", *others]
    assert list(moved.values()) == expected


def test_names_stay_where_one_side_has_no_encoder():
    for theirs, ours in ((["a.weight"], ["level1.act.weight"]), (["base_net.level1.x"], ["b.c"])):
        assert edgenet_names.fitting_names(theirs, ours) == {name: name for name in theirs}
