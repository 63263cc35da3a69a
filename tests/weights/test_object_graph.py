import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.weights.automl import load_weights
from efficientvision.weights.checkpoint_reader import open_checkpoint
from efficientvision.weights.names import published_variables
from efficientvision.weights.object_attributes import AttributeNames, level_channels
from tests.goldens.fill import fill
from tests.weights.conftest import assert_filled, build_detector

GOLDENS = Path(__file__).parent.parent / "goldens"
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


@pytest.fixture(scope="module")
def attribute_of():
    """Published name -> attribute path of the original's D0, all 709 of them."""
    return json.loads((GOLDENS / "tf2_object_keys_d0.json").read_text())


class Node(tf.Module):
    """An object whose attributes are set from outside."""


def object_tree(arrays, attribute_of, named):
    """Objects with the original's attributes, lists included; variables named on request."""
    root = Node()
    for name, value in arrays.items():
        path = attribute_of[name].split("/")
        place = root
        for key, following in zip(path[:-1], path[1:], strict=True):
            make = list if following.isdigit() else Node
            if key.isdigit():
                while len(place) <= int(key):
                    place.append(make())
                place = place[int(key)]
            else:
                if not hasattr(place, key):
                    setattr(place, key, make())
                place = getattr(place, key)
        setattr(place, path[-1], tf.Variable(value, name=name if named else None))
    return root


@pytest.mark.parametrize("named", [True, False], ids=["with_names", "by_attributes"])
def test_an_object_checkpoint_is_loaded_whole(tmp_path, d0_arrays, attribute_of, blank_d0, named):
    root = object_tree(d0_arrays, attribute_of, named)
    prefix = tf.train.Checkpoint(root).save(str(tmp_path / "ckpt"))
    stored = tf.train.load_checkpoint(prefix).get_variable_to_shape_map()
    assert {key.removesuffix(VALUE) for key in stored} >= set(attribute_of.values())

    report = load_weights(blank_d0, tmp_path, verbose=False)
    assert report.kind == "tf2" and len(report.loaded) == 709 and not report.unused
    assert_filled(blank_d0)


def test_the_rule_names_all_of_d0(attribute_of, d0_shapes):
    rule = AttributeNames({attribute_of[name]: shape for name, shape in d0_shapes.items()})
    assert {rule.name(path) for path in attribute_of.values()} == set(attribute_of)
    assert all(rule.name(path) == name for name, path in attribute_of.items())


def attribute_path(name, min_level):
    """The original's attribute path of a published name: the rule, the other way round."""
    parts = name.split("/")
    if parts[0].startswith("resample_p"):
        return "/".join(["resample_layers", str(int(parts[0][10:]) - 6), *parts[1:]])
    if parts[0] == "fpn_cells":
        out = []
        for part in parts:
            if part.startswith(("cell_", "fnode")):
                out += ["cells" if part[0] == "c" else "fnodes", part.strip("cel_fnod")]
            elif part.startswith("op_after_combine"):
                out.append("op_after_combine")
            elif part.startswith("resample_"):
                out += ["resample_layers", part.split("_")[1]]
            else:
                out.append("conv_op" if part == "conv" else part)
        return "/".join(out)
    if parts[0] in ("class_net", "box_net"):
        pieces = parts[1].split("-")
        if pieces[1] == "predict":
            middle = ["classes" if parts[0] == "class_net" else "boxes"]
        elif len(pieces) == 2:
            middle = ["conv_ops", pieces[1]]
        else:
            middle = ["bns", pieces[1], str(int(pieces[3]) - min_level)]
        return "/".join([parts[0], *middle, parts[-1]])
    return None


@pytest.mark.parametrize(
    "options",
    [
        {"name": "efficientdet-d1", "backbone": "efficientnet-b1", "fpn_num_filters": 88},
        {"name": "efficientdet-lite0", "backbone": "efficientnet-lite0"},
        {"min_level": 2, "max_level": 6},
        {"max_level": 8},
        {"fusion": "qufpn"},
    ],
    ids=["d1", "lite0", "levels_2_to_6", "levels_3_to_8", "qufpn"],
)
def test_the_rule_names_fusion_and_heads_of_the_family(options):
    """Fusion and heads by attributes; the backbone only tells which EfficientNet it is."""
    model = build_detector(**options)
    min_level = options.get("min_level", 3)
    shapes, expected = {}, {}
    for name, variable in published_variables(model).items():
        path = attribute_path(name, min_level)
        if path is not None:
            shapes[path], expected[path] = tuple(variable.shape), name
        elif name.endswith(("conv2d/kernel", "conv2d_1/kernel")) and "/blocks_" in name:
            block = name.split("/")[1].removeprefix("blocks_")
            inner = "_se/_se_reduce" if "/se/" in name else "_project_conv"
            last = name.endswith("_1/kernel") or block == "0"
            if "/se/" in name or last:
                shapes[f"backbone/_blocks/{block}/{inner}/kernel"] = tuple(variable.shape)
    rule = AttributeNames(shapes)
    assert {path: rule.name(path) for path in expected} == expected


def test_widths_of_the_levels_are_the_papers():
    # EfficientNet paper, table 1: channels at strides 2, 4, 8, 16, 32.
    assert level_channels("efficientnet-b0") == {1: 16, 2: 24, 3: 40, 4: 112, 5: 320}


def test_the_optimizers_average_slots_are_moving_averages(tmp_path):
    name, attribute = "box_net/box-predict/bias", "box_net/boxes/bias"
    value = fill(name, (36,))
    root = object_tree({name: value}, {name: attribute}, named=True)
    variable = root.box_net.boxes.bias
    prefix = tf.train.Checkpoint(root).save(str(tmp_path / "ckpt"))
    reader = open_checkpoint(prefix)
    assert not reader.has_ema
    np.testing.assert_array_equal(reader.read(name), variable.numpy())
