"""TFRecord files byte by byte: where their records lie, and whether they are what was written."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import google_crc32c

from efficientvision import files
from efficientvision.errors import UserError

# A record: its length and that number's checksum, its bytes and their checksum.
_HEADER_BYTES, _CHECKSUM_BYTES = 12, 4
_GZIP, _ZLIB = b"\x1f\x8b", b"\x78"


def record_spans(path: str) -> Iterator[tuple[int, int]]:
    """(offset, length) of the payload of each record; checksums are not verified, but the first.

    Raises:
        UserError: the file is cut short or is no TFRecord file.
    """
    size = files.size(path)
    with files.reading(path) as file:
        position = 0
        while position < size:
            header = file.read(_HEADER_BYTES)
            if position == 0:
                _refuse_foreign(path, header)
            length = _length(header) if len(header) == _HEADER_BYTES else size
            end = position + _HEADER_BYTES + length + _CHECKSUM_BYTES
            if end > size:
                raise UserError(
                    f"{path} is cut short or damaged: it has {size} bytes, and the record at byte "
                    f"{position} would end at {end}; make the file again."
                )
            yield position + _HEADER_BYTES, length
            position = end
            file.seek(position)


def check_record_file(path: str) -> None:
    """Looks at the first bytes of a file.

    Raises:
        UserError: it is compressed, or is no TFRecord file.
    """
    with files.reading(path) as file:
        _refuse_foreign(path, file.read(_HEADER_BYTES))


def _refuse_foreign(path: str, header: bytes) -> None:
    foreign = _foreign(header)
    if foreign:
        raise UserError(f"{path} {foreign}.")


def _foreign(header: bytes) -> str | None:
    """What is wrong with a file of these first bytes if it is none of records, as far as they tell.

    None: it is empty, cut short within them, or begins with a record's length.
    """
    if len(header) < _HEADER_BYTES or _is_length(header):
        return None
    if header.startswith(_GZIP):
        return (
            "is compressed (GZIP), and records are read uncompressed: unpack it with "
            "`gzip -dc FILE > UNPACKED.tfrecord`"
        )
    if header.startswith(_ZLIB) and int.from_bytes(header[:2], "big") % 31 == 0:
        return (
            "is compressed (ZLIB), and records are read uncompressed: read it with "
            "tf.data.TFRecordDataset(FILE, compression_type='ZLIB') and write it again"
        )
    return (
        "is no TFRecord file, or its first bytes are damaged: narrow the pattern to the record "
        "files (such as 'train/*.tfrecord'), or make the file again"
    )


@dataclass(frozen=True)
class DamagedRecord:
    """Stands for a record whose bytes are not those that were written.

    Attributes:
        byte: where the record begins in its file.
        rest_is_lost: its length is damaged, so that the records after it cannot be found.
        is_cut: the file ends before the record does.
        foreign: what is wrong with the file, if it is none of records.
    """

    byte: int
    rest_is_lost: bool = False
    is_cut: bool = False
    foreign: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        if self.foreign:
            return f"cannot be read: the file {self.foreign}"
        if self.is_cut:
            return f"(at byte {self.byte}) is cut short: the file ends before it does"
        lost = ": its length is damaged, and the records after it cannot be found"
        return f"(at byte {self.byte}) has a wrong checksum{lost if self.rest_is_lost else ''}"


def verified_records(path: str) -> Iterator[bytes | DamagedRecord]:
    """The records of one file; a `DamagedRecord` stands for each whose checksum is wrong."""
    size = files.size(path)
    with files.reading(path) as file:
        position = 0
        while position < size:
            header = file.read(_HEADER_BYTES)
            length = _length(header) if len(header) == _HEADER_BYTES else size
            end = position + _HEADER_BYTES + length + _CHECKSUM_BYTES
            is_length = _is_length(header)
            is_cut = len(header) < _HEADER_BYTES or (is_length and end > size)
            if is_cut or not is_length:
                foreign = _foreign(header) if position == 0 else None
                yield DamagedRecord(position, not is_cut, is_cut, foreign)
                return
            record, checksum = file.read(length), file.read(_CHECKSUM_BYTES)
            if _masked_crc32c(record) == checksum:
                yield record
            else:
                yield DamagedRecord(position)
            position = end


def _length(header: bytes) -> int:
    return struct.unpack("<Q", header[:8])[0]


def _is_length(header: bytes) -> bool:
    return _masked_crc32c(header[:8]) == header[8:]


def _masked_crc32c(content: bytes) -> bytes:
    """The checksum as TFRecord files hold it: CRC-32C, rotated, with a constant added."""
    checksum = google_crc32c.value(content)
    rotated = (checksum >> 15 | checksum << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)
