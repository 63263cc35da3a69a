"""PyTorch state dicts (`.pth`) without PyTorch, and without running anything that they contain.

Both containers are read: that of 2019 and the zip archive of PyTorch 1.6 and later. Names, shapes
and places come first; a tensor's values are read when they are asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from efficientvision import files
from efficientvision.files import AnyPath
from efficientvision.weights import torch_legacy, torch_zip
from efficientvision.weights.strangers import Refused, refusals_name
from efficientvision.weights.torch_container import Container, read_part
from efficientvision.weights.torch_names import NotRead
from efficientvision.weights.torch_tensors import StoredTensor

ENDINGS = (".pth", ".pt", ".pth.tar")
# Stands before the name of a moving average; no name of a layer begins so.
AVERAGE = "average of "
_HEAD_BYTES = 512
_MAX_NAME = 300
# Where training checkpoints keep the state dict, beside the optimizer and the epoch.
_STATE_DICT_KEYS = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights"),
    *("net_state_dict", "network_state_dict", "params", "parameters", "module", "checkpoint"),
)
# Where they keep its moving average.
_AVERAGE_KEYS = (
    *("state_dict_ema", "ema_state_dict", "model_ema_state_dict", "model_ema", "ema_model"),
    *("ema", "params_ema"),
)
# First components of names that come from what trainers wrap a network in: data-parallel training,
# torch.compile, a Lightning module, a copy that averages.
_WRAPPERS = ("module", "_orig_mod", "model", "net", "network", "_model", "_forward_module")


@dataclass(frozen=True)
class TorchFile:
    """A state dict in a file.

    Attributes:
        path: The file.
        container: Where its values are.
        tensors: Name, without the `module.` of data-parallel training and what else trainers put
            before it -> what is known of it.
        averages: The same of moving averages, where the file keeps them beside the weights.
    """

    path: str
    container: Container
    tensors: dict[str, StoredTensor]
    averages: dict[str, StoredTensor] = field(default_factory=dict)

    def read(self, names: Sequence[str]) -> list[np.ndarray]:
        """Values of tensors by name, in PyTorch's layout; bfloat16 as float32.

        Args:
            names: Keys of `tensors`, or `AVERAGE` and a key of `averages`.

        Raises:
            UserError: The file is damaged or cut short.
        """
        arrays = []
        last_key, content = None, b""
        with _opened(self.path) as file:
            for name in names:
                average = self.averages.get(name.removeprefix(AVERAGE))
                tensor = average if average and name.startswith(AVERAGE) else self.tensors[name]
                if tensor.storage.key != last_key:
                    last_key = tensor.storage.key
                    content = read_part(file, self.container.storages[last_key])
                arrays.append(tensor.array(content, self.container.byte_order))
        return arrays


def open_torch_file(path: AnyPath) -> TorchFile:
    """Opens a PyTorch file that holds a state dict, alone or in a training checkpoint.

    Raises:
        UserError: It is no such file, is damaged or cut short, or holds anything but tensors.
    """
    text = files.as_text(path)
    size = files.size(text)
    with _opened(text) as file:
        head = file.read(_HEAD_BYTES)
        something_else = _what_else(head)
        if something_else:
            raise Refused(something_else)
        if head.startswith(torch_zip.MAGIC_BYTES):
            container = torch_zip.read_zip(file, size)
        else:
            container = torch_legacy.read_legacy(file, size)
        return TorchFile(text, container, *_state_dicts(container.value))


def is_torch_file(path: AnyPath) -> bool:
    """Whether the first bytes are those of a PyTorch file, whatever its name."""
    with files.reading(path) as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(torch_zip.MAGIC_BYTES):
        name_bytes = int.from_bytes(head[26:28], "little")
        return head[30 : 30 + name_bytes].endswith(b"data.pkl")
    return torch_legacy.MAGIC_BYTES in head[:32]


@contextmanager
def _opened(path: str) -> Iterator:
    with refusals_name(path), files.reading(path) as file:
        yield file


def _what_else(head: bytes) -> str | None:
    """What a file is that is no PyTorch file, and what to do; None if it may be one."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "is empty: fetch it again"
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "is a web page, not weights: fetch the file itself (a site's 'raw' or download link)"
    if start.startswith(b"version https://git-lfs"):
        return "is a git-lfs pointer, not the weights that it points to: run git lfs pull"
    if head.startswith(b"\x89HDF\r\n"):
        return "is an HDF5 file, as Keras writes it: rename it to .h5 (of Keras 3: .weights.h5)"
    if head[257:262] == b"ustar":
        return "is a tar archive: unpack it and name the file inside"
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")):
        return "is compressed: unpack it and name the file inside"
    if head.startswith((torch_zip.MAGIC_BYTES, b"\x80", b"c", b"(", b"i")):
        return None  # The last three begin a pickle of a protocol that is older than PyTorch.
    return "is no PyTorch file: it begins with none of the known marks"


def _state_dicts(value: object) -> tuple[dict[str, StoredTensor], dict[str, StoredTensor]]:
    """The names and tensors in what was unpickled, and their moving averages if there are any."""
    if not isinstance(value, dict):
        kind = "Python object" if isinstance(value, NotRead) else type(value).__name__
        raise Refused(f"holds a {kind}, not a state dict: save model.state_dict()")
    tensors, averages = _under(value, _STATE_DICT_KEYS), _under(value, _AVERAGE_KEYS)
    tensors = tensors or _tensors(value) or averages
    if tensors:
        return tensors, averages if averages.keys() == tensors.keys() else {}
    raise Refused(
        "holds no state dict: expected names and tensors, or a training checkpoint with them under "
        + ", ".join(map(repr, _STATE_DICT_KEYS))
    )


def _under(value: dict, keys: Sequence[str]) -> dict[str, StoredTensor]:
    """The tensors of the first of these keys that has some, at most two dictionaries deep."""
    for key in keys:
        inner = value.get(key)
        if not isinstance(inner, dict):
            continue
        for candidate in (inner, *(inner.get(k) for k in _STATE_DICT_KEYS)):
            if isinstance(candidate, dict) and (tensors := _tensors(candidate)):
                return tensors
    return {}


def _tensors(value: dict) -> dict[str, StoredTensor]:
    """The tensors among a dictionary's values, by their names without wrappers."""
    tensors = {k: v for k, v in value.items() if isinstance(v, StoredTensor)}
    for name in tensors:
        if not isinstance(name, str) or not name.isprintable() or len(name) > _MAX_NAME:
            raise Refused("gives a tensor a name that is no name of a layer")
    while (wrapper := _wrapper_of(tensors)) is not None:
        plain = {name.removeprefix(wrapper): tensor for name, tensor in tensors.items()}
        if len(plain) < len(tensors):
            break
        tensors = plain
    return tensors


def _wrapper_of(names: Collection[str]) -> str | None:
    """What a wrapper put before most names; others may belong to a loss or to a counter of it."""
    for wrapper in _WRAPPERS:
        prefix = f"{wrapper}."
        if names and 2 * sum(name.startswith(prefix) for name in names) > len(names):
            return prefix
    return None
