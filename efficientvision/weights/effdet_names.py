"""Names of effdet's tensors (EfficientDet for PyTorch) in the published names.

effdet has ports of the published networks, `tf_efficientdet_*`, and networks of its author. Of the
latter, those on EfficientNet-B0 to B3 are ours with PyTorch's padding. They are known by their
convolutions before a batch norm, which have no bias.

Reference: https://github.com/rwightman/efficientdet-pytorch (Apache-2.0).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from efficientvision.weights.effdet_members import author_member, port
from efficientvision.weights.efficientnet_shapes import (
    NORM_LEAVES,
    find_architecture,
    numbered,
)
from efficientvision.weights.foreign_network import Foreign, Made, Shapes, our_shapes
from efficientvision.weights.strangers import Refused
from efficientvision.weights.timm_names import timm_names

if TYPE_CHECKING:
    from efficientvision.layers.fusion_graphs import FusionNode

_BACKBONE = "backbone."
_MIN_LEVEL = 3
# Added to variances by batch norms: TensorFlow's number, which ours add too, and PyTorch's.
_EPSILON, _TORCH_EPSILON = 1e-3, 1e-5
_FUSION = re.compile(r"^fpn\.cell\.(\d{1,3})\.fnode\.(\d{1,3})\.(.+)$")
_NODE_RESAMPLE = re.compile(r"^combine\.resample\.(\d{1,3})\.conv\.(conv|bn)\.(\w+)$")
_NODE_CONV = re.compile(r"^after_combine\.conv\.(conv|conv_dw|conv_pw|bn)\.(\w+)$")
_NODE_WEIGHTS = "combine.edge_weights"
_BOX_KERNEL = re.compile(r"^box_net\.predict\.(?:conv_pw|conv)\.weight$")
_EXTRA_LEVEL = re.compile(r"^fpn\.resample\.(\d{1,3})\.conv\.(conv|bn)\.(\w+)$")
_HEAD_CONV = re.compile(
    r"^(class|box)_net\.(?:conv_rep\.(\d{1,3})|predict)\.(conv|conv_dw|conv_pw)\.(\w+)$"
)
# With `.bn` the first number is the repeat, without it the level.
_HEAD_NORM = re.compile(r"^(class|box)_net\.bn_rep\.(\d{1,3})\.(\d{1,3})\.(bn\.)?(\w+)$")
# Kernels of convolutions that may have a bias before a batch norm.
_BEFORE_NORM = re.compile(
    r"(?:^fpn\..+\.conv\.|^(?:class|box)_net\.conv_rep\.\d{1,3}\.)(?:conv|conv_pw)\.weight$"
)
_KERNELS = {"conv": "kernel", "conv_dw": "depthwise_kernel", "conv_pw": "pointwise_kernel"}
# The boxes of anchors, of a training module.
_ANCHORS = "anchors.boxes"
# Form of a name in another backbone -> what it is.
_OTHER_BACKBONES = (
    (re.compile(r"layer1\."), "a ResNet, as effdet's resdet50"),
    (re.compile(r"stages"), "a CSPNet, as effdet's cspresdet50, cspresdext50 and cspdarkdet53"),
    (re.compile(r"blocks\.\d+\.\d+\.conv_(?:dw|pw|pwl)\.0\."), "a MixNet, as effdet's mixdet_m"),
    (
        re.compile(r"blocks\.0\.\d+\.conv(?:_exp)?\."),
        "an EfficientNetV2 or EfficientNet-EdgeTPU, as effdet's efficientdetv2_dt and "
        "efficientdet_es",
    ),
    (re.compile(r"blocks\."), "no EfficientNet-B0 to B7 or lite, as effdet's mobiledetv2_110d"),
)


def recognise(path: str, shapes: Shapes) -> Foreign | None:
    """An EfficientDet of effdet; see `foreign.recognise`.

    Raises:
        Refused: It is a network of effdet that is not supported.
    """
    cells = [match for name in shapes if (match := _FUSION.match(name))]
    predict = [shape for name, shape in shapes.items() if _BOX_KERNEL.match(name)]
    if not cells or not predict:
        return None
    backbone, names = _backbone(shapes)
    fusion = _Fusion.of(cells, shapes)
    names |= {name: ours for name in shapes if (ours := _published(name, fusion))}
    made = dict(_scalars(cells, shapes, fusion))
    before_norm = [name for name in names if _BEFORE_NORM.match(name)]
    without_bias = [name for name in before_norm if _bias_beside(name) not in shapes]
    if without_bias:
        if len(without_bias) < len(before_norm):
            raise Refused(f"is damaged: it lacks {_bias_beside(without_bias[0])}")
        member = author_member(backbone, fusion.is_quad)
        made |= {
            f"{names[name].rpartition('/')[0]}/bias": _zeros(shapes[name][0])
            for name in without_bias
        }
        made |= dict(_rescaled(names, shapes))
    else:
        member = port(path, backbone, predict[0][1] if len(predict[0]) > 1 else 0)
    return Foreign(
        names,
        member.preprocessing,
        member.notes,
        made,
        tuple(name for name in shapes if name == _ANCHORS),
        member.model,
        member.settings,
    )


def _backbone(shapes: Shapes) -> tuple[str, dict[str, str]]:
    """The backbone's name, and the published names of its tensors by their names.

    Raises:
        Refused: It is not supported.
    """
    inner = {n.removeprefix(_BACKBONE): s for n, s in shapes.items() if n.startswith(_BACKBONE)}
    ours = timm_names(inner)
    found = find_architecture(our_shapes(inner, ours))
    if found is None or set(inner) - set(ours):
        what = (text for form, text in _OTHER_BACKBONES if any(map(form.match, inner)))
        raise Refused(
            "holds a network of effdet that is not supported: its backbone is "
            + next(what, "of no known kind")
        )
    _check_features(found, shapes)
    return found, {_BACKBONE + name: f"{found}/{own}" for name, own in ours.items()}


def _check_features(backbone: str, shapes: Shapes) -> None:
    """Checks that the extra levels are made from the last block's output.

    Raises:
        Refused: They are made from features within the block.
    """
    from efficientvision.backbones.efficientnet import block_specs  # Keras takes seconds.

    channels = block_specs(backbone)[-1].out_filters
    for name, shape in shapes.items():
        match = _EXTRA_LEVEL.match(name)
        if match and match.group(2) == "conv" and len(shape) == 4 and shape[1] != channels:
            raise Refused(
                "holds a network of effdet that is not supported: its fusion takes features of "
                f"{shape[1]} channels from within the backbone's blocks, as effdet's "
                f"efficientdet_w0, and ours the blocks' outputs of {channels}"
            )


@dataclass(frozen=True)
class _Fusion:
    """The fusion of a network.

    Attributes:
        nodes: Nodes of a cell, in our order.
        indices: effdet's index of a node -> ours.
        num_levels: Number of levels.
    """

    nodes: list[FusionNode]
    indices: list[int]
    num_levels: int

    @property
    def is_quad(self) -> bool:
        return any(node.weight_method for node in self.nodes)

    @classmethod
    def of(cls, cells: Sequence[re.Match[str]], shapes: Shapes) -> _Fusion:
        """The fusion of a file's names.

        Raises:
            Refused: It is not supported.
        """
        # With it comes Keras, which a refused file must not wait for.
        from efficientvision.layers.fusion_graphs import bifpn, qufpn

        norms = [match for name in shapes if (match := _HEAD_NORM.match(name))]
        levels = {int(match.group(3 if match.group(4) else 2)) for match in norms}
        count = 1 + max(int(match.group(2)) for match in cells)
        max_level = _MIN_LEVEL + max(levels, default=0)
        for graph in (bifpn, qufpn):
            nodes = graph(_MIN_LEVEL, max_level)
            if len(nodes) == count:
                # effdet's last nodes, which add the paths of a QuFPN, begin with the finest level.
                paths = sum(node.weight_method is None for node in nodes)
                indices = [*range(paths), *reversed(range(paths, count))]
                return cls(nodes, indices, len(levels))
        raise Refused(
            f"holds a network of effdet that is not supported: its fusion has {count} nodes in a "
            f"cell for {len(levels)} levels, which neither BiFPN nor QuFPN has"
        )


def _published(name: str, fusion: _Fusion) -> str | None:
    """The published name of a tensor outside the backbone; None for other names."""
    if match := _FUSION.match(name):
        cell, index, rest = match.groups()
        node = fusion.indices[int(index)]
        inner = _in_node(rest, fusion.nodes[node], fusion.num_levels + node)
        return inner and f"fpn_cells/cell_{int(cell)}/fnode{node}/{inner}"
    if match := _EXTRA_LEVEL.match(name):
        level, kind, leaf = match.groups()
        return f"resample_p{_MIN_LEVEL + int(level)}/{_of_resample(kind, leaf)}"
    if match := _HEAD_CONV.match(name):
        head, repeat, kind, leaf = match.groups()
        layer = f"{head}-predict" if repeat is None else f"{head}-{int(repeat)}"
        return f"{head}_net/{layer}/{_leaf(kind, leaf)}"
    if match := _HEAD_NORM.match(name):
        head, first, second, repeats_first, leaf = match.groups()
        repeat, level = (first, second) if repeats_first else (second, first)
        norm = f"{head}-{int(repeat)}-bn-{_MIN_LEVEL + int(level)}"
        return f"{head}_net/{norm}/{_leaf('bn', leaf)}"
    return None


def _in_node(rest: str, node: FusionNode, offset: int) -> str | None:
    """The published name, within a fusion node, of what follows the node's index in a name."""
    if match := _NODE_RESAMPLE.match(rest):
        source, kind, leaf = match.groups()
        if int(source) not in node.inputs:
            return None
        slot = node.inputs.index(int(source))
        return f"resample_{slot}_{int(source)}_{offset}/{_of_resample(kind, leaf)}"
    if match := _NODE_CONV.match(rest):
        kind, leaf = match.groups()
        layer = "bn" if kind == "bn" else "conv"
        return f"op_after_combine{offset}/{layer}/{_leaf(kind, leaf)}"
    return None


