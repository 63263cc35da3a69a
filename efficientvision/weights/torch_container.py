"""The parts of a PyTorch file, common to its two containers."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from efficientvision.weights.strangers import Refused


@dataclass(frozen=True)
class ByteRange:
    """A range of bytes in a file.

    Attributes:
        start: Offset of the first byte.
        length: Number of bytes.
        crc: CRC-32 of the bytes, if the file states one.
    """

    start: int
    length: int
    crc: int | None = None


@dataclass(frozen=True)
class Container:
    """A PyTorch file whose pickle has been read.

    Attributes:
        value: The pickled value; see `torch_pickle.read_pickle`.
        storages: Storage key -> location of its values.
        byte_order: `"<"` or `">"`.
        kind: `"legacy"` or `"zip"`.
    """

    value: Any
    storages: Mapping[str, ByteRange]
    byte_order: str
    kind: str


def read_at(file: BinaryIO, start: int, length: int) -> bytes:
    """Reads bytes of a file.

    Raises:
        Refused: The file is too short.
    """
    file.seek(start)
    content = file.read(length)
    if len(content) != length:
        raise Refused(f"is cut short, it ends before byte {start + length:,}: fetch it again")
    return content


def read_part(file: BinaryIO, part: ByteRange) -> bytes:
    """Reads a range of bytes and verifies its checksum.

    Raises:
        Refused: The file is too short, or the checksum differs.
    """
    content = read_at(file, part.start, part.length)
    if part.crc is not None and zlib.crc32(content) != part.crc:
        raise Refused("is damaged, its data does not match a checksum: fetch it again")
    return content
