"""Reads safetensors files: a JSON header, followed by the values.

The library `safetensors` reads the values. Its own limits are those of a machine that may spend
gigabytes on a header, so the header is checked here first.

Reference: https://github.com/huggingface/safetensors (the format's description).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from efficientvision import files
from efficientvision.files import AnyPath
from efficientvision.weights.state_file import StateFile
from efficientvision.weights.strangers import HDF5_MAGIC, Refused, no_weights, refusals_name
from efficientvision.weights.torch_state import find_state_dict
from efficientvision.weights.torch_tensors import (
    MAX_DIMENSIONS,
    STORAGE_DTYPES,
    StorageWindow,
    StoredTensor,
    storage_window,
    stored_tensor,
)

ENDINGS = (".safetensors",)
INDEX_ENDING = ".safetensors.index.json"
# Room for about 40,000 tensors.
_MAX_HEADER_BYTES = 1 << 22
_LENGTH_BYTES = 8
_HEAD_BYTES = 512
_METADATA = "__metadata__"
_DTYPES = {
    "F64": "DoubleStorage",
    "F32": "FloatStorage",
    "F16": "HalfStorage",
    "BF16": "BFloat16Storage",
    "I64": "LongStorage",
    "I32": "IntStorage",
    "I16": "ShortStorage",
    "I8": "CharStorage",
    "U8": "ByteStorage",
    "BOOL": "BoolStorage",
}


@dataclass(frozen=True)
class SafetensorsFile(StateFile):
    """A state dict in a safetensors file."""

    @contextmanager
    def _opened(self) -> Iterator[Callable[[StoredTensor], np.ndarray]]:
        import ml_dtypes  # noqa: F401, so that numpy knows bfloat16; TensorFlow brings it.
        from safetensors import SafetensorError, safe_open

        with refusals_name(self.path), files.local_copy(self.path) as local:
            try:
                with safe_open(local, framework="numpy") as file:
                    yield lambda tensor: _plain_array(file.get_tensor(tensor.storage.key))
            except SafetensorError as error:
                raise Refused(f"is damaged ({error}): fetch it again") from error


def _plain_array(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def is_safetensors_file(path: AnyPath) -> bool:
    """Whether a file begins like a safetensors file, regardless of its name."""
    with files.reading(path) as file:
        head = file.read(_LENGTH_BYTES + 1)
    length = int.from_bytes(head[:_LENGTH_BYTES], "little")
    # The longest length is far beyond the limit: such a file is better refused than not known.
    return head[_LENGTH_BYTES:] == b"{" and length < 1 << 40


def open_safetensors(path: AnyPath) -> SafetensorsFile:
    """Opens a safetensors file: reads names, shapes and locations, and no values.

    Raises:
        UserError: It is not a safetensors file, is damaged or cut short, or is not supported.
    """
    text = files.as_text(path)
    size = files.size(text)
    with refusals_name(text), files.reading(text) as file:
        head = file.read(_HEAD_BYTES)
        something_else = _what_else(head)
        if something_else:
            raise Refused(something_else)
        length = int.from_bytes(head[:_LENGTH_BYTES], "little")
        if length > size - _LENGTH_BYTES:
            raise Refused(
                f"is cut short, or no safetensors file: it has {size:,} bytes, and its header "
                f"alone should have {length:,}"
            )
        if length > _MAX_HEADER_BYTES:
            raise Refused(
                f"has a header of {length:,} bytes, expected at most {_MAX_HEADER_BYTES:,}"
            )
        file.seek(_LENGTH_BYTES)
        tensors = _tensors(_parsed(file.read(length)), size - _LENGTH_BYTES - length)
        return SafetensorsFile(text, find_state_dict(tensors))


def _what_else(head: bytes) -> str | None:
    """Says what a file is instead, and what to do; None if it may be a safetensors file."""
    if head.startswith(HDF5_MAGIC):
        return "is an HDF5 file, as Keras writes it: rename it to .h5 (from Keras 3: .weights.h5)"
    if len(head) > _LENGTH_BYTES and head[_LENGTH_BYTES:].startswith(b"{"):
        return None
    return no_weights(head) or "is no safetensors file: it does not begin with a header"


def _parsed(header: bytes) -> dict[str, Any]:
    """The header as a dictionary.

    Raises:
        Refused: It is not JSON, or is no dictionary.
    """

    def items(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) < len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))
            raise Refused(f"is damaged: its header states {twice[:80]!r} twice")
        return result

    try:
        value = json.loads(header.decode("utf8"), object_pairs_hook=items)
    except (ValueError, RecursionError) as error:  # Numbers of many digits are ValueErrors.
        raise Refused("is damaged: its header is not the JSON of a safetensors file") from error
    if not isinstance(value, dict):
        raise Refused(f"is damaged: its header is a {type(value).__name__}, expected a dictionary")
    return value


def _tensors(header: dict[str, Any], size: int) -> dict[str, StoredTensor]:
    """The tensors that the header describes.

    Args:
        header: The header.
        size: Number of bytes after the header.

    Raises:
        Refused: They are impossible, or do not fill these bytes exactly.
    """
    header.pop(_METADATA, None)
    tensors, ranges = {}, []
    for name, entry in header.items():
        window, shape, begin = _described(name[:80], entry)
        strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
        tensors[name] = stored_tensor(_named(window, name), 0, shape, tuple(strides))
        ranges.append((begin, begin + window.num_bytes, name[:80]))
    expected = 0
    for begin, end, name in sorted(ranges):
        if begin != expected:
            what = "overlaps another" if begin < expected else "follows unused bytes"
            raise Refused(f"is damaged: the tensor {name!r} {what}")
        expected = end
    if expected > size:
        raise Refused(
            f"is cut short, it has {size:,} bytes of values and needs {expected:,}: fetch it again"
        )
    if expected < size:
        raise Refused(f"is damaged: {size - expected:,} bytes at its end belong to no tensor")
    return tensors


def _named(window: StorageWindow, name: str) -> StorageWindow:
    return StorageWindow(name, window.kind, window.size, window.start, window.length)


def _described(name: str, entry: Any) -> tuple[StorageWindow, tuple[int, ...], int]:
    """The storage, the shape and the first byte of a tensor.

    Raises:
        Refused: The description is impossible.
    """
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise Refused(f"is damaged: {name!r} is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise Refused(
            f"stores {name!r} as {str(dtype)[:20]}, expected one of {', '.join(_DTYPES)}: convert "
            "it to F32"
        )
    numbers = [shape, offsets]
    if not all(isinstance(part, list) for part in numbers) or len(offsets) != 2:
        raise Refused(f"is damaged: the shape or data_offsets of {name!r} are no lists of numbers")
    if len(shape) > MAX_DIMENSIONS:  # Before their product, which takes hours for a long list.
        raise Refused(f"holds a tensor of {len(shape):,} dimensions, {name!r}")
    for number in (*shape, *offsets):
        if type(number) is not int or not 0 <= number < 1 << 40:
            raise Refused(
                f"states {str(number)[:20]} in the shape or data_offsets of {name!r}, expected a "
                f"whole number below {1 << 40:,}"
            )
    kind = _DTYPES[dtype]
    count = math.prod(shape)
    if offsets[1] - offsets[0] != count * STORAGE_DTYPES[kind].itemsize:
        raise Refused(
            f"is damaged: the tensor {name!r} has {offsets[1] - offsets[0]:,} bytes, which does "
            f"not fit its shape {shape} of {dtype}"
        )
    window = storage_window(("storage", kind, name, "cpu", count))
    return window, tuple(shape), offsets[0]
