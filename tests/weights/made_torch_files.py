"""Writes PyTorch files without PyTorch: both containers, and things that no honest file holds.

A state dict is a mapping of names to numpy arrays. Values may also be numbers, texts, None, lists,
tuples and further mappings (a training checkpoint), a `View`, a `Call` or a `Name`.
"""

from __future__ import annotations

import dataclasses
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
_STORAGES = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "int8": "CharStorage",
    "int16": "ShortStorage",
    "int32": "IntStorage",
    "int64": "LongStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}


@dataclasses.dataclass(eq=False)
class Storage:
    """A flat run of values that tensors look into.

    Attributes:
        values: 1-D array, written as its bytes.
        kind: Name in `torch`, None for that of the array's dtype. `"BFloat16Storage"` takes the
            upper halves of float32 as uint16.
        size: The number of values that the file states, None for the truth.
    """

    values: np.ndarray
    kind: str | None = None
    size: int | None = None

    @property
    def kind_name(self) -> str:
        return self.kind or _STORAGES[self.values.dtype.name]

    @property
    def stated_size(self) -> int:
        return len(self.values) if self.size is None else self.size


@dataclasses.dataclass(eq=False)
class View:
    """A tensor on a storage that it may share.

    Attributes:
        storage: The values.
        shape: Of the tensor.
        strides: In values, None for those of a whole array.
        offset: Of its first value.
        window: (offset, size): the part of the storage that offsets count from; 2019's files only.
    """

    storage: Storage
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None = None
    offset: int = 0
    window: tuple[int, int] | None = None


@dataclasses.dataclass(eq=False)
class Name:
    """A global of a module, written `"module name"`."""

    name: str


@dataclasses.dataclass(eq=False)
class Call:
    """What unpickling would call, with its arguments; `state` is what it would be given then."""

    name: str
    arguments: tuple
    state: Any = None


@dataclasses.dataclass(eq=False)
class Pickled:
    """A value that Python's own pickler writes, such as the settings of a training."""

    value: Any


def parameter(array: np.ndarray) -> Call:
    """A trained parameter, as PyTorch writes one."""
    return Call("torch._utils _rebuild_parameter", (array, True, {}))


class _Pickler:
    """Values -> the opcodes (protocol 2) that PyTorch writes for them."""

    def __init__(self, location: str = "cpu") -> None:
        self.code = bytearray(b"\x80\x02")
        self.storages: list[Storage] = []
        self._location = location
        self._memo: dict[str, int] = {}

    def dumped(self, value: Any) -> bytes:
        self.write(value)
        return bytes(self.code + b".")

    def write(self, value: Any) -> None:
        if isinstance(value, np.ndarray | np.generic):
            array = np.asarray(value)
            self._tensor(View(Storage(array.reshape(-1)), array.shape))
        elif value is None or isinstance(value, bool):
            self.code += {None: b"N", True: b"\x88", False: b"\x89"}[value]
        elif isinstance(value, int):
            self._integer(value)
        elif isinstance(value, float):
            self.code += b"G" + struct.pack(">d", value)
        elif isinstance(value, str):
            text = value.encode("utf8")
            self._once(value, b"X" + struct.pack("<I", len(text)) + text)
        elif isinstance(value, Mapping):
            self._mapping(value)
        elif isinstance(value, tuple | list):
            self.code += b"(" if isinstance(value, tuple) else b"]("
            for item in value:
                self.write(item)
            self.code += b"t" if isinstance(value, tuple) else b"e"
        elif isinstance(value, Name):
            self._global(value.name)
        elif isinstance(value, Call):
            self._global(value.name)
            self.write(value.arguments)
            self.code += b"R"
            if value.state is not None:
                self.write(value.state)
                self.code += b"b"
        elif isinstance(value, View):
            self._tensor(value)
        elif isinstance(value, Pickled):
            # Without the places in the memo that nothing refers to.
            self.code += pickletools.optimize(pickle.dumps(value.value, 2))[2:-1]
        else:
            raise TypeError(f"cannot write a {type(value).__name__}")

    def _integer(self, value: int) -> None:
        if 0 <= value < 256:
            self.code += b"K" + struct.pack("<B", value)
        elif -(2**31) <= value < 2**31:
            self.code += b"J" + struct.pack("<i", value)
        else:
            raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            self.code += b"\x8a" + struct.pack("<B", len(raw)) + raw

    def _global(self, name: str) -> None:
        self._once("c" + name, b"c" + name.replace(" ", "\n").encode() + b"\n")

    def _once(self, key: str, code: bytes) -> None:
        """Writes a text or a global, a second time only a reference to the first."""
        if key in self._memo:
            self.code += b"j" + struct.pack("<I", self._memo[key])
        else:
            self._memo[key] = len(self._memo)
            self.code += code + b"r" + struct.pack("<I", self._memo[key])

    def _mapping(self, value: Mapping) -> None:
        if type(value) is dict:
            self.code += b"}"
        else:
            self._global("collections OrderedDict")
            self.code += b")R"
        self.code += b"("
        for key, item in value.items():
            self.write(key)
            self.write(item)
        self.code += b"u"
        if hasattr(value, "_metadata"):  # Versions of the modules, which PyTorch adds.
            self.write({"_metadata": value._metadata})
            self.code += b"b"

    def _tensor(self, view: View) -> None:
        if view.storage not in self.storages:
            self.storages.append(view.storage)
        key = str(self.storages.index(view.storage))
        window = () if view.window is None else ((f"{key}.view", *view.window),)
        strides = _whole_strides(view.shape) if view.strides is None else view.strides
        self._global("torch._utils _rebuild_tensor_v2")
        self.code += b"(("
        for item in ("storage", Name(f"torch {view.storage.kind_name}"), key, self._location):
            self.write(item)
        self.write(view.storage.stated_size)
        for item in window or self._no_window:
            self.write(item)
        self.code += b"tQ"
        for item in (view.offset, tuple(view.shape), tuple(strides), False, _EMPTY):
            self.write(item)
        self.code += b"tR"

    _no_window: tuple = ()


