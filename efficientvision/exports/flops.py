"""Counts a network's multiply-adds with TensorFlow's profiler."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from efficientvision.exports.frozen_graph import (
    float_operations,
    float_operations_by_node,
    freeze,
)

_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")
_ADDITIONS = ("AddV2", "BiasAdd")


class MultiplyAdds(NamedTuple):
    """Multiply-adds per image: of the `whole` network, and of its `convolutions` only."""

    whole: int
    convolutions: int


def count_convolution_multiply_adds(model: Any, image_hw: tuple[int, int]) -> int:
    """Counts the multiply-adds of convolutions per image, as in the EdgeNets' tables.

    Adding a bias counts as half a multiply-add, as in the total.

    Args:
        model: a Keras model in float32 that takes images [N, H, W, 3].
        image_hw: (height, width), pixels.
    """
    return multiply_adds(model, image_hw).convolutions


def multiply_adds(model: Any, image_hw: tuple[int, int]) -> MultiplyAdds:
    """Counts multiply-adds per image, in total and in convolutions: half the profiler's operations.

    Args:
        model: as above.
        image_hw: as above.
    """
    graph = _inference_graph(model, image_hw)
    return MultiplyAdds(float_operations(graph) // 2, _convolution_operations(graph) // 2)


def _convolution_operations(graph: Any) -> int:
    convolutions = {node.name for node in graph.node if node.op in _CONVOLUTIONS}
    constants = _constant_ranks(graph)
    biases = {
        node.name
        for node in graph.node
        if node.op in _ADDITIONS
        and node.input[0] in convolutions
        and constants.get(node.input[1]) == 1
    }
    counts = float_operations_by_node(graph)
    return sum(count for name, count in counts.items() if name in convolutions | biases)


def _constant_ranks(graph: Any) -> dict[str, int]:
    """Rank of each constant, by its name and those of its copies."""
    ranks = {}
    for node in graph.node:  # An operation comes after its inputs.
        if node.op == "Const":
            ranks[node.name] = len(node.attr["value"].tensor.tensor_shape.dim)
        elif node.op == "Identity" and node.input[0] in ranks:
            ranks[node.name] = ranks[node.input[0]]
    return ranks


def multiply_adds_by_part(
    model: Any, image_hw: tuple[int, int], parts: Mapping[str, str]
) -> dict[str, int]:
    """Counts multiply-adds per image for each part of the network.

    Args:
        model: as above.
        image_hw: as above.
        parts: prefix of a top-level layer's name -> name of the part.

    Returns:
        part -> multiply-adds; `"other"` has the rest. They add up to the total.
    """
    operations = dict.fromkeys([*parts.values(), "other"], 0)
    for name, count in float_operations_by_node(_inference_graph(model, image_hw)).items():
        operations[_part_of(name, parts)] += count
    return {part: count // 2 for part, count in operations.items()}


def _part_of(name: str, parts: Mapping[str, str]) -> str:
    for scope in name.split("/"):
        for prefix, part in parts.items():
            if scope.startswith(prefix):
                return part
    return "other"


def _inference_graph(model: Any, image_hw: tuple[int, int]) -> Any:
    def predict(images: tf.Tensor) -> list[tf.Tensor]:
        outputs = tf.nest.flatten(model(images, training=False))
        return [tf.identity(output, name=f"output_{i}") for i, output in enumerate(outputs)]

    spec = tf.TensorSpec((1, *image_hw, 3), tf.float32, name="images")
    function = tf.function(predict, [spec], autograph=False).get_concrete_function()
    names = [f"output_{i}" for i in range(len(function.outputs))]
    # Count the network as published, with its batch norms.
    return freeze(function, names, fold=False)
