"""Finds the channels of a graph that can be scaled, and those that must be scaled together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow as tf

# The group of everything that must not be scaled.
FIXED = 0


class ChannelGroups:
    """Groups of channels that must have the same scale.

    A positive scale of a channel passes through operations that are positively homogeneous per
    channel, such as ReLU. Sums and concatenations tie channels together. A convolution absorbs any
    scale of its input, and its output starts new groups. The inputs of unknown operations are
    fixed, because a scale would not pass through unchanged.

    Args:
        graph: a graph with its operations in topological order.
        constants: values of the operations that depend on no input, by name.
        outputs: names of operations whose results must not change.

    Reference: Nagel et al. 2019, https://arxiv.org/abs/1906.04721, section 4.1, for pairs of
    layers; here for whole graphs.
    """

    def __init__(
        self, graph: tf.Graph, constants: Mapping[str, np.ndarray], outputs: Iterable[str]
    ):
        self._constants = constants
        self._parents = [FIXED]
        self._members: dict[str, np.ndarray] = {}
        operations = [op for op in graph.get_operations() if op.name not in constants]
        for op in operations:
            for tensor, members in zip(op.outputs, self._outputs(op), strict=True):
                self._members[tensor.name] = members
        for name in outputs:
            self._fix(self._members[f"{name}:0"])
        self.tensors = [t for op in operations for t in op.outputs if self.of(t).any()]

    def __len__(self) -> int:
        return len(self._parents)

    def of(self, tensor: tf.Tensor) -> np.ndarray:
        """Returns the group number of each channel; `FIXED` for channels that cannot be scaled.

        The array has the tensor's rank, and size 1 along all axes except the channels.
        """
        members = self._members[tensor.name]
        return np.reshape([self._group(index) for index in members.flat], members.shape)

    def _group(self, index: int) -> int:
        while self._parents[index] != index:
            self._parents[index] = index = self._parents[self._parents[index]]
        return index

    def _tie(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        one, other = np.broadcast_arrays(one, other)
        for pair in zip(one.flat, other.flat, strict=True):
            low, high = sorted(map(self._group, pair))
            self._parents[high] = low
        return one

    def _fix(self, members: np.ndarray) -> None:
        self._tie(members, np.array(FIXED))

    def _new(self, tensor: tf.Tensor) -> np.ndarray:
        first, count = len(self._parents), tensor.shape[-1]
        self._parents.extend(range(first, first + count))
        return np.arange(first, first + count).reshape((1,) * (tensor.shape.rank - 1) + (count,))

    def _outputs(self, op: tf.Operation) -> list[np.ndarray]:
        rule = _RULES.get(op.type)
        moving = [t for t in op.inputs if t.op.name not in self._constants]
        if rule and moving and all(t.dtype == tf.float32 for t in (*moving, *op.outputs)):
            found = rule(self, op, *(self._members[t.name] for t in moving))
            if found is not None:
                # The further outputs of a batch norm are for training.
                found = found if isinstance(found, list) else [found]
                return [*found, *map(_fixed, op.outputs[len(found) :])]
        for tensor in moving:
            self._fix(self._members[tensor.name])
        return [_fixed(tensor) for tensor in op.outputs]

    # A rule takes an operation and the members of its inputs that are not constants. It returns the
    # members of the output, a list of those of several outputs, or None for "unknown".

    def _same(self, op, members):
        return members if op.outputs[0].shape == op.inputs[0].shape else None

    def _per_channel(self, op, members):
        """Rule for operations on image axes that treat each channel separately."""
        return members if _in_last_axis(members) else None

    def _pad(self, op, members):
        margins = self._constants[op.inputs[1].op.name]
        padded = margins.any(axis=1)
        return members if all(np.array(members.shape)[padded] == 1) else None

    def _convolution(self, op, members):
        kernel = self._constants.get(op.inputs[1].op.name)
        if kernel is None or op.get_attr("data_format") != b"NHWC":
            return None
        if _in_last_axis(members):
            return self._new(op.outputs[0])
        # A matrix applied to an axis in the channels' place; see `pooling.along_axis`.
        pointwise = kernel.shape[:2] == (1, 1) and set(op.get_attr("strides")) == {1}
        return members if pointwise and members.shape[-1] == 1 else None

    def _depthwise(self, op, members):
        known = op.inputs[1].op.name in self._constants and _in_last_axis(members)
        return self._new(op.outputs[0]) if known else None

    def _batch_norm(self, op, members):
        known = all(t.op.name in self._constants for t in op.inputs[1:])
        if not known or op.get_attr("is_training") or op.get_attr("data_format") != b"NHWC":
            return None
        return self._depthwise(op, members)

    def _product(self, op, members, *others):
        known = op.inputs[1].op.name in self._constants and not op.get_attr("transpose_a")
        if others or not known or op.get_attr("transpose_b"):
            return None
        return self._new(op.outputs[0])

    def _bias(self, op, members):
        return self._sum(op, members) if _in_last_axis(members) else None

    def _sum(self, op, members, *others):
        if others:
            return self._tie(members, others[0])
        # If a constant broadcasts its operand, there are channels that the operand lacks.
        moving = next(t for t in op.inputs if t.op.name not in self._constants)
        return members if op.outputs[0].shape == moving.shape else None

    def _multiplication(self, op, members, *others):
        if not others:
            return self._sum(op, members)
        for factor, other in ((members, others[0]), (others[0], members)):
            if not any(map(self._group, factor.flat)):
                return np.broadcast_arrays(factor, other)[1]
        return None

    def _mean(self, op, members):
        axes = tuple(np.ravel(self._constants[op.inputs[1].op.name]).tolist())
        if any(members.shape[axis] != 1 for axis in axes):
            return None
        return members if op.get_attr("keep_dims") else np.squeeze(members, axes)

    def _squeeze(self, op, members):
        axes = tuple(op.get_attr("squeeze_dims"))
        return np.squeeze(members, axes) if axes else None

    def _transpose(self, op, members):
        return np.transpose(members, self._constants[op.inputs[1].op.name])

    def _reshape(self, op, members):
        old, new = op.inputs[0].shape, op.outputs[0].shape
        if not (old.is_fully_defined() and new.is_fully_defined()):
            return None
        # From the first channel axis on, all axes are channels and may be split differently.
        first = next((i for i, side in enumerate(members.shape) if side > 1), len(old))
        if members.shape[first:] != tuple(old[first:]):
            return None
        for rest in range(len(new), -1, -1):
            if np.prod(new[rest:], dtype=int) == members.size:
                return members.reshape((1,) * rest + tuple(new[rest:]))
        return None

    def _concatenation(self, op, *members):
        axis = int(self._constants[op.inputs[-1].op.name]) % op.outputs[0].shape.rank
        if len(members) != len(op.inputs) - 1 or not all(map(_in_last_axis, members)):
            return None
        if axis == op.outputs[0].shape.rank - 1:
            widths = [tensor.shape[-1] for tensor in op.inputs[:-1]]
            pairs = zip(members, widths, strict=True)
            return np.concatenate([np.broadcast_to(m, (*m.shape[:-1], w)) for m, w in pairs], -1)
        tied = members[0]
        for other in members[1:]:
            tied = self._tie(tied, other)
        return tied

    def _slice(self, op, members):
        """Rule for slices of rows or columns, which keep the channels."""
        whole = op.outputs[0].shape.rank == op.inputs[0].shape.rank
        whole = whole and op.outputs[0].shape[-1] == op.inputs[0].shape[-1]
        forward = (self._constants[op.inputs[3].op.name] > 0).all()
        return members if whole and forward and _in_last_axis(members) else None

    def _split(self, op, members):
        """Rule for splits of the channels."""
        widths = [tensor.shape[-1] for tensor in op.outputs]
        if sum(widths) != members.shape[-1] or not _in_last_axis(members):
            return None
        return np.split(members, np.cumsum(widths)[:-1], axis=-1)


def _fixed(tensor: tf.Tensor) -> np.ndarray:
    return np.full((1,) * (tensor.shape.rank or 0), FIXED)


def _in_last_axis(members: np.ndarray) -> bool:
    return members.size == (members.shape or (1,))[-1]


_RULES = {
    "Identity": ChannelGroups._same,
    "Relu": ChannelGroups._same,
    "AvgPool": ChannelGroups._per_channel,
    "MaxPool": ChannelGroups._per_channel,
    "ResizeBilinear": ChannelGroups._per_channel,
    "Pad": ChannelGroups._pad,
    "Conv2D": ChannelGroups._convolution,
    "DepthwiseConv2dNative": ChannelGroups._depthwise,
    "FusedBatchNormV3": ChannelGroups._batch_norm,
    "MatMul": ChannelGroups._product,
    "BiasAdd": ChannelGroups._bias,
    "Add": ChannelGroups._sum,
    "AddV2": ChannelGroups._sum,
    "Mul": ChannelGroups._multiplication,
    "Mean": ChannelGroups._mean,
    "Squeeze": ChannelGroups._squeeze,
    "Transpose": ChannelGroups._transpose,
    "Reshape": ChannelGroups._reshape,
    "ConcatV2": ChannelGroups._concatenation,
    "StridedSlice": ChannelGroups._slice,
    "Split": ChannelGroups._split,
    "SplitV": ChannelGroups._split,
}
