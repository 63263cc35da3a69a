"""Reads text attributes of the groups of an HDF5 file without the HDF5 library.

The library allocates as much memory as a text claims to need, and walks the heap of texts by the
sizes stored in it, which can keep it there forever. The name of a layer is short, so it is read
here, within bounds.

Reference: HDF5 File Format Specification 3.0, sections III.E, IV.A and IV.A.2.m.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from efficientvision.weights.strangers import Refused

_ATTRIBUTE, _CONTINUATION = 0x0C, 0x10
_SHARED = 0x02
_FIXED_TEXT, _VARIABLE = 3, 9
_MAX_TEXT = 1000
# The header of a group has a few messages; a heap has some hundred names.
_MAX_MESSAGES = 1000
_MAX_NAMES = 1_000_000
_HEAP_OBJECT = struct.Struct("<HHIQ")


@dataclass(frozen=True)
class TextReader:
    """Reads attributes of groups.

    Attributes:
        content: The file's bytes, loaded or memory-mapped; lengths and addresses take 8 bytes.
    """

    content: Sequence[int]
    # Heap -> number of an object -> (address, length).
    _heaps: dict[int, dict[int, tuple[int, int]]] = field(default_factory=dict)

    def text(self, address: int, name: str) -> str | None:
        """The text of an attribute.

        Args:
            address: Address of the group's header.
            name: Name of the attribute.

        Returns:
            None if the group has no such attribute.

        Raises:
            Refused: It is not one text, is longer than a name, or the file is damaged.
        """
        try:
            for kind, flags, body in _messages(self.content, address):
                if kind != _ATTRIBUTE:
                    continue
                attribute = _Attribute.parsed(body) if not flags & _SHARED else None
                if attribute is None or attribute.name == name.encode():
                    return self._value(attribute, name)
        except (struct.error, LookupError, UnicodeDecodeError) as error:
            raise Refused("is damaged: the name of a layer cannot be read") from error
        return None

    def _value(self, attribute: _Attribute | None, name: str) -> str:
        if attribute is None or not attribute.is_single:
            raise Refused(f"has no text in its attribute {name!r}")
        kind = attribute.datatype[0] & 15
        if kind == _FIXED_TEXT:
            raw = attribute.data[: struct.unpack_from("<I", attribute.datatype, 4)[0]]
        elif kind == _VARIABLE and attribute.datatype[1] & 15 == 1:
            length, heap, number = struct.unpack_from("<IQI", attribute.data)
            raw = self._heap_object(heap, number)[:length]
        else:
            raise Refused(f"has no text in its attribute {name!r}")
        text = raw.rstrip(b"\0").decode("utf8")
        if len(raw) > _MAX_TEXT or not text.isprintable():
            raise Refused("has a name that is no name of a layer")
        return text

    def _heap_object(self, heap: int, number: int) -> bytes:
        """An object of a global heap, cut off just beyond the longest name allowed."""
        if heap not in self._heaps:
            self._heaps[heap] = self._objects_of(heap)
            if sum(map(len, self._heaps.values())) > _MAX_NAMES:
                raise Refused("has more texts than any network has names")
        start, length = self._heaps[heap][number]
        return _piece(self.content, start, min(length, _MAX_TEXT + 1))

    def _objects_of(self, heap: int) -> dict[int, tuple[int, int]]:
        """Number of an object -> (address, length), for a heap."""
        if _piece(self.content, heap, 5) != b"GCOL\x01":
            raise IndexError(heap)
        objects: dict[int, tuple[int, int]] = {}
        at = heap + 16
        end = heap + struct.unpack_from("<Q", self.content, heap + 8)[0]
        while at + _HEAP_OBJECT.size <= end:
            number, _, _, length = _HEAP_OBJECT.unpack_from(self.content, at)
            at += _HEAP_OBJECT.size
            if number in objects or number == 0:  # Free space ends a heap.
                break
            objects[number] = at, length
            at += (length + 7) // 8 * 8
        return objects


@dataclass(frozen=True)
class _Attribute:
    name: bytes
    datatype: bytes
    dataspace: bytes
    data: bytes

    @classmethod
    def parsed(cls, body: bytes) -> _Attribute:
        version, flags, *sizes = struct.unpack_from("<BBHHH", body)
        if version not in (1, 2, 3) or version > 1 and flags:
            raise Refused("has an attribute of an unknown kind")
        at = 9 if version == 3 else 8
        parts = []
        for size in sizes:
            parts.append(_piece(body, at, size))
            at += (size + 7) // 8 * 8 if version == 1 else size
        name, datatype, dataspace = parts
        return cls(name.rstrip(b"\0"), datatype, dataspace, body[at:])

    @property
    def is_single(self) -> bool:
        """Whether it is a single value, not a list or empty."""
        version, dimensions = self.dataspace[:2]
        return dimensions == 0 and (version == 1 or self.dataspace[3] == 0)


def _messages(content: Sequence[int], address: int) -> Iterator[tuple[int, int, bytes]]:
    """Kind, flags and body of each message in an object's header of either version."""
    if _piece(content, address, 4) == b"OHDR":
        flags = content[address + 5]
        at = address + 6 + 16 * bool(flags & 0x20) + 4 * bool(flags & 0x10)
        width = 1 << (flags & 3)
        size = int.from_bytes(_piece(content, at, width), "little")
        layout, has_order, parts = "<BHB", bool(flags & 4), [(at + width, size)]
    else:
        size = struct.unpack_from("<I", content, address + 8)[0]
        layout, has_order, parts = "<HHB3x", False, [(address + 16, size)]
    head = struct.calcsize(layout) + 2 * has_order
    is_new = layout == "<BHB"
    count = 0
    for at, size in parts:
        end = at + size
        while at + head <= end:
            kind, length, flags = struct.unpack_from(layout, content, at)
            body = _piece(content, at + head, length)
            at, count = at + head + length, count + 1
            if count > _MAX_MESSAGES:
                raise IndexError(at)
            if kind == _CONTINUATION:
                start, more = struct.unpack_from("<QQ", body)
                # In version 2 a continuation begins with a 4-byte mark and ends with a checksum.
                parts.append((start + 4, more - 8) if is_new else (start, more))
            yield kind, flags, body


def _piece(content: Sequence[int], start: int, length: int) -> Any:
    """A slice of the file.

    Raises:
        IndexError: The file ends before the slice does.
    """
    if start + length > len(content):
        raise IndexError(start)
    return content[start : start + length]
