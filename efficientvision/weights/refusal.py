"""How the readers of strangers' files say what they do not read: one sentence with the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from efficientvision.errors import UserError


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
