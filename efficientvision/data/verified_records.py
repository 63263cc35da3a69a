"""Records of TFRecord files with their checksums verified: damage is found, and what follows it."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import google_crc32c

from efficientvision import files

# A record: its length and that number's checksum, its bytes and their checksum.
_HEADER_BYTES, _CHECKSUM_BYTES = 12, 4
_ZEROS = re.compile(rb"\0{4,}")
_SEARCHED_BYTES = 1 << 24


@dataclass(frozen=True)
class DamagedRecord:
    """Stands for a record whose bytes are not those that were written.

    Attributes:
        byte: where the record begins in its file.
        lost_bytes: its length is damaged: bytes up to the next record that can be found, which
            may have been several records. 0: its length is known.
        rest_is_lost: no record can be found after it.
        is_cut: the file ends before the record does.
    """

    byte: int
    lost_bytes: int = 0
    rest_is_lost: bool = False
    is_cut: bool = False

    def __str__(self) -> str:
        if self.is_cut:
            return f"(at byte {self.byte}) is cut short: the file ends before it does"
        text = f"(at byte {self.byte}) has a wrong checksum"
        if self.lost_bytes:
            text += f": its length is damaged, and the {self.lost_bytes:,} bytes"
            text += " up to the end are lost" if self.rest_is_lost else " up to the next are lost"
        return text


def verified_records(path: str) -> Iterator[bytes | DamagedRecord]:
    """The records of one file; a `DamagedRecord` stands for each whose checksum is wrong."""
    size = files.size(path)
    with files.reading(path) as file:
        position = 0
        while position < size:
            header = file.read(_HEADER_BYTES)
            length = struct.unpack("<Q", header[:8])[0] if len(header) == _HEADER_BYTES else size
            end = position + _HEADER_BYTES + length + _CHECKSUM_BYTES
            is_length = _masked_crc32c(header[:8]) == header[8:]
            is_cut = len(header) < _HEADER_BYTES or (is_length and end > size)
            if is_cut:
                yield DamagedRecord(position, is_cut=True)
                return
            if not is_length:
                found = _find_record(file, position + 1, size)
                following = size if found is None else found
                yield DamagedRecord(position, following - position, rest_is_lost=found is None)
                position = following
                file.seek(position)
                continue
            record, checksum = file.read(length), file.read(_CHECKSUM_BYTES)
            if _masked_crc32c(record) == checksum:
                yield record
            else:
                yield DamagedRecord(position)
            position = end


def _find_record(file: BinaryIO, start: int, size: int) -> int | None:
    """Where the first record at or after `start` begins: a length that its checksum confirms.

    Lengths are below 4 GiB: four bytes that are not all zero, and four zeros.
    """
    while start < size:
        file.seek(start)
        chunk = file.read(_SEARCHED_BYTES)
        for zeros in _ZEROS.finditer(chunk):
            for place in range(max(zeros.start() - 4, 0), zeros.start()):
                file.seek(start + place)
                header = file.read(_HEADER_BYTES)
                if len(header) < _HEADER_BYTES or _masked_crc32c(header[:8]) != header[8:]:
                    continue
                length = struct.unpack("<Q", header[:8])[0]
                if start + place + _HEADER_BYTES + length + _CHECKSUM_BYTES <= size:
                    return start + place
        # A header may lie across the border of two chunks.
        start += max(len(chunk) - _HEADER_BYTES, 1) if len(chunk) == _SEARCHED_BYTES else size
    return None


def _masked_crc32c(content: bytes) -> bytes:
    """The checksum as TFRecord files hold it: CRC-32C, rotated, with a constant added."""
    checksum = google_crc32c.value(content)
    rotated = (checksum >> 15 | checksum << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)
