"""Turns the many kinds of out-of-memory errors into one exception."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator

import tensorflow as tf

from efficientvision.errors import UserError

# TensorFlow also uses RESOURCE_EXHAUSTED for full disks, too many open files and long messages.
_MEMORY = re.compile(r"\bOOM\b|memory|alloc", re.IGNORECASE)
# Messages of XLA, cuDNN, copies to a GPU and Python code inside tf.data, with other error types.
_MEMORY_ELSEWHERE = re.compile(
    r"RESOURCE_EXHAUSTED.*(memory|alloc)|\bOOM\b|out of memory|_OUT_OF_MEMORY|_ALLOC_FAILED"
    r"|Dst tensor is not initialized|MemoryError",
    re.IGNORECASE | re.DOTALL,
)
_SHAPE = re.compile(r"shape\[([\d,]+)\] and type (\w+) on (\S+)")
_BYTES = re.compile(r"(?:allocat\w*|Unable to allocate) ([\d.]+) ?(bytes|B|[KMGTP]i?B)\b")
_UNITS = {"b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


class OutOfMemory(MemoryError):
    """Memory ran out.

    Attributes:
        during: "training" or "evaluation".
        wanted: Bytes that could not be allocated, None if the error does not say.
        device: Device as TensorFlow names it, such as "GPU:0"; None if the error does not say.
    """

    def __init__(self, during: str, error: BaseException):
        super().__init__(f"out of memory during {during}: {error}")
        self.during = during
        self.wanted, self.device = _wanted("\n".join(str(e) for e in _chain(error)))


@contextlib.contextmanager
def memory_errors(during: str) -> Iterator[None]:
    """Context manager and decorator: turns out-of-memory errors into `OutOfMemory`.

    Args:
        during: Passed to the exception; when nested, the innermost one counts.

    Raises:
        OutOfMemory: Memory ran out.
    """
    try:
        yield
    except (OutOfMemory, UserError):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemory(during, error) from error
        raise


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, its cause or its context says that memory ran out.

    Keras and AutoGraph wrap errors in their own types; the original stays in the context.
    """
    return any(_says_so(each) for each in _chain(error))


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in found:
        found.append(following)
        following = following.__cause__ or following.__context__
    return found


def _says_so(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return bool(_MEMORY.search(error.message))
    if isinstance(error, tf.errors.InternalError | tf.errors.UnknownError):
        return bool(_MEMORY_ELSEWHERE.search(error.message))
    return False


def _wanted(text: str) -> tuple[int | None, str | None]:
    """Bytes and device in an error message: from a tensor's shape, or a number of bytes."""
    if found := _SHAPE.search(text):
        shape, dtype, place = found.groups()
        device = tf.DeviceSpec.from_string(place)
        named = f"{device.device_type}:{device.device_index}" if device.device_type else None
        size = 4 if dtype == "float" else tf.dtypes.as_dtype(dtype).size
        for side in shape.split(","):
            size *= int(side)
        return size, named
    if found := _BYTES.search(text):
        number, unit = found.groups()
        return int(float(number) * 1024 ** _UNITS[unit[0].lower()]), None
    return None, None
