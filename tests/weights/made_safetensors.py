"""Writes safetensors files byte by byte, also those that the library would not write."""

from __future__ import annotations

import json
import pathlib
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

_DTYPES = {"float32": "F32", "float64": "F64", "float16": "F16", "int64": "I64", "uint16": "BF16"}


def header_of(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The honest header of these tensors; uint16 stands for the upper halves of bfloat16."""
    header, start = {}, 0
    for name, array in tensors.items():
        end = start + array.nbytes
        dtype = _DTYPES[array.dtype.name]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [start, end]}
        start = end
    return header


def write_safetensors(
    path: pathlib.Path,
    tensors: Mapping[str, np.ndarray],
    header: Any = None,
    length: int | None = None,
) -> None:
    """Writes a file; `header` (a value, or bytes) and `length` may contradict the tensors."""
    header = header_of(tensors) if header is None else header
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    values = b"".join(array.tobytes() for array in tensors.values())
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + values)
