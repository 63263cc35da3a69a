"""Weighted feature fusion: the nodes and cells of BiFPN, QuFPN and VFPN."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from efficientvision.layers.activations import get_activation
from efficientvision.layers.composite import CompositeLayer, numbered
from efficientvision.layers.fusion_graphs import FusionNode, output_offsets
from efficientvision.layers.rematerialization import rematerialized
from efficientvision.layers.resample import Resample

WEIGHT_METHODS = ("fastattn", "attn", "sum", "channel_fastattn", "channel_attn")
_EPSILON = 1e-4


@keras.saving.register_keras_serializable(package="efficientvision")
class CombineConv(CompositeLayer):
    """Activation, (separable) 3x3 convolution with bias, batch norm: what follows a fused sum.

    Args:
        filters: channels in and out.
        act_type: activation.
        separable_conv: depthwise and pointwise instead of a full convolution.
        conv_bn_act_pattern: activation after the batch norm instead of before the convolution.
    """

    def __init__(
        self,
        filters: int,
        act_type: str = "swish",
        separable_conv: bool = True,
        conv_bn_act_pattern: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.act_type = act_type
        self.separable_conv = separable_conv
        self.conv_bn_act_pattern = conv_bn_act_pattern
        conv = keras.layers.SeparableConv2D if separable_conv else keras.layers.Conv2D
        self.conv = conv(filters, 3, padding="same", name="conv", dtype=self.dtype_policy)
        self.norm = self._batch_norm("bn")

    def call(self, inputs, training=None):
        activation = get_activation(self.act_type)
        x = inputs if self.conv_bn_act_pattern else activation(inputs)
        x = self.norm(self.conv(x), training=training)
        return activation(x) if self.conv_bn_act_pattern else x

    def get_config(self) -> dict[str, Any]:
        names = "filters act_type separable_conv conv_bn_act_pattern".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="efficientvision")
class FusionNodeLayer(CompositeLayer):
    """Resamples its inputs to one level, sums them with learned weights, convolves.

    Args:
        filters: channels of the output.
        target_hw: (height, width) of the output, unless `call` is given another.
        input_offsets: offsets of the inputs in the cell, which name the resampling layers.
        node_offset: the node's own offset.
        weight_method: one of `WEIGHT_METHODS`: `fastattn` relu(w_i) / (sum + 1e-4), `attn`
            softmax, both with a scalar or (`channel_`) a vector of weights per input; `sum`.
        act_type, separable_conv, conv_bn_act_pattern: as `CombineConv`.
        apply_bn_for_resampling, conv_after_downsample, padding, resizing: as `Resample`.

    Input: a list of `[N, h_i, w_i, c_i]`; output `[N, *target_hw, filters]`.

    Reference: EfficientDet, section 3.3.
    """

    def __init__(
        self,
        filters: int,
        target_hw: Sequence[int],
        input_offsets: Sequence[int],
        node_offset: int,
        weight_method: str = "fastattn",
        act_type: str = "swish",
        separable_conv: bool = True,
        conv_bn_act_pattern: bool = False,
        apply_bn_for_resampling: bool = True,
        conv_after_downsample: bool = False,
        padding: str = "same",
        resizing: str = "nearest",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if weight_method not in WEIGHT_METHODS:
            raise ValueError(
                f"Unknown fusion weight method {weight_method!r}; expected one of {WEIGHT_METHODS}."
            )
        self.filters = filters
        self.target_hw = tuple(target_hw)
        self.input_offsets = tuple(input_offsets)
        self.node_offset = node_offset
        self.weight_method = weight_method
        self.act_type = act_type
        self.separable_conv = separable_conv
        self.conv_bn_act_pattern = conv_bn_act_pattern
        self.apply_bn_for_resampling = apply_bn_for_resampling
        self.conv_after_downsample = conv_after_downsample
        self.padding = padding
        self.resizing = resizing
        shared = {"batch_norm": self.batch_norm, "dtype": self.dtype_policy}
        self.resamples = [
            Resample(
                filters,
                self.target_hw,
                apply_bn_for_resampling,
                conv_after_downsample,
                padding,
                resizing,
                name=f"resample_{slot}_{offset}_{node_offset}",
                **shared,
            )
            for slot, offset in enumerate(self.input_offsets)
        ]
        self.combine = CombineConv(
            filters,
            act_type,
            separable_conv,
            conv_bn_act_pattern,
            name=f"op_after_combine{node_offset}",
            **shared,
        )
        self.fusion_weights: list[keras.Variable] = []

    def build(self, input_shape):
        if self.weight_method != "sum":
            shape = (self.filters,) if self.weight_method.startswith("channel_") else ()
            self.fusion_weights = [
                self.add_weight(shape=shape, initializer="ones", name=numbered("WSM", slot))
                for slot in range(len(self.input_offsets))
            ]
        super().build(input_shape)

    def call(self, inputs, training=None, target_hw=None):
        target_hw = target_hw or self.target_hw
        maps = [
            resample(x, training=training, target_hw=target_hw)
            for resample, x in zip(self.resamples, inputs, strict=True)
        ]
        if self.weight_method != "sum":
            maps = [x * weight for x, weight in zip(maps, self._normalized_weights(), strict=True)]
        fused = maps[0]
        for x in maps[1:]:
            fused = fused + x
        return self.combine(fused, training=training)

    def _normalized_weights(self):
        weights = [ops.convert_to_tensor(weight) for weight in self.fusion_weights]
        if self.weight_method.endswith("fastattn"):
            weights = [ops.relu(weight) for weight in weights]
            total = sum(weights) + _EPSILON
        else:
            largest = functools.reduce(ops.maximum, weights)
            weights = [ops.exp(weight - largest) for weight in weights]
            total = sum(weights)
        return [weight / total for weight in weights]

    def get_config(self) -> dict[str, Any]:
        names = (
            "filters target_hw input_offsets node_offset weight_method act_type separable_conv "
            "conv_bn_act_pattern apply_bn_for_resampling conv_after_downsample padding resizing"
        ).split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="efficientvision")
class FusionCell(CompositeLayer):
    """Runs a fusion graph on a feature pyramid.

    Args:
        nodes: a graph as `fusion_graphs` makes them, or (level, inputs[, weight method]) lists.
        min_level, max_level: levels of the pyramid.
        filters: channels of every output.
        node_options: further arguments of every `FusionNodeLayer`.
        grad_checkpoint: in training keep only the nodes' outputs for the gradient, as
            `EfficientNet` does with its blocks.

    Input: a list of `[N, h, w, c]`, one per level, finest first, static sizes, which may differ
    between calls. Output: a list of `[N, h, w, filters]` of the same sizes.
    """

    def __init__(
        self,
        nodes: Sequence[Any],
        min_level: int,
        max_level: int,
        filters: int,
        node_options: Mapping[str, Any] | None = None,
        grad_checkpoint: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.nodes = [_as_node(node) for node in nodes]
        self.min_level = min_level
        self.max_level = max_level
        self.filters = filters
        self.node_options = dict(node_options or {})
        self.grad_checkpoint = grad_checkpoint
        self.node_layers: list[FusionNodeLayer] = []

    def build(self, input_shape):
        num_levels = self.max_level - self.min_level + 1
        if len(input_shape) != num_levels:
            raise ValueError(f"Expected {num_levels} feature maps, got {len(input_shape)}.")
        self.node_layers = [
            FusionNodeLayer(
                self.filters,
                input_shape[node.level - self.min_level][1:3],
                node.inputs,
                num_levels + index,
                name=f"fnode{index}",
                batch_norm=self.batch_norm,
                dtype=self.dtype_policy,
                **self._options(node),
            )
            for index, node in enumerate(self.nodes)
        ]
        super().build(input_shape)

    def _options(self, node):
        prescribed = {"weight_method": node.weight_method} if node.weight_method else {}
        return {**self.node_options, **prescribed}

    def call(self, inputs, training=None):
        maps = list(inputs)
        for node, layer in zip(self.nodes, self.node_layers, strict=True):
            target_hw = tuple(inputs[node.level - self.min_level].shape[1:3])
            run = functools.partial(layer, training=training, target_hw=target_hw)
            chosen = [maps[offset] for offset in node.inputs]
            remat = self.grad_checkpoint and training
            maps.append(rematerialized(run, [layer], chosen) if remat else run(chosen))
        outputs = output_offsets(self.nodes, self.min_level, self.max_level)
        return [maps[offset] for offset in outputs.values()]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "nodes": _as_lists(self.nodes),
            "min_level": self.min_level,
            "max_level": self.max_level,
            "filters": self.filters,
            "node_options": dict(self.node_options),
            "grad_checkpoint": self.grad_checkpoint,
        }


@keras.saving.register_keras_serializable(package="efficientvision")
class FusionStack(CompositeLayer):
    """The same fusion graph `repeats` times, one cell after the other.

    Args:
        repeats: number of cells.
        nodes, min_level, max_level, filters, node_options, grad_checkpoint: as `FusionCell`.

    Input and output as `FusionCell`.
    """

    def __init__(
        self,
        repeats: int,
        nodes: Sequence[Any],
        min_level: int,
        max_level: int,
        filters: int,
        node_options: Mapping[str, Any] | None = None,
        grad_checkpoint: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.repeats = repeats
        self.cells = [
            FusionCell(
                nodes,
                min_level,
                max_level,
                filters,
                node_options,
                grad_checkpoint,
                name=f"cell_{index}",
                batch_norm=self.batch_norm,
                dtype=self.dtype_policy,
            )
            for index in range(repeats)
        ]
        self._cell_config = {
            "nodes": _as_lists(nodes),
            "min_level": min_level,
            "max_level": max_level,
            "filters": filters,
            "node_options": dict(node_options or {}),
            "grad_checkpoint": grad_checkpoint,
        }

    def call(self, inputs, training=None):
        for cell in self.cells:
            inputs = cell(inputs, training=training)
        return inputs

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "repeats": self.repeats, **self._cell_config}


def _as_node(node):
    if isinstance(node, FusionNode):
        return node
    level, inputs, *weight_method = node
    return FusionNode(level, tuple(inputs), *weight_method)


def _as_lists(nodes):
    nodes = map(_as_node, nodes)
    return [[node.level, list(node.inputs), node.weight_method] for node in nodes]
