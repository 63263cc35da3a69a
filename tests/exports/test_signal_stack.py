"""Signals after OpenVINO's models: the stack that they are handled on is still there."""

import ctypes
import gc
import sys

import pytest

from efficientvision.exports import openvino_format
from efficientvision.exports.signal_stack import _Stack, kept_signal_stack
from tests.small_networks import portable_file

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a stack of Linux")


def signal_stack():
    stack = _Stack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack))
    return stack.start, stack.flags, stack.size


@pytest.mark.slow
@linux
def test_openvino_leaves_the_stack_as_it_was():
    pytest.importorskip("openvino")
    before = signal_stack()
    path = portable_file("detector", "openvino")
    runners = [openvino_format.load(path)[0] for _ in range(2)]
    assert signal_stack() == before
    # The first is freed first: the second one's end must not bring its stack back.
    del runners[0]
    gc.collect()
    del runners
    gc.collect()
    assert signal_stack() == before


@linux
def test_another_stack_is_taken_back():
    before = signal_stack()
    memory = ctypes.create_string_buffer(1 << 16)
    with kept_signal_stack():
        other = _Stack(ctypes.addressof(memory), 0, len(memory))
        assert ctypes.CDLL(None).sigaltstack(ctypes.byref(other), None) == 0
        assert signal_stack()[2] == 1 << 16
    assert signal_stack() == before
