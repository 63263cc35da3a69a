"""Arrays of a `.npz` file by name; headers are checked before any value is read."""

from __future__ import annotations

import math
import zipfile
from typing import BinaryIO

import numpy as np

from efficientvision.weights.strangers import Refused, largest_content

_ENDING = ".npy"
_MAX_ITEM_BYTES = 1 << 26  # Largest text item, such as the list of arrays.
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class ArrayArchive:
    """An open `.npz` file. Memory is used only for arrays that are read.

    Args:
        file: The open file.
        file_bytes: Its size.

    Attributes:
        headers: Name -> (dtype string of numpy, shape).

    Raises:
        Refused: It uses a compression that numpy does not, unpacks to more than weights would, or
            the size of an array contradicts its header.
        zipfile.BadZipFile, ValueError and others: It is damaged.
    """

    def __init__(self, file: BinaryIO, file_bytes: int) -> None:
        self._archive = zipfile.ZipFile(file)
        entries = self._archive.infolist()
        if any(e.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for e in entries):
            raise Refused("is compressed in a way that numpy does not use")
        unpacked = sum(entry.file_size for entry in entries)
        if unpacked > largest_content(file_bytes):
            raise Refused(
                f"has {file_bytes:,} bytes and unpacks to {unpacked:,}, which no weights do"
            )
        self.headers = {e.filename.removesuffix(_ENDING): self._header(e) for e in entries}
        if len(self.headers) != len(entries):
            raise Refused("holds two arrays of one name")

    def _header(self, entry: zipfile.ZipInfo) -> tuple[str, tuple[int, ...]]:
        with self._archive.open(entry) as part:
            version = np.lib.format.read_magic(part)
            if version not in _HEADERS:
                raise ValueError(f"the array {entry.filename} is of an unknown version")
            shape, _, dtype = _HEADERS[version](part)
            needed = part.tell() + math.prod(shape) * dtype.itemsize
        if dtype.hasobject or dtype.itemsize > _MAX_ITEM_BYTES or needed != entry.file_size:
            raise Refused(f"is damaged: its array {entry.filename[:80]} is not what it says")
        return dtype.str, shape

    def read(self, name: str) -> np.ndarray:
        """Reads an array and verifies its checksum.

        Raises:
            LookupError: There is no array of this name.
            zipfile.BadZipFile, ValueError and others: It is damaged.
        """
        with self._archive.open(name + _ENDING) as part:
            return np.lib.format.read_array(part, allow_pickle=False)

    def is_intact(self) -> bool:
        """Whether all checksums are right; no array is kept in memory."""
        return self._archive.testzip() is None
