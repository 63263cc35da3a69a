"""Equalizes the ranges of channels, for quantized formats with one scale per feature map."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tensorflow as tf

from efficientvision.exports.batch_norm_folding import add_constant
from efficientvision.exports.channel_groups import FIXED, ChannelGroups
from efficientvision.exports.frozen_graph import as_graph, graph_function

# A channel is divided by this power of its range. With 1 its eight bits are fully used, but the
# next convolution's kernels get more uneven ranges. Measured with the published Cityscapes network
# on 10 frames of CamVid: mIoU 45.9 with 0.5, 53.2 with 0.75, 48.1 with 1.
_POWER = 0.75
_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")


def equalize(
    graph_def: tf.compat.v1.GraphDef, outputs: Sequence[str], images: Iterable[np.ndarray]
) -> int:
    """Scales channels in place, without changing the outputs beyond rounding.

    If one channel reaches 66 and the others 1, the others use only two of the 256 int8 levels of
    the feature map. Every scalable channel is therefore divided by a power of its range, in the
    constants that produce it, and multiplied by it in those that consume it.

    Args:
        graph_def: a graph without variables, with the placeholder `images`.
        outputs: names of operations whose results must not change.
        images: inputs of the graph, on which the ranges are measured.

    Returns:
        The number of groups of channels that were scaled.

    Reference: Nagel et al. 2019, https://arxiv.org/abs/1906.04721, section 4.1; ranges of
    activations and the power as in Xiao et al. 2022, https://arxiv.org/abs/2211.10438, equation 4.
    """
    graph = as_graph(graph_def)
    constants = _constants(graph_def, graph)
    groups = ChannelGroups(graph, constants, outputs)
    ranges = _ranges(graph_def, groups, images)
    # Channels that were always 0 are not scaled.
    scales = np.where(ranges > 0, ranges, 1.0) ** _POWER
    scales[FIXED] = 1.0
    nodes = {node.name: node for node in graph_def.node}
    for op in graph.get_operations():
        change = _CHANGES.get(op.type)
        moving = [t for t in op.inputs if t.op.name not in constants]
        if not change or op.name in constants or len(moving) != 1:
            continue
        numbers = {i: constants.get(t.op.name) for i, t in enumerate(op.inputs)}
        before, after = (scales[groups.of(t)] for t in (moving[0], op.outputs[0]))
        if (before == 1).all() and (after == 1).all():
            continue
        for place, value in change(op, numbers, before, after).items():
            name = f"{op.name}/equalized_{place}"
            node = nodes[op.name]
            node.input[place] = add_constant(graph_def, name, value, tf.float32.as_datatype_enum)
    return int((scales != 1).sum())


def _constants(graph_def: tf.compat.v1.GraphDef, graph: tf.Graph) -> dict[str, np.ndarray]:
    """Values of the operations that depend on no input, by name."""
    names: list[str] = []
    known: set[str] = set()
    for op in graph.get_operations():
        if op.type != "Placeholder" and all(t.op.name in known for t in op.inputs):
            known.add(op.name)
            names.append(op.name)
    values = graph_function(graph_def, [], [f"{name}:0" for name in names])()
    return {name: value.numpy() for name, value in zip(names, values, strict=True)}


def _ranges(
    graph_def: tf.compat.v1.GraphDef, groups: ChannelGroups, images: Iterable[np.ndarray]
) -> np.ndarray:
    """The largest magnitude in each group of channels."""
    # The output of a convolution before its bias is not stored in a file.
    tensors = [
        tensor
        for tensor in groups.tensors
        if tensor.op.type not in _CONVOLUTIONS
        or {op.type for op in tensor.consumers()} - {"BiasAdd", "FusedBatchNormV3"}
    ]
    network = graph_function(graph_def, ["images:0"], [tensor.name for tensor in tensors])
    members = [groups.of(tensor) for tensor in tensors]
    axes = [[axis for axis, side in enumerate(m.shape) if side == 1] for m in members]

    @tf.function(autograph=False)
    def run(batch):
        pairs = zip(network(batch), axes, strict=True)
        return [tf.reduce_max(tf.abs(found), a, keepdims=True) for found, a in pairs]

    ranges = np.zeros(len(groups))
    for batch in images:
        for group, found in zip(members, run(tf.constant(batch)), strict=True):
            np.maximum.at(ranges, group, found.numpy())
    return ranges


# Each function returns an operation's new constants by input index, given that the channels of its
# other input were divided by `before` and those of its output are to be divided by `after`. Both
# are arrays of the tensors' rank.


def _convolution(op, numbers, before, after):
    kernel = numbers[1]
    if before.shape[-1] != before.size or after.size == 1:
        return {}  # Along a spatial axis; see `ChannelGroups`.
    depth, filters = kernel.shape[2:]
    read = np.broadcast_to(before.ravel(), op.inputs[0].shape[-1]).reshape(-1, depth)
    of_output = np.arange(filters) * len(read) // filters
    return {1: kernel * read[of_output].T / after.ravel()}


def _depthwise(op, numbers, before, after):
    kernel = numbers[1]
    read = np.broadcast_to(before.ravel(), kernel.shape[2])
    return {1: kernel * read[:, None] / after.reshape(kernel.shape[2:])}


def _batch_norm(op, numbers, before, after):
    scale, offset, mean, variance = (numbers[place] for place in range(1, 5))
    epsilon = np.float32(op.get_attr("epsilon"))
    factor = scale / np.sqrt(variance + epsilon)
    return {
        1: factor * before.ravel() / after.ravel(),
        2: (offset - mean * factor) / after.ravel(),
        3: np.zeros_like(mean),
        4: np.full_like(variance, 1 - epsilon),
    }


def _product(op, numbers, before, after):
    kernel = numbers[1]
    return {1: kernel * np.broadcast_to(before.ravel(), len(kernel))[:, None] / after.ravel()}


def _sum(op, numbers, before, after):
    place = next(place for place, value in numbers.items() if value is not None)
    value = numbers[place] / after
    return {place: value.ravel() if value.size == value.shape[-1] else value}


_CHANGES: dict[str, Callable[..., dict[int, np.ndarray]]] = {
    "Conv2D": _convolution,
    "DepthwiseConv2dNative": _depthwise,
    "FusedBatchNormV3": _batch_norm,
    "MatMul": _product,
    "BiasAdd": _sum,
    "Add": _sum,
    "AddV2": _sum,
}
