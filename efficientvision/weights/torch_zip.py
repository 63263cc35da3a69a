"""The PyTorch container of 1.6 and later: an uncompressed zip archive."""

from __future__ import annotations

import struct
import zipfile
from typing import BinaryIO

from efficientvision.weights.strangers import Refused
from efficientvision.weights.torch_container import ByteRange, Container, read_at, read_part
from efficientvision.weights.torch_pickle import MAX_PICKLE_BYTES, read_pickle
from efficientvision.weights.torch_tensors import StorageWindow

MAGIC_BYTES = b"PK\x03\x04"
# Room for about 40,000 storages.
_MAX_DIRECTORY_BYTES = 1 << 22
_PICKLE = "data.pkl"
_LOCAL_HEADER = struct.Struct("<4s22xHH")


class _Directory:
    """A file for `zipfile`, which reads the directory in one piece: limits its size."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self.seekable = file.seek, file.tell, lambda: True
        self._file = file

    def read(self, count: int = -1) -> bytes:
        limit = _MAX_DIRECTORY_BYTES + 1
        content = self._file.read(limit if count < 0 else min(count, limit))
        if len(content) > _MAX_DIRECTORY_BYTES:
            raise Refused("has a table of contents that is too large for a state dict")
        return content


def read_zip(file: BinaryIO, size: int) -> Container:
    """Reads everything except the values.

    Args:
        file: The open file.
        size: Its size in bytes.

    Raises:
        Refused: It is damaged, cut short, compressed, or holds objects that are not supported.
    """
    entries = _entries(file, size)
    pickles = [name for name in entries if name.rsplit("/", 1)[-1] == _PICKLE]
    if "model.weights.h5" in entries and not pickles:
        raise Refused(
            "is a zip archive without PyTorch's data.pkl, written by Keras: rename it to .keras"
        )
    if len(pickles) != 1:
        raise Refused(
            "is a zip archive without PyTorch's data.pkl"
            if not pickles
            else "is a zip archive with several files data.pkl, expected one"
        )
    folder = pickles[0].removesuffix(_PICKLE)
    content = entries[pickles[0]]
    if content.length > MAX_PICKLE_BYTES:
        raise Refused(
            f"describes its tensors in {content.length:,} bytes, expected at most "
            f"{MAX_PICKLE_BYTES:,}"
        )
    windows: list[StorageWindow] = []
    value, _ = read_pickle(read_part(file, content), 0, windows)
    ranges = {}
    for window in windows:
        entry = entries.get(f"{folder}data/{window.key}")
        if entry is None:
            raise Refused(f"is damaged: its storage {window.key[:40]!r} is missing")
        if entry.length != window.num_bytes:
            raise Refused(
                f"is damaged: its storage {window.key[:40]!r} has {entry.length:,} bytes and "
                f"should have {window.num_bytes:,}"
            )
        ranges[window.key] = entry
    return Container(value, ranges, _byte_order(file, entries, folder), "zip")


def _entries(file: BinaryIO, size: int) -> dict[str, ByteRange]:
    try:
        with zipfile.ZipFile(_Directory(file)) as archive:
            listed = archive.infolist()
    # Exceptions caused by a damaged directory.
    except (zipfile.BadZipFile, struct.error, ValueError, OverflowError, NotImplementedError) as e:
        raise Refused("is a zip archive that is damaged or cut short: fetch it again") from e
    entries: dict[str, ByteRange] = {}
    for info in listed:
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise Refused(f"is compressed ({info.filename[:80]}), which PyTorch's files never are")
        if info.filename in entries:
            raise Refused(f"holds two entries named {info.filename[:80]}")
        entries[info.filename] = _content(file, info, size)
    total = sum(entry.length for entry in entries.values())
    if total > size:
        raise Refused(f"claims to hold {total:,} bytes in a file of {size:,}")
    return entries


def _content(file: BinaryIO, info: zipfile.ZipInfo, size: int) -> ByteRange:
    """Location of an entry's bytes: they follow a local header."""
    if not 0 <= info.header_offset <= size:
        raise Refused(f"is damaged: its entry {info.filename[:80]} is outside of the file")
    header = read_at(file, info.header_offset, _LOCAL_HEADER.size)
    signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
    start = info.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
    if signature != MAGIC_BYTES or start + info.file_size > size:
        raise Refused(f"is damaged or cut short at its entry {info.filename[:80]}")
    return ByteRange(start, info.file_size, info.CRC)


def _byte_order(file: BinaryIO, entries: dict[str, ByteRange], folder: str) -> str:
    part = entries.get(f"{folder}byteorder")
    if part is None:  # Files written before PyTorch 2.1.
        return "<"
    stated = read_part(file, part) if part.length < 16 else b""
    if stated not in (b"little", b"big"):
        raise Refused("states an unknown byte order, expected little or big")
    return "<" if stated == b"little" else ">"
