"""The stack that a thread handles signals on, kept from what a native library makes of it."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator


class _Stack(ctypes.Structure):
    """`stack_t` of Linux, see sigaltstack(2)."""

    _fields_ = [("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


@contextlib.contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Gives the calling thread its signal stack back after the block.

    OpenVINO puts one of its own in place when it compiles a model, and the one before when the
    model is freed. Of two models, the second then gives back what the first has freed already, and
    the next signal, Ctrl-C for example, ends the process with a segmentation fault.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    sigaltstack = ctypes.CDLL(None).sigaltstack
    before = _Stack()
    sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        sigaltstack(ctypes.byref(before), None)
