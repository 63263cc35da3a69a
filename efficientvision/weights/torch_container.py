"""Where the parts of a PyTorch file lie, whichever of its two containers holds them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from efficientvision.weights.strangers import Refused


@dataclass(frozen=True)
class ByteRange:
    """A part of a file.

    Attributes:
        start: Its first byte.
        length: Its bytes.
        crc: Its CRC-32, where the file states one.
    """

    start: int
    length: int
    crc: int | None = None


@dataclass(frozen=True)
class Container:
    """A PyTorch file of which the pickle has been read.

    Attributes:
        value: What the pickle holds; see `torch_pickle.read_pickle`.
        storages: Storage key -> where its values are.
        byte_order: `"<"` or `">"`.
        kind: `"legacy"` or `"zip"`.
    """

    value: Any
    storages: Mapping[str, ByteRange]
    byte_order: str
    kind: str


def read_at(file: BinaryIO, start: int, length: int) -> bytes:
    """Bytes of a file.

    Raises:
        Refused: The file ends before.
    """
    file.seek(start)
    content = file.read(length)
    if len(content) != length:
        raise Refused(f"is cut short, it ends before byte {start + length:,}: fetch it again")
    return content


def read_part(file: BinaryIO, part: ByteRange) -> bytes:
    """The bytes of a part, with the checksum that the file states.

    Raises:
        Refused: The file ends before, or the checksum is another.
    """
    content = read_at(file, part.start, part.length)
    if part.crc is not None and zlib.crc32(content) != part.crc:
        raise Refused("is damaged, a checksum in it is wrong: fetch it again")
    return content
