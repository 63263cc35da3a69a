"""Finds the segments of a JPEG file without decoding it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# The next marker inside entropy-coded data: not a stuffed byte, a restart or a fill byte.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_HUFFMAN_TABLES, _START_OF_SCAN, _END_OF_IMAGE = 0xC4, 0xDA, 0xD9
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE_FRAMES = (0xC2, 0xC6, 0xCA, 0xCE)
_COEFFICIENTS = 64
_AC_TABLES = 0x10
_NEVER_SENT = 16  # More bits than a coefficient has.
END_MARK = bytes((0xFF, _END_OF_IMAGE))


@dataclass(frozen=True)
class Scan:
    """One pass over the picture.

    Attributes:
        start, end: Position of its entropy-coded data in the file.
        components: Ids of its channels.
        first, last: Range of its coefficients.
        bits_left: Bits of them that later scans will send.
        may_be_zeros: Whether zero bits mean flat blocks here, of which there may be many; otherwise
            they mean one coefficient after the other, which no picture has for long.
    """

    start: int
    end: int
    components: bytes
    first: int
    last: int
    bits_left: int
    may_be_zeros: bool


@dataclass(frozen=True)
class JpegLayout:
    """Structure of a JPEG file.

    Attributes:
        components: Ids of the picture's channels.
        unit_height: Rows of the picture that are coded together.
        scans: Scans in the order of the file.
        has_end: Whether the file reaches its end marker; anything after it does not matter.
    """

    components: bytes
    unit_height: int
    scans: tuple[Scan, ...]
    has_end: bool

    def bits_lacking(self, scans: Sequence[Scan]) -> int:
        """Most bits that any coefficient of any channel still lacks after these scans."""
        left = {component: [_NEVER_SENT] * _COEFFICIENTS for component in self.components}
        for scan in scans:
            for component in set(scan.components) & set(left):
                sent = slice(scan.first, scan.last + 1)
                left[component][sent] = [scan.bits_left] * len(left[component][sent])
        return max(map(max, left.values()), default=_NEVER_SENT)


def jpeg_layout(encoded: bytes) -> JpegLayout:
    """Walks through the markers of a JPEG file, as far as they are valid."""
    components, unit_height, scans, progressive = b"", 8, [], False
    zero_symbols: dict[int, int] = {}
    position = 2
    while position + 4 <= len(encoded) and encoded[position] == 0xFF:
        marker = encoded[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker == _END_OF_IMAGE:
            break
        content = position + 4
        position += 2 + int.from_bytes(encoded[position + 2 : content], "big")
        if marker in _FRAMES:
            components = encoded[content + 6 : position : 3]
            sampling = encoded[content + 7 : position : 3]
            unit_height = 8 * max((factor & 15 for factor in sampling), default=1)
            progressive = marker in _PROGRESSIVE_FRAMES
        elif marker == _HUFFMAN_TABLES:
            zero_symbols |= _symbols_of_zeros(encoded[content:position])
        elif marker == _START_OF_SCAN:
            following = _MARKER.search(encoded, position)
            end = following.start() if following else len(encoded)
            header = encoded[content:position]
            scans.append(_scan(header, position, end, progressive, zero_symbols))
            position = end
    has_end = encoded[position : position + 2] == END_MARK
    return JpegLayout(components, unit_height, tuple(scans), has_end)


def _symbols_of_zeros(tables: bytes) -> dict[int, int]:
    """Class and id of each Huffman table -> the symbol whose code is all zeros, its first one."""
    found = {}
    while len(tables) > 17:
        found[tables[0]] = tables[17]
        tables = tables[17 + sum(tables[1:17]) :]
    return found


def _scan(
    header: bytes, start: int, end: int, progressive: bool, zero_symbols: dict[int, int]
) -> Scan:
    count = header[0] if header else 0
    components, tables = header[1 : 1 + 2 * count : 2], header[2 : 2 + 2 * count : 2]
    first, last, bits_left = 0, _COEFFICIENTS - 1, 0
    band = header[1 + 2 * count :]
    # A sequential scan contains all of its channels, whatever else its header says.
    if progressive and len(band) == 3:
        first, last, bits_left = band[0], band[1], band[2] & 15
    # The low half of a symbol is the size of a coefficient; 0: the rest of the block is flat.
    used = [zero_symbols.get(_AC_TABLES | table & 15, 0) for table in tables] if last else []
    may_be_zeros = all(symbol & 15 == 0 for symbol in used)
    return Scan(start, end, components, first, last, bits_left, may_be_zeros)
