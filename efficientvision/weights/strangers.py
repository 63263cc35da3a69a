"""What the readers of strangers' files share: how much they read, how they say what they refuse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from efficientvision.errors import UserError

# What values may take beyond the file's own size: weights hardly compress, zeros do.
_MAX_RATIO = 16
FREE_BYTES = 1 << 26


def largest_content(file_bytes: int) -> int:
    """The most bytes that the values of an honest file of this size take."""
    return FREE_BYTES + _MAX_RATIO * file_bytes


class Refused(Exception):
    """Something in a file that is not read; the text says what, as the end of a sentence."""


@contextmanager
def refusals_name(path: str) -> Iterator[None]:
    """Turns a `Refused` into a `UserError` that begins with the file.

    Raises:
        UserError: Something in the file was refused.
    """
    try:
        yield
    except Refused as error:
        # Names in a hostile file may hold what commands a terminal.
        reason = "".join(c if c.isprintable() else "?" for c in str(error))
        raise UserError(f"The file {path} {reason}.") from error
