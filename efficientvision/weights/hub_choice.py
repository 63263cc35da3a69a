"""Chooses which files of a repository to download: one model, with the small files beside it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from efficientvision.errors import UserError
from efficientvision.weights.torch_file import ENDINGS as TORCH_ENDINGS

# What explains the weights: a run of ours, or a model of timm or effdet.
SIDE_FILES = ("config.yaml", "labels.json", "thresholds.json", "config.json")
_SIDE_BYTES = 8_000_000
# Files that are a model by themselves, the preferred first.
_KINDS: tuple[tuple[str, ...], ...] = (
    (".safetensors",),
    (".npz",),
    (".index",),
    (".h5", ".hdf5"),
    (".keras",),
    (*TORCH_ENDINGS, "pytorch_model.bin"),
    ("saved_model.pb",),
    (".tflite",),
    (".onnx",),
    (".xml",),
    (".pb",),
)
# Of several of one kind.
_USUAL = ("model.safetensors", "pytorch_model.bin")
_STEP = re.compile(r"ckpt-(\d+)\.npz")
_SHOWN = 6


class Choice(NamedTuple):
    """The files to download.

    Attributes:
        target: Path in the repository of the file, folder or TensorFlow prefix that is the model.
        names: Paths of the files.
    """

    target: str
    names: tuple[str, ...]


def choose_files(address: str, path: str, listing: Mapping[str, Any], what: str = "") -> Choice:
    """Finds the model that an address means.

    Args:
        address: For messages.
        path: File or folder in the repository; "": the repository.
        listing: Path in the repository -> `RepositoryFile`, or None if the size is not known.
        what: Begins messages.

    Raises:
        UserError: There is no such file, no model, or more than one.
    """
    if path in listing:
        return _with_side_files(address, path, listing)
    if f"{path}.index" in listing:
        return _with_side_files(address, f"{path}.index", listing)
    folder = f"{path}/" if path else ""
    inside = [name for name in listing if name.startswith(folder)]
    if not inside:
        near = difflib.get_close_matches(path, list(listing), 1) or models_in(listing)[:_SHOWN]
        instead = f" Did you mean {', '.join(near)}?" if near else ""
        raise UserError(f"{what}{address}: there is no {path or 'file'} in it.{instead}")
    here = [name for name in inside if "/" not in name.removeprefix(folder)]
    for endings in _KINDS:
        found = [name for name in here if name.lower().endswith(endings)]
        if found:
            return _with_side_files(address, _one_of(address, found), listing)
    others = models_in(inside)
    instead = f"name one of {', '.join(others[:_SHOWN])}" if others else f"it has {_some(inside)}"
    raise UserError(
        f"{what}{address} has no model that can be loaded (.safetensors, .pth, .h5, .keras, .npz, "
        f"TensorFlow's .index, or an export) at its top: {instead}."
    )


def models_in(names: Collection[str]) -> list[str]:
    """The files that are models, by their names."""
    endings = tuple(ending for kind in _KINDS for ending in kind)
    return [name for name in names if name.lower().endswith(endings)]


def _one_of(address: str, found: list[str]) -> str:
    """The file that a folder with several of one kind means."""
    if len(found) == 1:
        return found[0]
    steps = {name: step for name in found if (step := _STEP.fullmatch(name.rpartition("/")[2]))}
    if len(steps) == len(found):
        return max(found, key=lambda name: int(steps[name][1]))
    usual = [name for name in found if name.rpartition("/")[2] in _USUAL]
    if len(usual) == 1:
        return usual[0]
    raise UserError(f"{address} has {len(found)} models, {_some(found)}: add the file's name.")


def _some(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:_SHOWN])
    return f"{shown}, ..." if len(names) > _SHOWN else shown


def _with_side_files(address: str, name: str, listing: Mapping[str, Any]) -> Choice:
    folder, _, own = name.rpartition("/")
    start = f"{folder}/" if folder else ""
    names, target = [name], name
    if own == "saved_model.pb":
        target = folder or "."
        wanted = (f"{start}variables/", f"{start}metadata.json", f"{start}fingerprint.pb")
        names += [other for other in listing if other.startswith(wanted)]
    elif own.endswith(".index"):
        target = name.removesuffix(".index")
        names += [other for other in listing if other.startswith(f"{target}.data-")]
    elif own.endswith(".xml"):  # OpenVINO's weights.
        names += [other for other in (f"{name.removesuffix('.xml')}.bin",) if other in listing]
    for side in SIDE_FILES:
        if (path := f"{start}{side}") in listing and path not in names:
            size = getattr(listing[path], "size", 0)
            if size > _SIDE_BYTES:
                raise UserError(
                    f"{address}: {path} has {size:,} bytes, which no {side} needs: nothing was "
                    "downloaded."
                )
            names.append(path)
    return Choice(target, tuple(names))
