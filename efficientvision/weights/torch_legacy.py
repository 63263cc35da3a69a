"""The PyTorch container before 1.6: five pickles, followed by the storages."""

from __future__ import annotations

from typing import Any, BinaryIO

from efficientvision.weights.strangers import Refused
from efficientvision.weights.torch_container import ByteRange, Container, read_at
from efficientvision.weights.torch_pickle import MAX_PICKLE_BYTES, read_pickle
from efficientvision.weights.torch_tensors import StorageWindow

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
# The number as pickled with any protocol.
MAGIC_BYTES = _MAGIC_NUMBER.to_bytes(10, "little") + b"."
_PROTOCOL_VERSION = 1001


def read_legacy(file: BinaryIO, size: int) -> Container:
    """Reads everything except the values.

    Args:
        file: The open file.
        size: Its size in bytes.

    Raises:
        Refused: It is damaged, cut short, or holds objects that are not supported.
    """
    head = read_at(file, 0, min(size, MAX_PICKLE_BYTES))
    magic, end = read_pickle(head)
    if magic != _MAGIC_NUMBER:
        raise Refused("is a pickle, but not of PyTorch's format")
    version, end = read_pickle(head, end)
    if version != _PROTOCOL_VERSION:
        raise Refused("has an unknown version of PyTorch's format")
    _, end = read_pickle(head, end)  # Sizes of integers on the machine that wrote it.
    windows: list[StorageWindow] = []
    value, end = read_pickle(head, end, windows)
    keys, end = read_pickle(head, end)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise Refused("is damaged: its list of storages cannot be read")
    # Values are little-endian, whichever machine wrote them.
    return Container(value, _storages(file, size, end, keys, windows), "<", "legacy")


def _storages(
    file: BinaryIO, size: int, start: int, keys: list[Any], windows: list[StorageWindow]
) -> dict[str, ByteRange]:
    """Each storage is its number of values in eight bytes, followed by the values."""
    described = {window.key: window for window in windows}
    if set(keys) != set(described) or len(keys) != len(described):
        raise Refused("is damaged: its list of storages differs from the storages of its tensors")
    ranges = {}
    for key in keys:
        stated = int.from_bytes(read_at(file, start, 8), "little", signed=True)
        window = described[key]
        if stated != window.size:
            raise Refused(
                f"is damaged: storage {key[:40]!r} has {stated:,} values in one place and "
                f"{window.size:,} in another"
            )
        ranges[key] = ByteRange(start + 8, window.num_bytes)
        start += 8 + window.num_bytes
        if start > size:
            raise Refused(
                f"is cut short, it has {size:,} bytes and needs at least {start:,}: fetch it again"
            )
    return ranges
