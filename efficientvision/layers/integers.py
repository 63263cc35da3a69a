"""Switch for tracing a network for a format that computes with integers."""

import contextlib
import contextvars
from collections.abc import Iterator

_FOR_INTEGERS = contextvars.ContextVar("for_integers", default=False)


@contextlib.contextmanager
def for_integers(wanted: bool = True) -> Iterator[None]:
    """Inside this context, if `wanted`, layers use forms that an integer format can represent.

    These give the same numbers in float, at the cost of one or two extra passes.
    """
    token = _FOR_INTEGERS.set(wanted)
    try:
        yield
    finally:
        _FOR_INTEGERS.reset(token)


def are_wanted() -> bool:
    """Whether the code runs inside `for_integers`."""
    return _FOR_INTEGERS.get()
