"""Names of tensors in the published PyTorch files of the EdgeNets.

A published name is the state dict's key, for example `level3.0.proj_1x1.bn.running_mean`. Our
`variable.path` becomes the same name without the model's prefix, with dots for slashes and
PyTorch's word for the last component: `espnetv2_s_2.0/level3.0/proj_1x1/bn/moving_mean`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

BACKBONE = "backbone"
DECODER = "decoder"
AUXILIARY = "auxiliary"
CLASSIFIER_HEAD = "classifier_head"
SSD_CLASS_HEADS = "class_heads"

# Prefix of the encoder in a classifier, in a segmentation network, in an SSD detector.
ENCODER_PREFIXES = ("", "base_net.", "base_net.basenet.")
_ENCODER_NAME = re.compile(r"level\d")
_ENCODER_WITHIN = re.compile(r"(?:^|\.)((?:base_net\.(?:basenet\.)?)?level\d)")
# How a path beyond the encoder begins, after the names of models: the decoder of a segmentation
# network; the extra levels, poolings and heads of an SSD detector.
DECODER_LAYER = (
    r"(?:(?:bu_dec|merge_enc_dec|bu_br|eff_pool|proj_enc)_\w+|auxiliary"
    r"|base_net\.(?:extra_level|bu_)[\w.]+|(?:cls|loc)_layers\.\d+)/"
)
# Names of models and of composite layers contain dots themselves.
_ROOT = re.compile(
    r"^(?:.*/)?(?:(?:espnetv2|dicenet|shufflenetv2)_s_[\w.-]+/"
    rf"|efficientnet-[\w-]+/(?={DECODER_LAYER}))"
)
_LEAVES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "alpha": "weight",
}
_PARTS = (
    (re.compile(r"(?:base_net\.(?:basenet\.)?)?level\d"), BACKBONE),
    (re.compile(r"classifier\."), CLASSIFIER_HEAD),
    (re.compile(r"(?:bu_dec|merge_enc_dec|bu_br|eff_pool|proj_enc)_"), DECODER),
    (re.compile(r"base_net\."), "pyramid"),
    (re.compile(r"loc_layers\."), "box_heads"),
    (re.compile(r"cls_layers\."), SSD_CLASS_HEADS),
)
_CLASS_HEAD = re.compile(
    r"classifier\.(?:2\.)?(?:weight|bias)$"
    r"|(?:bu_dec_l4|eff_pool_128x128)\.merge_layer\.3\.(?:weight|bias)$"
    r"|auxiliary\.(?:weight|bias)$"
    r"|cls_layers\.\d+\.(?:weight|bias)$"
)
# Every batch norm counts training steps; no network needs the count.
STEP_COUNTER = "num_batches_tracked"


def name_from_path(path: str) -> str:
    """Published name of a Keras variable path, with or without a prefix of model names."""
    layers, _, leaf = _ROOT.sub("", path).rpartition("/")
    return f"{layers}/{_LEAVES.get(leaf, leaf)}".replace("/", ".")


def is_name(name: str) -> bool:
    """Whether a name has the EdgeNets' form; names of the EfficientNet family have slashes."""
    return "/" not in name and "." in name


def is_weight_name(name: str) -> bool:
    """Whether a name has the EdgeNets' form and ends like a weight or a moving statistic."""
    return is_name(name) and name.rpartition(".")[2] in {"bias", *_LEAVES.values()}


def part_of(name: str) -> str:
    """`backbone`, `classifier_head`, `decoder`, `pyramid`, `box_heads`, `class_heads`; else the
    name's first component.
    """
    return next((part for form, part in _PARTS if form.match(name)), name.partition(".")[0])


def stage_of(name: str) -> str:
    """The part; for the backbone, the level (a segmentation network's backbone ends at level 4)."""
    level = _ENCODER_NAME.search(name) if part_of(name) == BACKBONE else None
    return level.group() if level else part_of(name)


def is_class_head(name: str) -> bool:
    """Whether the variable's shape may depend on the number of classes."""
    return _CLASS_HEAD.match(name) is not None


def encoder_prefix(names: Iterable[str]) -> str | None:
    """Prefix of the encoder's names; None if there is no encoder."""
    for name in names:
        for prefix in ENCODER_PREFIXES:
            if name.startswith(prefix) and _ENCODER_NAME.match(name, len(prefix)):
                return prefix
    return None


def encoder_places(names: Iterable[str]) -> list[str]:
    """Prefixes of the networks that have an encoder, such as `model.`; `""` for no prefix."""
    found = filter(None, map(_ENCODER_WITHIN.search, names))
    return list(dict.fromkeys(match.string[: match.start(1)] for match in found))


def fitting_names(theirs: Collection[str], ours: Collection[str]) -> Mapping[str, str]:
    """Renames a checkpoint's encoder to the prefix that the model's encoder has.

    So a classifier's encoder can start a segmentation network, and the other way round.

    Args:
        theirs: Names in the checkpoint.
        ours: Names in the model.

    Returns:
        Name in the checkpoint -> name in the model.
    """
    source, target = encoder_prefix(theirs), encoder_prefix(ours)
    if source is None or target is None:
        return {name: name for name in theirs}
    start = len(source)
    return {
        name: target + name[start:]
        if name.startswith(source) and _ENCODER_NAME.match(name, start)
        else name
        for name in theirs
    }
