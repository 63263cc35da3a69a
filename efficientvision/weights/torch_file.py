"""Reads PyTorch state dicts (`.pth`) without PyTorch and without executing their pickles.

Supports both containers: the legacy one and the zip archive of PyTorch 1.6 and later. Opening reads
names, shapes and locations; values are read on request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from efficientvision import files
from efficientvision.files import AnyPath
from efficientvision.weights import torch_legacy, torch_zip
from efficientvision.weights.state_file import StateFile
from efficientvision.weights.strangers import HDF5_MAGIC, Refused, no_weights, refusals_name
from efficientvision.weights.torch_container import Container, read_part
from efficientvision.weights.torch_state import find_state_dict
from efficientvision.weights.torch_tensors import StoredTensor

ENDINGS = (".pth", ".pt", ".pth.tar")
_HEAD_BYTES = 512


@dataclass(frozen=True)
class TorchFile(StateFile):
    """A state dict in a PyTorch file.

    Attributes:
        path: The file.
        content: Its weights.
        container: Locations of its values.
    """

    container: Container

    @contextmanager
    def _opened(self) -> Iterator[Callable[[StoredTensor], np.ndarray]]:
        last_key, content = None, b""
        with _opened(self.path) as file:

            def values(tensor: StoredTensor) -> np.ndarray:
                nonlocal last_key, content
                if tensor.storage.key != last_key:
                    last_key = tensor.storage.key
                    content = read_part(file, self.container.storages[last_key])
                return tensor.array(content, self.container.byte_order)

            yield values


def open_torch_file(path: AnyPath) -> TorchFile:
    """Opens a PyTorch file that holds a state dict, alone or in a training checkpoint.

    Raises:
        UserError: It is not a PyTorch file, is damaged or cut short, holds no state dict, or holds
            objects that are not supported.
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
        return TorchFile(text, find_state_dict(container.value), container)


def is_torch_file(path: AnyPath) -> bool:
    """Whether a file begins like a PyTorch file, regardless of its name."""
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
    """Says what a file is instead of a PyTorch file, and what to do; None if it may be one."""
    if head.startswith(HDF5_MAGIC):
        return "is an HDF5 file, as Keras writes it: rename it to .h5 (from Keras 3: .weights.h5)"
    if head.startswith((torch_zip.MAGIC_BYTES, b"\x80", b"c", b"(", b"i")):
        return None  # The last three begin pickles of protocols older than PyTorch.
    return no_weights(head) or "is no PyTorch file: it begins with no known signature"
