"""Folds batch norms into the preceding convolutions, to save computation in inference."""

from __future__ import annotations

import collections
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

_ADDITIONS = ("BiasAdd", "AddV2", "Add")
_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")


def fold_batch_norms(graph_def: tf.compat.v1.GraphDef, outputs: Iterable[str] = ()) -> int:
    """Folds batch norms into the preceding convolutions, in place.

    In inference a batch norm is a multiplication and an addition per channel. After a convolution,
    with or without a bias, both are absorbed by the kernel and a new bias. A kernel that is shared
    by several batch norms (in the heads, one per level) is copied for each. The new additions keep
    the names of the batch norms. Unused operations are not removed.

    Args:
        graph_def: a graph without variables.
        outputs: names of operations whose results must not change.

    Returns:
        The number of folded batch norms: those with constant parameters whose convolution has no
        other consumer.
    """
    folding = _Folding(graph_def, outputs)
    norms = [node for node in graph_def.node if node.op == "FusedBatchNormV3"]
    return sum(folding.fold(norm) for norm in norms)


class _Folding:
    def __init__(self, graph_def: tf.compat.v1.GraphDef, outputs: Iterable[str]):
        self._graph = graph_def
        self._nodes = {node.name: node for node in graph_def.node}
        # Tensor name -> number of consumers, counting outputs of the graph.
        self._uses = collections.Counter(
            _tensor(name) for node in graph_def.node for name in node.input
        )
        self._uses.update(_tensor(name) for name in outputs)
        self._values: dict[str, np.ndarray | None] = {}

    def fold(self, norm: tf.compat.v1.NodeDef) -> bool:
        if norm.attr["is_training"].b or norm.attr["data_format"].s not in (b"", b"NHWC"):
            return False
        if any(self._uses[f"{norm.name}:{index}"] for index in range(1, 6)):
            return False
        scale, offset, mean, variance = (self._constant(name) for name in norm.input[1:5])
        if scale is None or offset is None or mean is None or variance is None:
            return False
        bias, name = self._without_bias(norm.input[0], len(scale))
        convolution = self._nodes[_operation(name)]
        if convolution.op not in _CONVOLUTIONS or self._uses[_tensor(name)] != 1:
            return False
        kernel = self._constant(convolution.input[1])
        if kernel is None:
            return False
        factor = scale / np.sqrt(variance + np.float32(norm.attr["epsilon"].f))
        depthwise = convolution.op == "DepthwiseConv2dNative"
        by_channel = factor.reshape(kernel.shape[2:]) if depthwise else factor
        number_type = convolution.attr["T"].type
        convolution.input[1] = add_constant(
            self._graph, f"{norm.name}/kernel", kernel * by_channel, number_type
        )
        offset = (bias - mean) * factor + offset
        bias_name = add_constant(self._graph, f"{norm.name}/bias", offset, number_type)
        norm.op = "BiasAdd"
        norm.ClearField("attr")
        norm.attr["T"].type = number_type
        norm.attr["data_format"].s = b"NHWC"
        del norm.input[:]
        norm.input.extend([name, bias_name])
        return True

    def _without_bias(self, name: str, channels: int) -> tuple[np.ndarray, str]:
        """Splits a tensor into a constant bias [channels] and the tensor it is added to."""
        none = np.zeros(channels, np.float32)
        node = self._nodes[_operation(name)]
        if node.op not in _ADDITIONS or self._uses[_tensor(name)] != 1:
            return none, name
        for value, other in ((node.input[1], node.input[0]), (node.input[0], node.input[1])):
            bias = self._constant(value)
            # Of shape [C] or [1, 1, 1, C]: one number per channel.
            if bias is not None and bias.size == channels == bias.shape[-1]:
                return bias.reshape(channels), other
        return none, name

    def _constant(self, name: str) -> np.ndarray | None:
        """The float32 value of a tensor that does not depend on the input, else None."""
        if name not in self._values:
            self._values[name] = self._evaluate(self._nodes[_operation(name)])
        return self._values[name]

    def _evaluate(self, node: tf.compat.v1.NodeDef) -> np.ndarray | None:
        if node.op == "Const":
            value = tf.make_ndarray(node.attr["value"].tensor)
            # Half precision is converted to float32 for computing.
            return value if value.dtype.kind in "iu" else value.astype(np.float32)
        if node.op in ("Identity", "Cast"):
            return self._constant(node.input[0])
        if node.op == "Reshape":
            value, shape = map(self._constant, node.input)
            return None if value is None or shape is None else value.reshape(shape)
        if node.op == "Squeeze":
            value = self._constant(node.input[0])
            axes = tuple(node.attr["squeeze_dims"].list.i) or None
            return None if value is None else np.squeeze(value, axes)
        return None


def add_constant(
    graph_def: tf.compat.v1.GraphDef, name: str, value: np.ndarray, number_type: int
) -> str:
    """Adds a constant of a given `DataType` to the graph and returns its name."""
    kind = tf.dtypes.as_dtype(number_type)
    node = graph_def.node.add()
    node.name, node.op = name, "Const"
    node.attr["dtype"].type = number_type
    tensor = tf.make_tensor_proto(value.astype(kind.as_numpy_dtype))
    node.attr["value"].tensor.CopyFrom(tensor)
    return name


def _operation(name: str) -> str:
    return name.lstrip("^").split(":")[0]


def _tensor(name: str) -> str:
    """A tensor's name with its output number, which may be omitted for the first one."""
    return name if ":" in name or name.startswith("^") else f"{name}:0"
