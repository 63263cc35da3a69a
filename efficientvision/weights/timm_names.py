"""Names of the EfficientNet tensors of timm (PyTorch Image Models) in the published names.

`blocks.2.0.conv_pwl.weight` is the projection of stage 2's first block; the published names number
the blocks over all stages and the layers of one kind within a block: `blocks_3/conv2d_1/kernel`.

Reference: https://github.com/huggingface/pytorch-image-models (Apache-2.0).
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from efficientvision.weights.efficientnet_shapes import (
    architecture_in,
    numbered,
    variable_name,
)
from efficientvision.weights.foreign_network import Foreign, Shapes
from efficientvision.weights.timm_hints import find_hints

_BLOCK = re.compile(r"^blocks\.(\d{1,3})\.(\d{1,3})\.(.+)\.(\w+)$")
_NORM = re.compile(r"^bn([123])$")
# `conv_pw` expands, or projects in the blocks that do not expand: the first convolution of 1x1
# in both.
_LAYERS = {
    "conv_pw": "conv2d",
    "conv_dw": "depthwise_conv2d",
    "se.conv_reduce": "se/conv2d",
    "se.conv_expand": "se/conv2d_1",
    "conv_pwl": "conv2d_1",
}
_OUTSIDE = {
    "conv_stem": "stem/conv2d",
    "bn1": "stem/tpu_batch_normalization",
    "conv_head": "head/conv2d",
    "bn2": "head/tpu_batch_normalization",
    "classifier": "head/dense",
}


def stage_starts(names: Iterable[str]) -> dict[int, int]:
    """Stage -> index of its first block over all stages.

    Args:
        names: Names in timm's form, without a prefix.
    """
    blocks = {match.group(1, 2) for name in names if (match := _BLOCK.match(name))}
    counts = Counter(int(stage) for stage, _ in blocks)
    stages = sorted(counts)
    ends = itertools.accumulate(counts[stage] for stage in stages)
    return {stage: end - counts[stage] for stage, end in zip(stages, ends, strict=True)}


def timm_backbone_name(name: str, starts: Mapping[int, int]) -> str | None:
    """The published name, without the backbone's own, of a tensor of timm's EfficientNet.

    Args:
        name: Name in timm's form without a prefix: `blocks.2.0.conv_pwl.weight`.
        starts: Result of `stage_starts` on all names of the network.

    Returns:
        `blocks_3/conv2d_1/kernel`; None if no EfficientNet has such a tensor.
    """
    match = _BLOCK.match(name)
    if match is None:
        layer, _, leaf = name.rpartition(".")
        ours = _OUTSIDE.get(layer)
        return ours and variable_name(ours, leaf)
    stage, block, layer, leaf = match.groups()
    norm = _NORM.match(layer)
    if norm:
        inner = numbered("tpu_batch_normalization", int(norm.group(1)) - 1)
    elif layer in _LAYERS:
        inner = _LAYERS[layer]
    else:
        return None
    return variable_name(f"blocks_{starts[int(stage)] + int(block)}/{inner}", leaf)


def timm_names(names: Iterable[str]) -> dict[str, str]:
    """Names of timm's EfficientNet -> published names without the backbone's own."""
    names = list(names)
    starts = stage_starts(names)
    ours = {name: timm_backbone_name(name, starts) for name in names}
    return {name: own for name, own in ours.items() if own is not None}


def recognise(path: str, shapes: Shapes) -> Foreign | None:
    """An EfficientNet of timm; see `foreign.recognise`."""
    if not {"conv_stem.weight", "blocks.0.0.conv_dw.weight"} <= shapes.keys():
        return None
    names = timm_names(shapes)
    architecture = architecture_in(shapes, names, "timm")
    hints = find_hints(path, architecture)
    return Foreign(
        {name: f"{architecture}/{ours}" for name, ours in names.items()},
        hints.preprocessing,
        hints.notes,
    )
