"""Descriptions of tensors in a PyTorch file, validated before any value is read."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from efficientvision.weights.strangers import Refused

MAX_DIMENSIONS = 16
# Bound on sizes, offsets and strides: numpy multiplies them without checking for overflow.
_MAX_COUNT = 1 << 40


# A storage's name in `torch` -> the dtype of its values in the file.
STORAGE_DTYPES = {
    "FloatStorage": np.dtype(np.float32),
    "DoubleStorage": np.dtype(np.float64),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": np.dtype(np.uint16),  # Upper halves of float32.
    "CharStorage": np.dtype(np.int8),
    "ShortStorage": np.dtype(np.int16),
    "IntStorage": np.dtype(np.int32),
    "LongStorage": np.dtype(np.int64),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.uint8),
}


@dataclass(frozen=True)
class StorageWindow:
    """A storage (a flat array of values), or a part of one.

    Attributes:
        key: Name of the storage in the file.
        kind: Key of `STORAGE_DTYPES`.
        size: Number of values in the whole storage.
        start: Offset of the window, in values.
        length: Number of values in the window.
    """

    key: str
    kind: str
    size: int
    start: int
    length: int

    @property
    def num_bytes(self) -> int:
        """Size of the whole storage in the file, in bytes."""
        return self.size * STORAGE_DTYPES[self.kind].itemsize


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as the file describes it: a view of a storage. No value has been read.

    Attributes:
        storage: Window of the storage that has its values.
        offset: Offset of its first value in the window.
        shape: Its shape.
        strides: Its strides, in values.
    """

    storage: StorageWindow
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, content: bytes, byte_order: str = "<") -> np.ndarray:
        """The values.

        Args:
            content: Bytes of the whole storage, `storage.num_bytes` long.
            byte_order: `"<"` or `">"`.

        Returns:
            Array of `shape`, bfloat16 widened to float32; may be a view of `content`.
        """
        kind = self.storage.kind
        dtype = STORAGE_DTYPES[kind]
        values = np.frombuffer(content, dtype.newbyteorder(byte_order))
        window = values[self.storage.start + self.offset :]
        if 0 in self.shape:
            window = np.zeros(1, window.dtype)
        strides = [stride * dtype.itemsize for stride in self.strides]
        view = np.lib.stride_tricks.as_strided(window, self.shape, strides, writeable=False)
        if kind == "BFloat16Storage":
            return (view.astype(np.uint32) << 16).view(np.float32)
        return view != 0 if kind == "BoolStorage" else view.astype(dtype, copy=False)


def storage_window(identity: object) -> StorageWindow:
    """Validates a persistent id: `("storage", kind, key, device, size[, window])`.

    Args:
        identity: The persistent id; `kind` is a dotted name as a string.

    Raises:
        Refused: It is not a storage, or an impossible one.
    """
    if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != "storage":
        raise Refused("holds a reference to something that is no tensor storage")
    _, name, key, _, size, *window = identity
    kind = name.rsplit(".", 1)[-1] if isinstance(name, str) else type(name).__name__
    if kind not in STORAGE_DTYPES or not isinstance(key, str):
        raise Refused(f"holds a storage of kind {kind[:80]}, which is not supported")
    start, length = 0, size
    if window and window[0] is not None:
        if not isinstance(window[0], tuple) or len(window[0]) != 3:
            raise Refused(f"describes a part of storage {key[:40]!r} in an unknown format")
        _, start, length = window[0]
    _check_counts([size, start, length], f"storage {key[:40]!r}")
    if start + length > size:
        raise Refused(f"describes a part of storage {key[:40]!r} that is outside of it")
    return StorageWindow(key, kind, size, start, length)


def stored_tensor(storage: object, offset: object, shape: object, strides: object) -> StoredTensor:
    """Validates the arguments of `torch._utils._rebuild_tensor_v2`.

    Raises:
        Refused: The tensor reaches beyond its storage, or is otherwise impossible.
    """
    if not isinstance(storage, StorageWindow):
        raise Refused("holds a tensor without a storage")
    if not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise Refused("holds a tensor whose shape or strides are not tuples of numbers")
    if len(shape) != len(strides) or len(shape) > MAX_DIMENSIONS:
        raise Refused(f"holds a tensor of {len(shape)} dimensions and {len(strides)} strides")
    _check_counts([offset, *shape, *strides], "a tensor's shape, strides or offset")
    count = math.prod(shape)
    if math.prod(max(side, 1) for side in shape) >= _MAX_COUNT:
        raise Refused(f"holds a tensor of shape {list(shape)}, which is too large")
    reach = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True)) + 1
    if count and (reach > storage.length or count > storage.length):
        raise Refused(
            f"holds a tensor of shape {list(shape)}, larger than its storage of "
            f"{storage.length} values"
        )
    return StoredTensor(storage, offset, shape, strides)


def _check_counts(numbers: list, what: str) -> None:
    for number in numbers:
        if type(number) is not int or not 0 <= number < _MAX_COUNT:
            raise Refused(
                f"states {_short(number)} in {what}, expected a whole number below {_MAX_COUNT:,}"
            )


def _short(value: object) -> str:
    return str(value)[:20] if isinstance(value, int | float) else type(value).__name__
