"""Safe access to the groups and datasets of an HDF5 file.

HDF5 can refer to other files (external links, external storage, virtual datasets), can hold an
object in two places, and can decompress to any size. Weight files do none of this, so it is
refused before it is followed. Sizes come from headers, before a value is read.
"""

from __future__ import annotations

import math
import zlib
from typing import Any

import h5py
import numpy as np

from efficientvision.weights import strangers
from efficientvision.weights.strangers import Refused

# The largest network has about 3,000 variables in 2,000 groups.
_MAX_OBJECTS = 100_000
_MAX_DEPTH = 64
_MAX_ITEM_BYTES = 16
_MAX_DIMENSIONS = 16
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
_PIECE = 1 << 16
_CHECKSUM_BYTES = 4


def child(group: Any, name: str) -> Any | None:
    """The member of a group with this name; None if there is none.

    Raises:
        Refused: The name is a link to another place.
    """
    if name in ("", ".") or "/" in name:
        raise Refused(f"has the impossible name {name[:80]!r}")
    try:
        link = group.get(name, getlink=True)
    except TypeError as error:
        raise Refused(f"has a link of an unknown kind at {name[:80]!r}") from error
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        kind = "another file" if isinstance(link, h5py.ExternalLink) else "another name"
        raise Refused(f"links to {kind} at {name[:80]!r}, which no weight file does")
    found = group.get(name)
    if not isinstance(found, h5py.Group | h5py.Dataset):
        raise Refused(f"has something that is neither a group nor values at {name[:80]!r}")
    return found


def at_path(group: Any, path: str) -> Any:
    """The member of a group at a path of names separated by slashes.

    Raises:
        Refused: It is missing, or lies behind a link.
    """
    found = group
    for name in path.strip("/").split("/"):
        found = child(found, name) if isinstance(found, h5py.Group) else None
        if found is None:
            raise Refused(f"is damaged: its list of weights names {path[:80]!r}, which is missing")
    return found


def names(group: Any) -> list[str]:
    """The names in a group.

    Raises:
        Refused: There are too many.
    """
    if len(group) > _MAX_OBJECTS:
        raise Refused(f"holds a group of {len(group):,} names, too many for a network")
    return list(group)


def address(thing: Any) -> int:
    """Address of the header of a group or a dataset."""
    return h5py.h5o.get_info(thing.id).addr


class Walk:
    """Keeps a walk through groups finite: each group once, to a limited depth."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def enter(self, group: Any, depth: int) -> None:
        """Records a visit to a group.

        Raises:
            Refused: The group was visited before, or there are too many or too deep groups.
        """
        place = address(group)
        if place in self._seen:
            raise Refused("has a group in two places, which no weight file does")
        self._seen.add(place)
        if depth > _MAX_DEPTH or len(self._seen) > _MAX_OBJECTS:
            raise Refused("has more groups, or deeper ones, than any network")


def checked_shape(dataset: Any) -> tuple[int, ...]:
    """The shape of a dataset, which must be of numbers stored in this file.

    Raises:
        Refused: It is anything else.
    """
    name = str(dataset.name)[:80]
    if not isinstance(dataset, h5py.Dataset):
        raise Refused(f"has a group at {name!r}, expected values")
    layout = dataset.id.get_create_plist()
    if layout.get_layout() == h5py.h5d.VIRTUAL or layout.get_external_count():
        raise Refused(f"stores the values of {name!r} in another file, which no weight file does")
    kind = dataset.id.get_type()
    numbers = (h5py.h5t.FLOAT, h5py.h5t.INTEGER, h5py.h5t.OPAQUE, h5py.h5t.ENUM)
    if kind.get_class() not in numbers or kind.get_size() > _MAX_ITEM_BYTES:
        raise Refused(f"has values at {name!r} that are no numbers")
    if any(layout.get_filter(i)[0] not in _FILTERS for i in range(layout.get_nfilters())):
        raise Refused(
            f"packs the values of {name!r} in a way that weight files do not: save it again"
        )
    shape = dataset.shape
    if shape is None or len(shape) > _MAX_DIMENSIONS:
        raise Refused(f"has no values at {name!r}")
    return tuple(int(side) for side in shape)


def content_bytes(dataset: Any) -> int:
    """Size of a dataset's values in memory, in bytes."""
    return math.prod(dataset.shape) * dataset.id.get_type().get_size()


def values(dataset: Any) -> np.ndarray:
    """The values of a dataset; bfloat16 as float32.

    Raises:
        Refused: See `checked_shape`; or they decompress to more than the shape has room for.
    """
    checked_shape(dataset)
    _check_packed(dataset)
    array = np.asarray(dataset[()])
    if array.dtype.kind == "V":  # Keras writes bfloat16 as two opaque bytes.
        if array.dtype.itemsize != 2:
            raise Refused(f"has values at {str(dataset.name)[:80]!r} that are no numbers")
        return (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return array


def _check_packed(dataset: Any) -> None:
    """Refuses chunks that decompress to more than a chunk: HDF5 itself sets no limit."""
    if dataset.chunks is None:
        return
    largest = math.prod(dataset.chunks) * dataset.id.get_type().get_size()
    if largest > max(strangers.FREE_BYTES, content_bytes(dataset)):
        raise Refused(f"packs the values of {str(dataset.name)[:80]!r} in chunks of too many bytes")
    if "gzip" != dataset.compression:
        return
    tail = _CHECKSUM_BYTES if dataset.fletcher32 else 0
    for number in range(dataset.id.get_num_chunks()):
        place = dataset.id.get_chunk_info(number).chunk_offset
        _, packed = dataset.id.read_direct_chunk(place)
        if _unpacked_bytes(packed[: len(packed) - tail], largest) > largest:
            raise Refused(f"unpacks {str(dataset.name)[:80]!r} to more than its shape has room for")


def _unpacked_bytes(packed: bytes, largest: int) -> int:
    """Decompressed size of a chunk in bytes; counting stops beyond `largest`."""
    unpacker, total, rest = zlib.decompressobj(), 0, packed
    while rest and not unpacker.eof and total <= largest:
        total += len(unpacker.decompress(rest, _PIECE))
        rest = unpacker.unconsumed_tail
    return total
