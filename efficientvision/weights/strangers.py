"""What the readers of strangers' files share: how much they read, how they say what they refuse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from efficientvision.errors import UserError

# What values may take beyond the file's own size: weights hardly compress, zeros do.
_MAX_RATIO = 16
FREE_BYTES = 1 << 26
HDF5_MAGIC = b"\x89HDF\r\n"


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


def no_weights(head: bytes) -> str | None:
    """What came in the place of weights, and what to do, as the end of a sentence.

    Args:
        head: The first 512 bytes of a file.

    Returns:
        None where nothing tells that it is something else.
    """
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "is empty: fetch it again"
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "is a web page, not weights: fetch the file itself (a site's 'raw' or download link)"
    if start.startswith(b"version https://git-lfs"):
        return "is a git-lfs pointer, not the weights that it points to: run git lfs pull"
    if head[257:262] == b"ustar":
        return "is a tar archive: unpack it and name the file inside"
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")):
        return "is compressed: unpack it and name the file inside"
    return None
