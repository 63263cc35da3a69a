"""Tells which of timm's weights a file holds, as far as its tensors leave it open.

timm publishes several weights of one network under tags, such as `.in1k` and `.ap_in1k`. Their
tensors have the same names and shapes, and some were trained with another normalisation.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from efficientvision import files
from efficientvision.weights.preprocessing import IMAGENET, INCEPTION, Preprocessing, Rgb

_CONFIG = "config.json"
_MAX_CONFIG_BYTES = 1 << 20
# tf_efficientnet_b0.ap_in1k (also within the hub's names of folders), tf_efficientnet_b0_ap-f2.pth
_MODEL_NAME = re.compile(r"(tf_)?efficientnet_(b\d|l2|lite\d)(?:[._]([a-z]\w*))?")
# A file, its revision, the folder of revisions, the repository.
_PARTS_OF_PATH = 4
# How timm's tags of these networks begin: the data set, or the training.
_TAGS = {"in1k", "aa", "ap", "ft", "ns", "ra", "ra2", "ra4", "sw"}
# Weights whose pixels were scaled to -1..1: AdvProp's, and those of timm's fourth recipe.
_SCALED_TAGS = ("ap", "ra4")


@dataclass(frozen=True)
class Hints:
    """Facts on the weights that their tensors do not tell.

    Attributes:
        preprocessing: Their normalisation, or what is usual for their network.
        notes: Sentences for the user, without a full stop.
    """

    preprocessing: Preprocessing
    notes: tuple[str, ...] = ()


def find_hints(path: str, architecture: str) -> Hints:
    """Looks at the file's name and at the `config.json` that timm writes beside it.

    Args:
        path: The file.
        architecture: The network that its tensors are of, such as `"efficientnet-b0"`.
    """
    own = architecture.replace("-", "_")
    config, notes = _config_beside(path, own)
    if config is not None:
        name, tag, (mean, stddev) = config
        source = f"timm's {name}, by the {_CONFIG} beside the file"
    else:
        name, tag = _named(path, own)
        mean, stddev = _usual(name or f"tf_{own}", tag)
        full = f"{name or f'tf_{own}'}{f'.{tag}' if tag else ''}"
        source = f"timm's {full}, by its name" if name else f"timm's {full}, assumed"
        if not tag:
            notes.append(_assumed(full, own))
    if name and not name.startswith("tf_"):
        notes.append(
            f"timm trains {name} with PyTorch's symmetric padding and a batch-norm epsilon of "
            "1e-5, and its weights give other outputs in a network that pads like TensorFlow: an "
            "EfficientDet takes padding=symmetric,bn_epsilon=0.00001"
        )
    return Hints(Preprocessing(mean, stddev, source), tuple(notes))


def _assumed(full: str, own: str) -> str:
    note = (
        "neither its tensors nor its name tell which of timm's weights it holds: the normalisation "
        f"of {full}.in1k is assumed"
    )
    if "lite" in own:
        return f"{note}; set mean_rgb and stddev_rgb if it is another's"
    return f"{note}; AdvProp's (.ap_in1k) needs mean_rgb=127.5 and stddev_rgb=127.5"


def _usual(name: str, tag: str) -> tuple[Rgb, Rgb]:
    """The normalisation of timm's weights of this name."""
    scaled = tag.startswith(_SCALED_TAGS) or name.startswith("tf_efficientnet_lite")
    return INCEPTION if scaled else IMAGENET


def _named(path: str, own: str) -> tuple[str, str]:
    """timm's name of the network and the tag, from the path; empty where it does not tell."""
    for part in reversed(path.replace("\\", "/").split("/")[-_PARTS_OF_PATH:]):
        for match in _MODEL_NAME.finditer(part):
            prefix, network, tag = match.groups(default="")
            if f"efficientnet_{network}" == own:
                return f"{prefix}{own}", tag if tag.split("_")[0] in _TAGS else ""
    return "", ""


def _config_beside(
    path: str, own: str
) -> tuple[tuple[str, str, tuple[Rgb, Rgb]] | None, list[str]]:
    """Name, tag and normalisation from timm's `config.json`; and notes if it is not used."""
    beside = files.join(files.parent(path) or ".", _CONFIG)
    if not files.is_file(beside) or files.size(beside) > _MAX_CONFIG_BYTES:
        return None, []
    try:
        content = json.loads(files.read_text(beside))
    except (ValueError, RecursionError):
        return None, [f"the {_CONFIG} beside it is not valid JSON, and was not used"]
    name = content.get("architecture") if isinstance(content, dict) else None
    if not isinstance(name, str):
        return None, []
    if name.removeprefix("tf_") != own:
        shown = "".join(c for c in name[:60] if c.isprintable())
        return None, [f"the {_CONFIG} beside it is of {shown}, and was not used"]
    # Before timm 0.9 the values of `pretrained_cfg` stood beside it.
    inner = content.get("pretrained_cfg", content)
    inner = inner if isinstance(inner, dict) else {}
    rgb = _channels(inner.get("mean")), _channels(inner.get("std"))
    if rgb[0] is None or rgb[1] is None or min(rgb[1]) <= 0:
        return None, [f"the {_CONFIG} beside it states no mean and std of three channels"]
    tag = inner.get("tag")
    tag = tag if isinstance(tag, str) and re.fullmatch(r"\w{1,40}", tag) else ""
    return (f"{name}.{tag}" if tag else name, tag, (rgb[0], rgb[1])), []


def _channels(value: Any) -> Rgb | None:
    """Three numbers from 0 to 1, in our unit."""
    if not isinstance(value, list) or len(value) != 3:
        return None
    if not all(type(channel) in (int, float) and 0 <= channel <= 1 for channel in value):
        return None
    red, green, blue = (round(255 * channel, 6) for channel in value)
    return red, green, blue
