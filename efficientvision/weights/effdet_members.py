"""The networks of effdet that are ours: names, preprocessing, settings.

Reference: `effdet/config/model_config.py` of https://github.com/rwightman/efficientdet-pytorch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from efficientvision import files
from efficientvision.weights.preprocessing import IMAGENET, INCEPTION, Preprocessing
from efficientvision.weights.strangers import Refused

_CONFIG_FILE = "config.json"
_MAX_CONFIG_BYTES = 1 << 16
_NAME = re.compile(r"(?:tf_)?efficientdet_(?:lite|[dq])\d(?:x(?![a-z]))?(?:_ap(?![a-z]))?")
# Its anchors are those of automl's first version; the sides of 1, 2 and 1/2 differ by 1 %.
_ASPECT_RATIOS = ((1.0, 1.0), (1.4, 0.7), (0.7, 1.4))
# End of a name -> what to do if the file holds that network.
_REMEDIES = {
    "ap": "set `mean_rgb` and `stddev_rgb` to 127.5",
    "d7": "set `model_name` to efficientdet-d7",
}


@dataclass(frozen=True)
class Member:
    """A network of effdet.

    Attributes:
        name: Its name in effdet.
        model: Model of the registry that its tensors alone do not tell; None if they do.
        settings: Hyper-parameters that its tensors do not tell.
        notes: Sentences for the user, without a full stop.
    """

    name: str
    model: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def preprocessing(self) -> Preprocessing:
        """Mean and deviation of 0.5 for the lite members and those of AdvProp."""
        mean, stddev = INCEPTION if re.search("lite|_ap$", self.name) else IMAGENET
        return Preprocessing(mean, stddev, f"effdet's {self.name}")


def port(path: str, backbone: str, filters: int) -> Member:
    """The port of a published network, `tf_efficientdet_*`.

    Args:
        path: The file. Its name, or `config.json` beside it, tells apart networks of equal tensors.
        backbone: For example `"efficientnet-b0"`.
        filters: Channels of the fusion.
    """
    size = backbone.removeprefix("efficientnet-")
    names = _port_names(size, filters)
    hint, source = _hint(path)
    hint = hint if hint.startswith("tf_") else f"tf_{hint}"
    name = hint if hint in names else names[0]
    model = "efficientdet-d7" if name == "tf_efficientdet_d7" else None
    settings = {"aspect_ratios": _ASPECT_RATIOS}
    others = [other for other in names if other != name]
    if not others:
        return Member(name, model, settings)
    # Networks of the author: no weights of them were published.
    others += [f"efficientdet_d{size[1:]}"] if size in ("b4", "b5") else []
    note = f"taken for effdet's {name}, "
    note += f"as {source} says" if name == hint else "which its file's name does not tell"
    note += f"; {' and '.join(others)} {'has' if len(others) == 1 else 'have'} the same tensors"
    if name != hint:
        note += f": for {others[0]} {_REMEDIES[others[0][-2:]]}"
    return Member(name, model, settings, (note,))


def _port_names(size: str, filters: int) -> list[str]:
    if size.startswith("lite"):
        return [f"tf_efficientdet_{size}{'x' if (size, filters) == ('lite3', 200) else ''}"]
    name = f"tf_efficientdet_d{size[1:]}"
    if size == "b6":
        return [name, "tf_efficientdet_d7"]
    return ["tf_efficientdet_d7x"] if size == "b7" else [name, f"{name}_ap"]


def author_member(backbone: str, is_quad: bool) -> Member:
    """A network of effdet's author, with PyTorch's padding: `efficientdet_d0`, `efficientdet_q0`.

    Args:
        backbone: For example `"efficientnet-b0"`.
        is_quad: Whether its fusion is a QuFPN.

    Raises:
        Refused: It is not supported.
    """
    size = backbone.removeprefix("efficientnet-")
    if size not in (("b0", "b1", "b2") if is_quad else ("b0", "b1", "b2", "b3")):
        raise Refused(
            f"holds effdet's efficientdet_{size} or a relative of it, whose backbone is padded as "
            "in PyTorch and whose fusion as in TensorFlow, which is not supported: use "
            f"tf_efficientdet_{size.replace('b', 'd')}"
        )
    name = f"efficientdet_{'q' if is_quad else 'd'}{size[1:]}"
    settings: dict[str, Any] = {"padding": "symmetric", "aspect_ratios": _ASPECT_RATIOS}
    if name == "efficientdet_q1":
        settings["fpn_resizing"] = "bilinear"
    return Member(name, f"efficientdet-d{size[1:]}" if is_quad else None, settings)


def _hint(path: str) -> tuple[str, str]:
    """The network that the file's name states, else `config.json` beside it, and which of them.

    Both are empty if neither states one.
    """
    found = _NAME.search(files.base_name(path).lower().replace("-", "_"))
    if found:
        return found.group(), "its file's name"
    config = files.join(files.parent(path), _CONFIG_FILE)
    if not files.is_file(config) or files.size(config) > _MAX_CONFIG_BYTES:
        return "", ""
    try:
        content = json.loads(files.read_bytes(config))
    except (ValueError, RecursionError):
        return "", ""
    stated = content.get("architecture") if isinstance(content, dict) else None
    found = _NAME.fullmatch(stated) if isinstance(stated, str) else None
    return (found.group(), _CONFIG_FILE + " beside it") if found else ("", "")
