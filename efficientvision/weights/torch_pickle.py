"""Reads the pickles of PyTorch files without executing anything.

A pickle is a program for a stack machine that can import and call anything. The machine here can
not: the few names that state dicts need stand for descriptions of tensors, which are built here,
and any other name is refused. Memory is bounded by the number of opcodes and the length of the
input.

Reference: Python's `pickletools`, which documents every opcode.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from efficientvision.weights.strangers import Refused
from efficientvision.weights.torch_names import (
    BESIDE_WEIGHTS,
    REBUILDS,
    STORAGES,
    TENSOR_KINDS,
    Name,
    NotRead,
    set_item,
)
from efficientvision.weights.torch_tensors import StorageWindow, storage_window

MAX_PICKLE_BYTES = 1 << 24
# A state dict needs about 40 for each tensor.
MAX_OPCODES = 1_000_000
_MAX_ARGUMENTS = 8


class _Mark:
    """Marks the start of a group of values on the stack."""


_MARK = _Mark()


def read_pickle(
    data: bytes, start: int = 0, storages: list[StorageWindow] | None = None
) -> tuple[Any, int]:
    """Reads one pickle.

    Args:
        data: Bytes that contain the pickle.
        start: Offset of its first byte.
        storages: List to which one window of every storage in the pickle is added; None if the
            pickle may not refer to storages.

    Returns:
        (value, offset of the end). Values are numbers, strings, bytes, lists, tuples, dicts,
        `StoredTensor`s and `NotRead`.

    Raises:
        Refused: It holds objects that are not supported, is too large, or is damaged.
    """
    machine = _Machine(data, start, storages)
    try:
        return machine.run(), machine.position
    # Caused by damage: an empty stack, an invalid string, a number cut short.
    except (IndexError, KeyError, TypeError, AttributeError, ValueError, struct.error) as error:
        raise Refused("is damaged or cut short in its list of tensors: fetch it again") from error


class _Machine:
    def __init__(self, data: bytes, start: int, storages: list[StorageWindow] | None) -> None:
        self._data = data
        self.position = start
        self._storages = storages
        self._sizes: dict[str, tuple[str, int]] = {}
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(MAX_OPCODES):
            opcode = self._take(1)
            if opcode == b".":
                return self._stack.pop()
            action = _ACTIONS.get(opcode)
            if action is None:
                raise Refused(
                    f"holds the pickle instruction {opcode!r} at byte {self.position - 1}, which "
                    "no tensor needs"
                )
            action(self)
        raise Refused(f"describes its tensors in more than {MAX_OPCODES:,} steps")

    def _take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self._data):
            raise IndexError(end)
        taken = self._data[self.position : end]
        self.position = end
        return taken

    def _number(self, layout: str) -> Any:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))[0]

    def _line(self) -> str:
        end = self._data.index(b"\n", self.position, self.position + 1000)
        line = self._data[self.position : end].decode("utf8")
        self.position = end + 1
        return line

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _since_mark(self) -> list[Any]:
        """Pops everything above the newest mark, and the mark."""
        at = len(self._stack) - 1
        while self._stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise IndexError(at)
        values = self._stack[at + 1 :]
        del self._stack[at:]
        return values

    def _sized(self, layout: str, decode: Callable[[bytes], Any]) -> None:
        self._push(decode(self._take(self._number(layout))))

    def _tuple(self, count: int) -> None:
        if count > len(self._stack):
            raise IndexError(count)
        values = tuple(self._stack[len(self._stack) - count :])
        del self._stack[len(self._stack) - count :]
        self._push(values)

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _append(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, NotRead):
            return
        if type(target) is not list:
            raise TypeError(target)
        target.extend(values)

    def _set(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, NotRead):
            return
        if type(target) is not dict or len(values) % 2:
            raise TypeError(target)
        for key, value in zip(values[::2], values[1::2], strict=True):
            set_item(target, key, value)

    def _leave_set(self) -> None:
        """Drops the items of a set: no tensor is in one."""
        self._since_mark()
        if not isinstance(self._stack[-1], NotRead):
            raise TypeError(self._stack[-1])

    def _pair(self) -> list[Any]:
        value, key = self._stack.pop(), self._stack.pop()
        return [key, value]

    def _global(self, module: Any, name: Any) -> None:
        dotted = ".".join((module, name))
        if dotted not in REBUILDS and dotted not in STORAGES and dotted not in TENSOR_KINDS:
            _refuse_name(dotted)
        self._push(Name(dotted))

    def _reduce(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, Name) or function.dotted not in REBUILDS:
            raise Refused("calls something that builds no tensor")
        if not isinstance(arguments, tuple) or len(arguments) > _MAX_ARGUMENTS:
            raise Refused(f"calls {function.dotted} in a way that is not PyTorch's")
        self._push(REBUILDS[function.dotted](*arguments))

    def _new_object(self) -> None:
        """Replaces an object of a class that only settings use; nothing is instantiated."""
        arguments, kind = self._stack.pop(), self._stack.pop()
        if not isinstance(kind, Name) or not isinstance(arguments, tuple):
            raise Refused("makes an object that is no tensor")
        if kind.dotted not in BESIDE_WEIGHTS:
            raise Refused(f"makes a {kind.dotted} by an instruction that no tensor needs")
        self._push(NotRead())

    def _build(self) -> None:
        """Drops the attributes set on a value, such as the `_metadata` of a state dict."""
        self._stack.pop()
        if not isinstance(self._stack[-1], dict | NotRead):
            raise Refused(f"changes a {type(self._stack[-1]).__name__} after it was made")

    def _persistent(self) -> None:
        identity = self._stack.pop()
        if isinstance(identity, tuple) and len(identity) <= _MAX_ARGUMENTS:
            identity = tuple(i.dotted if isinstance(i, Name) else i for i in identity)
        window = storage_window(identity)
        if self._storages is None:
            raise Refused("refers to a storage where none is expected")
        if window.key not in self._sizes:
            self._sizes[window.key] = (window.kind, window.size)
            self._storages.append(window)
        elif self._sizes[window.key] != (window.kind, window.size):
            raise Refused(f"describes its storage {window.key[:40]!r} in two ways")
        self._push(window)


def _refuse_name(dotted: str) -> None:
    raise Refused(
        f"holds {dotted[:200]}, which is not a tensor (nothing of it was run): if you trust the "
        "file, load it with torch and save model.state_dict() alone"
    )


def _unread(_: Any) -> NotRead:
    return NotRead()


def _text(raw: bytes) -> str:
    return raw.decode("utf8")


def _old_text(raw: bytes) -> str:
    return raw.decode("latin1")


def _long(raw: bytes) -> int:
    return int.from_bytes(raw, "little", signed=True)


_ACTIONS: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": lambda m: m._take(1),  # Protocol.
    b"\x95": lambda m: m._take(8),  # Frame.
    b"(": lambda m: m._push(_MARK),
    b"N": lambda m: m._push(None),
    b"\x88": lambda m: m._push(True),
    b"\x89": lambda m: m._push(False),
    b"K": lambda m: m._push(m._number("<B")),
    b"M": lambda m: m._push(m._number("<H")),
    b"J": lambda m: m._push(m._number("<i")),
    b"\x8a": lambda m: m._sized("<B", _long),
    b"G": lambda m: m._push(m._number(">d")),
    b"X": lambda m: m._sized("<I", _text),
    b"\x8c": lambda m: m._sized("<B", _text),
    b"\x8d": lambda m: m._sized("<Q", _text),
    b"T": lambda m: m._sized("<I", _old_text),
    b"U": lambda m: m._sized("<B", _old_text),
    b"B": lambda m: m._sized("<I", bytes),
    b"C": lambda m: m._sized("<B", bytes),
    b"\x8e": lambda m: m._sized("<Q", bytes),
    b"\x96": lambda m: m._sized("<Q", lambda _: NotRead()),  # A bytearray.
    b"\x8f": lambda m: m._push(NotRead()),  # A set.
    b"\x90": lambda m: m._leave_set(),
    b"\x91": lambda m: m._push(_unread(m._since_mark())),  # A frozenset.
    b"]": lambda m: m._push([]),
    b"}": lambda m: m._push({}),
    b")": lambda m: m._push(()),
    b"a": lambda m: m._append([m._stack.pop()]),
    b"e": lambda m: m._append(m._since_mark()),
    b"s": lambda m: m._set(m._pair()),
    b"u": lambda m: m._set(m._since_mark()),
    b"t": lambda m: m._push(tuple(m._since_mark())),
    b"\x85": lambda m: m._tuple(1),
    b"\x86": lambda m: m._tuple(2),
    b"\x87": lambda m: m._tuple(3),
    b"q": lambda m: m._put(m._number("<B")),
    b"r": lambda m: m._put(m._number("<I")),
    b"\x94": lambda m: m._put(len(m._memo)),
    b"h": lambda m: m._push(m._memo[m._number("<B")]),
    b"j": lambda m: m._push(m._memo[m._number("<I")]),
    b"c": lambda m: m._global(m._line(), m._line()),
    b"i": lambda m: _refuse_name(f"{m._line()}.{m._line()}"),  # Imports and calls in one opcode.
    b"\x93": lambda m: m._global(*m._pair()),
    b"R": lambda m: m._reduce(),
    b"\x81": lambda m: m._new_object(),
    b"b": lambda m: m._build(),
    b"Q": lambda m: m._persistent(),
}
