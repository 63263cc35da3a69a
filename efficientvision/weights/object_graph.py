"""Names of the variables in a TF2 object checkpoint of the original Keras code.

Such a checkpoint keys a variable by attributes of Python objects:
`backbone/_blocks/0/_bn1/beta/.ATTRIBUTES/VARIABLE_VALUE`. Its object graph usually stores each
variable's own name too, which is the published one. If it does not, the name is derived from the
attributes, the shapes and the fusion graph.
"""

from __future__ import annotations

import re

import numpy as np

from efficientvision.errors import UserError
from efficientvision.weights.names import canonical_name, is_weight_name, part_of
from efficientvision.weights.object_attributes import AttributeNames

_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_EMA_SLOT = "average"
_KNOWN_PARTS = {
    "backbone",
    "classifier_head",
    "fpn",
    "class_net",
    "box_net",
    "segmentation_head",
}
_NOT_A_WEIGHT = re.compile(r"(?:^|/)(?:optimizer|save_counter|\.OPTIMIZER_SLOT)(?:/|$)")


def variable_keys(
    serialized_graph: bytes | np.ndarray, shapes: dict[str, tuple[int, ...]], path: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Finds the published names of an object checkpoint's variables.

    Args:
        serialized_graph: The checkpoint's `TrackableObjectGraph` message.
        shapes: Checkpoint key -> shape of every entry.
        path: The checkpoint, for messages.

    Returns:
        Published name -> key of the weight, and published name -> key of its moving average (the
        slot `average` of tensorflow-addons' optimizer).

    Raises:
        UserError: The graph cannot be read.
    """
    graph = _parse(serialized_graph, path)
    variables = {}  # Node id -> (checkpoint key, the variable's own name).
    for node_id, node in enumerate(graph.nodes):
        for attribute in node.attributes:
            if attribute.name == "VARIABLE_VALUE" and attribute.checkpoint_key in shapes:
                variables[node_id] = (attribute.checkpoint_key, attribute.full_name)
    slots = [slot for node in graph.nodes for slot in node.slot_variables]
    slot_ids = {slot.slot_variable_node_id for slot in slots}
    own = {
        node_id: entry
        for node_id, entry in variables.items()
        if node_id not in slot_ids and not _NOT_A_WEIGHT.search(entry[0])
    }
    names = _names(own, shapes)
    keys = {name: own[node_id][0] for node_id, name in names.items()}
    ema_keys = {
        names[slot.original_variable_node_id]: variables[slot.slot_variable_node_id][0]
        for slot in slots
        if slot.slot_name == _EMA_SLOT
        and slot.original_variable_node_id in names
        and slot.slot_variable_node_id in variables
    }
    return keys, ema_keys


def _parse(serialized_graph: bytes | np.ndarray, path: str):
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

    if isinstance(serialized_graph, np.ndarray):
        serialized_graph = serialized_graph.item()
    graph = TrackableObjectGraph()
    try:
        graph.ParseFromString(serialized_graph)
    except DecodeError as error:
        raise UserError(
            f"The object graph of the checkpoint {path} is damaged: fetch the checkpoint again."
        ) from error
    return graph


def _names(
    variables: dict[int, tuple[str, str]], shapes: dict[str, tuple[int, ...]]
) -> dict[int, str]:
    """Node id -> published name: from the variable's own name, else from its attributes."""
    names = {}
    for node_id, (_, full_name) in variables.items():
        name = canonical_name(full_name.removesuffix(":0"))
        if is_weight_name(name) and part_of(name) in _KNOWN_PARTS:
            names[node_id] = name
    if len(names) == len(variables) and len(set(names.values())) == len(names):
        return names
    attributes = {node_id: key.removesuffix(_VALUE) for node_id, (key, _) in variables.items()}
    rule = AttributeNames({attributes[i]: shapes[key] for i, (key, _) in variables.items()})
    by_rule = {node_id: rule.name(attribute) for node_id, attribute in attributes.items()}
    return {node_id: name for node_id, name in by_rule.items() if name is not None} or names
