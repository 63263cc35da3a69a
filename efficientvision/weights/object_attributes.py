"""Maps attribute paths of the original Keras objects to published variable names.

The mapping needs three facts that attribute paths do not contain. They come from other variables:
the EfficientNet (number of blocks, squeeze-and-excite, last width), the lowest level (smallest
input of the fusion's 1x1 convolutions) and the number of levels (batch normalisations of the
heads).
"""

from __future__ import annotations

import re

from efficientvision.backbones.efficientnet import SCALINGS, block_specs, is_lite

_ROOT = re.compile(
    r"(?:^|/)((?:backbone|resample_layers|fpn_cells|class_net|box_net|seg_head"
    r"|_stem|_blocks|_head)/.+)$"
)
_BACKBONE_MODULES = re.compile(r"^(?:backbone/)?((?:_stem|_blocks|_head)/.+)$")
_DEFAULT_MIN_LEVEL = 3
_LAST_BACKBONE_LEVEL = 5


def level_channels(backbone: str) -> dict[int, int]:
    """Channels of a backbone's features, by level 1..5."""
    level, channels = 1, {}
    for block in block_specs(backbone):
        level += block.strides == 2
        channels[level] = block.out_filters
    return channels


class AttributeNames:
    """Gives the variables of one checkpoint their published names.

    Args:
        shapes: Attribute path (without `/.ATTRIBUTES/VARIABLE_VALUE`) -> shape, of every variable.
    """

    def __init__(self, shapes: dict[str, tuple[int, ...]]):
        rooted = {self._rooted(path): shape for path, shape in shapes.items()}
        self._shapes = {path: shape for path, shape in rooted.items() if path is not None}
        self._backbone = self._find_backbone()
        levels = {
            m.group(1) for path in self._shapes if (m := re.match(r"class_net/bns/0/(\d+)/", path))
        }
        self._num_levels = len(levels)
        self._level_of = {}
        if self._backbone in SCALINGS:
            channels = level_channels(self._backbone)
            self._level_of = {width: level for level, width in channels.items()}
        self._min_level = self._find_min_level()

    def name(self, path: str) -> str | None:
        """Published name of an attribute path, or None if it is not a variable of the network."""
        path = self._rooted(path)
        if path is None:
            return None
        layer, _, leaf = path.rpartition("/")
        backbone = _BACKBONE_MODULES.match(layer)
        if backbone:
            inner = self._backbone_layer(backbone.group(1))
            named = None if inner is None else f"{self._backbone}/{inner}"
        elif layer.startswith("fpn_cells/"):
            named = self._fpn_layer(layer)
        else:
            named = self._head_layer(layer)
        return None if named is None else f"{named}/{leaf}"

    @staticmethod
    def _rooted(path: str) -> str | None:
        match = _ROOT.search(path)
        return None if match is None else match.group(1)

    def _find_backbone(self) -> str:
        blocks = {}
        has_se = False
        for path, shape in self._shapes.items():
            match = re.search(r"(?:^|/)_blocks/(\d+)/(.+)$", path)
            if match and match.group(2) == "_project_conv/kernel":
                blocks[int(match.group(1))] = shape[-1]
            has_se = has_se or (match is not None and "_se/" in match.group(2))
        for name in SCALINGS:
            specs = block_specs(name)
            if (
                is_lite(name) != has_se
                and len(specs) == len(blocks)
                and specs[-1].out_filters == blocks[max(blocks)]
            ):
                return name
        return "efficientnet-unknown"

    def _find_min_level(self) -> int:
        kernel = re.compile(r"fpn_cells/.*/resample_layers/\d+/conv2d/kernel$")
        levels = [
            self._level_of[shape[2]]
            for path, shape in self._shapes.items()
            if kernel.match(path) and shape[2] in self._level_of
        ]
        return min(levels, default=_DEFAULT_MIN_LEVEL)

    def _backbone_layer(self, layer: str) -> str | None:
        """Layer name within the backbone, e.g. `blocks_3/conv2d_1`."""
        fixed = {
            "_stem/_conv_stem": "stem/conv2d",
            "_stem/_bn": "stem/tpu_batch_normalization",
            "_head/_conv_head": "head/conv2d",
            "_head/_bn": "head/tpu_batch_normalization",
            "_head/_fc": "head/dense",
        }
        if layer in fixed:
            return fixed[layer]
        match = re.match(r"_blocks/(\d+)/(.+)$", layer)
        if match is None:
            return None
        block, inner = match.groups()
        # Layers of a block are numbered in order of creation; a block without expansion
        # (the first) lacks the first convolution and its normalisation.
        expand = f"_blocks/{block}/_expand_conv/kernel"
        expands = expand in self._shapes or f"backbone/{expand}" in self._shapes
        order = ("_bn0", "_bn1", "_bn2") if expands else ("_bn1", "_bn2")
        names = {
            "_expand_conv": "conv2d",
            "_depthwise_conv": "depthwise_conv2d",
            "_project_conv": "conv2d_1" if expands else "conv2d",
            "_se/_se_reduce": "se/conv2d",
            "_se/_se_expand": "se/conv2d_1",
        }
        for position, attribute in enumerate(order):
            names[attribute] = "tpu_batch_normalization" + (f"_{position}" if position else "")
        return f"blocks_{block}/{names[inner]}" if inner in names else None

    def _fpn_layer(self, layer: str) -> str | None:
        """Layer name within the fusion, e.g. `fpn_cells/cell_0/fnode5/resample_0_2_10/conv2d`."""
        match = re.match(r"fpn_cells/(?:cells/(\d+)/)?fnodes/(\d+)(?:/(.+))?$", layer)
        if match is None:
            return None
        cell, node, inner = match.groups()
        scope = "fpn_cells/" + (f"cell_{cell}/" if cell is not None else "") + f"fnode{node}"
        if inner is None:  # The fusion weights belong to the node itself.
            return scope
        index = self._num_levels + int(node)
        combine = re.match(r"op_after_combine/(conv_op|bn)$", inner)
        if combine:
            operation = combine.group(1).removesuffix("_op")
            return f"{scope}/op_after_combine{index}/{operation}"
        resample = re.match(r"resample_layers/(\d+)/(conv2d|bn)$", inner)
        if resample is None:
            return None
        slot, operation = resample.groups()
        kernel = f"{layer.removesuffix(operation)}conv2d/kernel"
        level = self._level_of.get(self._shapes.get(kernel, (0, 0, 0))[2])
        if level is None:
            return None
        return f"{scope}/resample_{slot}_{level - self._min_level}_{index}/{operation}"

    def _head_layer(self, layer: str) -> str | None:
        """Layer name within the extra levels and the three heads."""
        match = re.match(r"resample_layers/(\d+)/(conv2d|bn)$", layer)
        if match:
            return f"resample_p{_LAST_BACKBONE_LEVEL + 1 + int(match.group(1))}/{match.group(2)}"
        match = re.match(
            r"(class|box)_net/(?:conv_ops/(\d+)|bns/(\d+)/(\d+)|classes|boxes)$", layer
        )
        if match:
            head, conv, repeat, level = match.groups()
            if conv is not None:
                return f"{head}_net/{head}-{conv}"
            if repeat is not None:
                return f"{head}_net/{head}-{repeat}-bn-{self._min_level + int(level)}"
            return f"{head}_net/{head}-predict"
        match = re.match(r"seg_head/(con2d_ts|con2d_t_bns)/(\d+)$", layer)
        if match:
            kind, index = match.groups()
            return "segmentation_head/" + (
                f"bn_{index}" if kind == "con2d_t_bns" else _transposed(int(index))
            )
        if layer == "seg_head/head_transpose":
            count = sum(path.startswith("seg_head/con2d_ts/") for path in self._shapes)
            return f"segmentation_head/{_transposed(count)}"
        return None


def _transposed(index: int) -> str:
    return "conv2d_transpose" + (f"_{index}" if index else "")