def _of_resample(kind: str, leaf: str) -> str:
    return f"{'bn' if kind == 'bn' else 'conv2d'}/{_leaf(kind, leaf)}"


def _leaf(kind: str, leaf: str) -> str:
    if kind == "bn":
        return NORM_LEAVES.get(leaf, leaf)
    return _KERNELS[kind] if leaf == "weight" else leaf


def _scalars(
    cells: Sequence[re.Match[str]], shapes: Shapes, fusion: _Fusion
) -> Iterator[tuple[str, Made]]:
    """Weights of the fusion: a vector for each node in effdet, a scalar for each input in ours.

    Raises:
        Refused: A vector does not have a weight for each input.
    """
    for match in cells:
        cell, index, rest = match.groups()
        if rest != _NODE_WEIGHTS:
            continue
        node = fusion.indices[int(index)]
        count = len(fusion.nodes[node].inputs)
        if shapes[match.string] != (count,):
            raise Refused(
                f"is damaged: {match.string} has shape {list(shapes[match.string])}, expected "
                f"[{count}]"
            )
        for slot in range(count):
            name = numbered(f"fpn_cells/cell_{int(cell)}/fnode{node}/WSM", slot)
            yield name, Made((), (match.string,), lambda values, slot=slot: values[0][slot])


def _bias_beside(kernel: str) -> str:
    return f"{kernel.rpartition('.')[0]}.bias"


def _zeros(channels: int) -> Made:
    return Made((channels,), (), lambda _: np.zeros(channels, np.float32))


def _rescaled(names: Mapping[str, str], shapes: Shapes) -> Iterator[tuple[str, Made]]:
    """Scales of the backbone's batch norms, such that our epsilon gives PyTorch's results."""

    def rescale(values: Sequence[np.ndarray]) -> np.ndarray:
        gamma, variance = (np.asarray(value, np.float64) for value in values)
        return gamma * np.sqrt((variance + _EPSILON) / (variance + _TORCH_EPSILON))

    for name, ours in names.items():
        variance = f"{name.rpartition('.')[0]}.running_var"
        if name.startswith(_BACKBONE) and ours.endswith("/gamma") and variance in shapes:
            yield ours, Made(shapes[name], (name, variance), rescale)
