"""Names of the tensors of `efficientnet-pytorch` and `efficientnet-lite-pytorch`.

Both packages, the second made from the first, number the blocks over all stages, as the published
names do, and name a block's layers by their purpose: `_blocks.3._project_conv.weight`.

Reference: https://github.com/lukemelas/EfficientNet-PyTorch and
https://github.com/ml-illustrated/EfficientNet-Lite-PyTorch (both Apache-2.0).
"""

from __future__ import annotations

import re

from efficientvision.weights.efficientnet_shapes import numbered, variable_name

_BLOCK = re.compile(r"^_blocks\.(\d{1,3})\._(\w+)\.(\w+)$")
_OUTSIDE = {
    "_conv_stem": "stem/conv2d",
    "_bn0": "stem/tpu_batch_normalization",
    "_conv_head": "head/conv2d",
    "_bn1": "head/tpu_batch_normalization",
    "_fc": "head/dense",
}
_NORMS = ("bn0", "bn1", "bn2")


def lukemelas_name(name: str, expands: bool, backbone: str) -> str | None:
    """The published name of a tensor of these packages.

    Args:
        name: For example `_blocks.3._project_conv.weight`.
        expands: Whether the tensor's block begins with an expansion (`_expand_conv`).
        backbone: First component of the published name, such as `"efficientnet-lite0"`.

    Returns:
        `efficientnet-lite0/blocks_3/conv2d_1/kernel`; None if no EfficientNet has such a tensor.
    """
    match = _BLOCK.match(name)
    if match is None:
        layer, _, leaf = name.rpartition(".")
        ours = _OUTSIDE.get(layer)
        return ours and f"{backbone}/{variable_name(ours, leaf)}"
    block, layer, leaf = match.groups()
    if layer in _NORMS:
        inner = numbered("tpu_batch_normalization", _NORMS.index(layer) - (not expands))
    else:
        inner = {
            "expand_conv": "conv2d",
            "depthwise_conv": "depthwise_conv2d",
            "se_reduce": "se/conv2d",
            "se_expand": "se/conv2d_1",
            "project_conv": numbered("conv2d", int(expands)),
        }.get(layer, "")
    return f"{backbone}/{variable_name(f'blocks_{block}/{inner}', leaf)}" if inner else None
