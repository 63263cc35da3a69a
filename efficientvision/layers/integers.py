"""Whether what is traced is for a format that computes with integers."""

import contextlib
import contextvars

_FOR_INTEGERS = contextvars.ContextVar("for_integers", default=False)


@contextlib.contextmanager
def for_integers(wanted=True):
    """What is traced inside takes the forms that an integer format can hold, if that is wanted.

    They give the same numbers in float and take a pass or two more.
    """
    token = _FOR_INTEGERS.set(wanted)
    try:
        yield
    finally:
        _FOR_INTEGERS.reset(token)


def are_wanted():
    """Whether the code runs inside `for_integers`."""
    return _FOR_INTEGERS.get()
