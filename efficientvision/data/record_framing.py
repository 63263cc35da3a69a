"""Reads TFRecord files byte by byte: where records are, and whether they are intact."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import google_crc32c

from efficientvision import files
from efficientvision.errors import UserError

# A record: its length and the checksum of that, its bytes and their checksum.
HEADER_BYTES, CHECKSUM_BYTES = 12, 4
_GZIP, _ZLIB = b"\x1f\x8b", b"\x78"


def record_spans(path: str) -> Iterator[tuple[int, int]]:
    """Yields (offset, length) of each record's payload; verifies only the first checksum.

    Raises:
        UserError: The file is truncated, or is not a TFRecord file.
    """
    size = files.size(path)
    with files.reading(path) as file:
        position = 0
        while position < size:
            header = file.read(HEADER_BYTES)
            if position == 0:
                _refuse_foreign(path, header)
            length = length_of(header) if len(header) == HEADER_BYTES else size
            end = position + HEADER_BYTES + length + CHECKSUM_BYTES
            if end > size:
                raise UserError(
                    f"{path} is cut short or damaged: it has {size} bytes, but the record at byte "
                    f"{position} would end at {end}; make the file again."
                )
            yield position + HEADER_BYTES, length
            position = end
            file.seek(position)


def check_record_file(path: str) -> None:
    """Checks the first bytes of a file.

    Raises:
        UserError: It is compressed, or is not a TFRecord file.
    """
    with files.reading(path) as file:
        _refuse_foreign(path, file.read(HEADER_BYTES))


def _refuse_foreign(path: str, header: bytes) -> None:
    wrong = foreign(header)
    if wrong:
        raise UserError(f"{path} {wrong}.")


def foreign(header: bytes) -> str | None:
    """Says why a file with these first bytes is not a TFRecord file, as far as they tell.

    None if it is empty, shorter than a header, or begins with a record's length.
    """
    if len(header) < HEADER_BYTES or is_length(header):
        return None
    if header.startswith(_GZIP):
        return (
            "is compressed (GZIP), but records are read uncompressed: unpack it with "
            "`gzip -dc FILE > UNPACKED.tfrecord`"
        )
    if header.startswith(_ZLIB) and int.from_bytes(header[:2], "big") % 31 == 0:
        return (
            "is compressed (ZLIB), but records are read uncompressed: read it with "
            "tf.data.TFRecordDataset(FILE, compression_type='ZLIB') and write it again"
        )
    return (
        "is no TFRecord file, or its first bytes are damaged: narrow the pattern to the record "
        "files (such as 'train/*.tfrecord'), or make the file again"
    )


def length_of(header: bytes) -> int:
    """Number of bytes of a record's payload, from its header."""
    return struct.unpack("<Q", header[:8])[0]


def is_length(header: bytes) -> bool:
    """Whether these are the first bytes of a record: a length with a valid checksum."""
    return masked_crc32c(header[:8]) == header[8:]


def masked_crc32c(content: bytes) -> bytes:
    """Checksum as TFRecord files store it: CRC-32C, rotated, plus a constant."""
    checksum = google_crc32c.value(content)
    rotated = (checksum >> 15 | checksum << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)
