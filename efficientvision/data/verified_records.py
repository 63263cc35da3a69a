"""Reads records of TFRecord files with verified checksums: finds damage, and records after it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from efficientvision import files
from efficientvision.data.record_framing import (
    CHECKSUM_BYTES,
    HEADER_BYTES,
    foreign,
    is_length,
    length_of,
    masked_crc32c,
)

_ZEROS = re.compile(rb"\0{4,}")
_SEARCHED_BYTES = 1 << 24


@dataclass(frozen=True)
class DamagedRecord:
    """Placeholder for a record whose bytes are not those that were written.

    Attributes:
        byte: Position of the record in its file.
        lost_bytes: If its length is damaged: number of bytes up to the next record that can be
            found, which may have been several records. 0: its length is known.
        rest_is_lost: No record can be found after it.
        is_cut: The file ends before the record does.
        foreign: Why the file is not a TFRecord file, if it is not.
    """

    byte: int
    lost_bytes: int = 0
    rest_is_lost: bool = False
    is_cut: bool = False
    foreign: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        if self.foreign:
            return f"cannot be read: the file {self.foreign}"
        if self.is_cut:
            return f"(at byte {self.byte}) is cut short: the file ends before it does"
        text = f"(at byte {self.byte}) has a wrong checksum"
        if self.lost_bytes:
            text += f": its length is damaged, and the {self.lost_bytes:,} bytes"
            text += " up to the end are lost" if self.rest_is_lost else " up to the next are lost"
        return text


def verified_records(path: str) -> Iterator[bytes | DamagedRecord]:
    """Yields the records of one file; a `DamagedRecord` for each with a wrong checksum."""
    size = files.size(path)
    with files.reading(path) as file:
        position = 0
        while position < size:
            header = file.read(HEADER_BYTES)
            length = length_of(header) if len(header) == HEADER_BYTES else size
            end = position + HEADER_BYTES + length + CHECKSUM_BYTES
            is_cut = len(header) < HEADER_BYTES or (is_length(header) and end > size)
            if is_cut:
                yield DamagedRecord(position, is_cut=True)
                return
            if not is_length(header):
                found = _find_record(file, position + 1, size)
                following = size if found is None else found
                wrong = foreign(header) if position == 0 and found is None else None
                yield DamagedRecord(position, following - position, found is None, foreign=wrong)
                position = following
                file.seek(position)
                continue
            record, checksum = file.read(length), file.read(CHECKSUM_BYTES)
            if masked_crc32c(record) == checksum:
                yield record
            else:
                yield DamagedRecord(position)
            position = end


def _find_record(file: BinaryIO, start: int, size: int) -> int | None:
    """Position of the first record at or after `start`: a length that its checksum confirms.

    Lengths are below 4 GiB: four bytes that are not all zero, followed by four zeros.
    """
    while start < size:
        file.seek(start)
        chunk = file.read(_SEARCHED_BYTES)
        for zeros in _ZEROS.finditer(chunk):
            for place in range(max(zeros.start() - 4, 0), zeros.start()):
                file.seek(start + place)
                header = file.read(HEADER_BYTES)
                if len(header) < HEADER_BYTES or not is_length(header):
                    continue
                end = start + place + HEADER_BYTES + length_of(header) + CHECKSUM_BYTES
                if end <= size:
                    return start + place
        # A header may cross the border between two chunks.
        start += max(len(chunk) - HEADER_BYTES, 1) if len(chunk) == _SEARCHED_BYTES else size
    return None