class _OrderedDict(dict):
    """Any mapping that is not a plain dict is written as an `OrderedDict`."""


_EMPTY = _OrderedDict()


class _LegacyPickler(_Pickler):
    _no_window = (None,)


def _whole_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))


def ordered(state_dict: Mapping, **metadata: Any) -> Mapping:
    """A state dict with the `_metadata` that PyTorch hangs on it."""
    result = _OrderedDict(state_dict)
    result._metadata = _OrderedDict(metadata)
    return result


def write_legacy(path: Any, state_dict: Any, *, location: str = "cpu") -> None:
    """Writes the container of 2019.

    Args:
        path: The file.
        state_dict: See the module.
        location: `"cuda:0"` for a file saved from a GPU.
    """
    pickler = _LegacyPickler(location)
    content = pickler.dumped(state_dict)
    sizes = {"short": 2, "int": 4, "long": 4}
    system = {"protocol_version": PROTOCOL_VERSION, "little_endian": True, "type_sizes": sizes}
    with open(path, "wb") as file:
        for value in (MAGIC_NUMBER, PROTOCOL_VERSION, system):
            file.write(_Pickler().dumped(value))
        file.write(content)
        file.write(_Pickler().dumped([str(i) for i in range(len(pickler.storages))]))
        for storage in pickler.storages:
            file.write(struct.pack("<q", storage.stated_size) + storage.values.tobytes())


def write_zip(
    path: Any,
    state_dict: Any,
    *,
    location: str = "cpu",
    compression: int = zipfile.ZIP_STORED,
    byte_order: str | None = "little",
) -> None:
    """Writes the container of PyTorch 1.6 and later.

    Args:
        path: The file.
        state_dict: See the module.
        location: `"cuda:0"` for a file saved from a GPU.
        compression: PyTorch never compresses.
        byte_order: What the entry `byteorder` says; None for a file without it.
    """
    pickler = _Pickler(location)
    content = pickler.dumped(state_dict)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", content)
        if byte_order is not None:
            archive.writestr("archive/byteorder", byte_order)
        for i, storage in enumerate(pickler.storages):
            archive.writestr(f"archive/data/{i}", storage.values.tobytes())
        archive.writestr("archive/version", "3\n")
