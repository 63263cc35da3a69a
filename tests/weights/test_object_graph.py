import json
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from efficientvision.weights.load import load_weights
from efficientvision.weights.object_attributes import AttributeNames, level_channels
from efficientvision.weights.object_graph import variable_keys
from tests.weights.attribute_paths import attribute_path
from tests.weights.conftest import assert_filled

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


def test_the_other_way_round_gives_the_references_attributes(attribute_of):
    assert {name: attribute_path(name, attribute_of, 3) for name in attribute_of} == attribute_of


def test_widths_of_the_levels_are_the_papers():
    # EfficientNet paper, table 1: channels at strides 2, 4, 8, 16, 32.
    assert level_channels("efficientnet-b0") == {1: 16, 2: 24, 3: 40, 4: 112, 5: 320}


def test_the_optimizers_average_slots_are_moving_averages():
    graph = TrackableObjectGraph()
    name, key = "box_net/box-predict/bias", "box_net/boxes/bias"
    average = f"{key}/.OPTIMIZER_SLOT/optimizer/average{VALUE}"
    momentum = f"{key}/.OPTIMIZER_SLOT/optimizer/momentum{VALUE}"
    stored = [(key + VALUE, name), (average, f"{name}/average"), (momentum, f"{name}/momentum")]
    for checkpoint_key, full_name in stored:
        attribute = graph.nodes.add().attributes.add()
        attribute.name, attribute.full_name = "VARIABLE_VALUE", full_name
        attribute.checkpoint_key = checkpoint_key
    optimizer = graph.nodes.add()
    for node_id, slot_name in ((1, "average"), (2, "momentum")):
        optimizer.slot_variables.add(
            original_variable_node_id=0, slot_variable_node_id=node_id, slot_name=slot_name
        )
    shapes = {checkpoint_key: (36,) for checkpoint_key, _ in stored}
    keys, ema_keys = variable_keys(graph.SerializeToString(), shapes, "ckpt")
    assert keys == {name: key + VALUE}
    assert ema_keys == {name: average}
