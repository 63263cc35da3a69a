"""Names of the tensors of `efficientnet-pytorch` and `efficientnet-lite-pytorch`.

Both packages, the second made from the first, number the blocks over all stages, as the published
names do, and name a block's layers by their purpose: `_blocks.3._project_conv.weight`.

Reference: https://github.com/lukemelas/EfficientNet-PyTorch and
https://github.com/ml-illustrated/EfficientNet-Lite-PyTorch (both Apache-2.0).
"""

from __future__ import annotations

import re

from efficientvision import files
from efficientvision.weights.efficientnet_shapes import (
    architecture_in,
    numbered,
    variable_name,
)
from efficientvision.weights.foreign_network import Foreign, Shapes
from efficientvision.weights.preprocessing import IMAGENET, INCEPTION, LITE, Preprocessing

_BLOCK = re.compile(r"^_blocks\.(\d{1,3})\._(\w+)\.(\w+)$")
_OUTSIDE = {
    "_conv_stem": "stem/conv2d",
    "_bn0": "stem/tpu_batch_normalization",
    "_conv_head": "head/conv2d",
    "_bn1": "head/tpu_batch_normalization",
    "_fc": "head/dense",
}
_LAYERS = {
    "expand_conv": "conv2d",
    "depthwise_conv": "depthwise_conv2d",
    "se_reduce": "se/conv2d",
    "se_expand": "se/conv2d_1",
}
# As the package downloads them.
_FILE = re.compile(r"(adv-)?efficientnet-b\d-[0-9a-f]{8}\.pth$")
_NORMS = ("bn0", "bn1", "bn2")


def lukemelas_name(name: str, expands: bool) -> str | None:
    """The published name, without the backbone's own, of a tensor of these packages.

    Args:
        name: For example `_blocks.3._project_conv.weight`.
        expands: Whether the tensor's block begins with an expansion (`_expand_conv`).

    Returns:
        `blocks_3/conv2d_1/kernel`; None if no EfficientNet has such a tensor.
    """
    match = _BLOCK.match(name)
    if match is None:
        layer, _, leaf = name.rpartition(".")
        ours = _OUTSIDE.get(layer)
        return ours and variable_name(ours, leaf)
    block, layer, leaf = match.groups()
    if layer in _NORMS:
        inner = numbered("tpu_batch_normalization", _NORMS.index(layer) - (not expands))
    elif layer == "project_conv":
        inner = numbered("conv2d", int(expands))
    elif layer in _LAYERS:
        inner = _LAYERS[layer]
    else:
        return None
    return variable_name(f"blocks_{int(block)}/{inner}", leaf)


def recognise(path: str, shapes: Shapes) -> Foreign | None:
    """An EfficientNet of these packages; see `foreign.recognise`."""
    if not {"_conv_stem.weight", "_blocks.0._depthwise_conv.weight"} <= shapes.keys():
        return None
    names = {}
    for name in shapes:
        block = ".".join(name.split(".")[:2])
        ours = lukemelas_name(name, f"{block}._expand_conv.weight" in shapes)
        if ours is not None:
            names[name] = ours
    architecture = architecture_in(shapes, names, "efficientnet-pytorch")
    preprocessing, notes = _trained_with(files.base_name(path), architecture)
    return Foreign(
        {name: f"{architecture}/{ours}" for name, ours in names.items()}, preprocessing, notes
    )


def _trained_with(file: str, architecture: str) -> tuple[Preprocessing, tuple[str, ...]]:
    """The normalisation, and a note if only the file's usual name would tell it."""
    if "lite" in architecture:
        return Preprocessing(*LITE, f"efficientnet-lite-pytorch's {architecture}"), ()
    published = _FILE.match(file)
    adversarial = published is not None and published.group(1) is not None
    source = f"efficientnet-pytorch's {'adv-' if adversarial else ''}{architecture}, "
    source += "by its name" if published else "assumed"
    note = (
        "neither its tensors nor its name tell whether it was trained with AdvProp, whose weights "
        "need mean_rgb=127.5 and stddev_rgb=127.5: ImageNet's normalisation is assumed"
    )
    rgb = INCEPTION if adversarial else IMAGENET
    return Preprocessing(*rgb, source), () if published else (note,)
