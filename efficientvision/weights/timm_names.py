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

from efficientvision.weights.efficientnet_shapes import numbered, variable_name

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


def timm_backbone_name(name: str, starts: Mapping[int, int], backbone: str) -> str | None:
    """The published name of a tensor of timm's EfficientNet.

    Args:
        name: Name in timm's form without a prefix: `blocks.2.0.conv_pwl.weight`.
        starts: Result of `stage_starts` on all names of the network.
        backbone: First component of the published name, such as `"efficientnet-lite0"`.

    Returns:
        `efficientnet-lite0/blocks_3/conv2d_1/kernel`; None if no EfficientNet has such a tensor.
    """
    match = _BLOCK.match(name)
    if match is None:
        layer, _, leaf = name.rpartition(".")
        ours = _OUTSIDE.get(layer)
    else:
        stage, block, layer, leaf = match.groups()
        norm = _NORM.match(layer)
        if norm:
            inner = numbered("tpu_batch_normalization", int(norm.group(1)) - 1)
        else:
            inner = _LAYERS.get(layer, "")
        index = starts[int(stage)] + int(block)
        ours = f"blocks_{index}/{inner}" if inner else None
    return ours and f"{backbone}/{variable_name(ours, leaf)}"
