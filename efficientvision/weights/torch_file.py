"""Reads PyTorch state dicts (`.pth`) without PyTorch and without executing their pickles.

Supports both containers: the legacy one and the zip archive of PyTorch 1.6 and later. Opening reads
names, shapes and locations; values are read on request.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from efficientvision import files
from efficientvision.files import AnyPath
from efficientvision.weights import torch_legacy, torch_zip
from efficientvision.weights.strangers import HDF5_MAGIC, Refused, no_weights, refusals_name
from efficientvision.weights.torch_container import Container, read_part
from efficientvision.weights.torch_state import AVERAGE, StateDict, find_state_dict
from efficientvision.weights.torch_tensors import StoredTensor

ENDINGS = (".pth", ".pt", ".pth.tar")
_HEAD_BYTES = 512


@dataclass(frozen=True)
class TorchFile:
    """A state dict in a file.

    Attributes:
        path: The file.
        container: Locations of its values.
        content: Its weights.
    """

    path: str
    container: Container
    content: StateDict

    @property
    def tensors(self) -> dict[str, StoredTensor]:
        """Name, without the prefixes that trainers add -> description of the tensor."""
        return self.content.tensors

    @property
    def averages(self) -> dict[str, StoredTensor]:
        """Name -> description of the moving average, if the file has moving averages."""
        return self.content.averages

    def read(self, names: Sequence[str]) -> list[np.ndarray]:
        """Reads tensors by name, in PyTorch's layout; bfloat16 becomes float32.

        Args:
            names: Keys of `tensors`; or, for moving averages, `AVERAGE` + a key of `averages`.

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
                array = tensor.array(content, self.container.byte_order)
                mask = self.content.masks.get(name)
                if mask is not None:
                    array = array * self._values(file, mask)
                arrays.append(array)
        return arrays

    def _values(self, file: BinaryIO, tensor: StoredTensor) -> np.ndarray:
        content = read_part(file, self.container.storages[tensor.storage.key])
        return tensor.array(content, self.container.byte_order)


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
        return TorchFile(text, container, find_state_dict(container.value))


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
    """Recognises a file that is not from PyTorch, and says what to do; None if it may be one."""
    if head.startswith(HDF5_MAGIC):
        return "is an HDF5 file, as Keras writes it: rename it to .h5 (from Keras 3: .weights.h5)"
    if head.startswith((torch_zip.MAGIC_BYTES, b"\x80", b"c", b"(", b"i")):
        return None  # The last three begin pickles of protocols older than PyTorch.
    return no_weights(head) or "is no PyTorch file: it begins with no known signature"
