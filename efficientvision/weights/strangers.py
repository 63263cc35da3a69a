"""Shared by the readers of untrusted files: size limits and refusals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from efficientvision.errors import UserError

# How much larger than the file its values may be: weights hardly compress, zeros do.
_MAX_RATIO = 16
FREE_BYTES = 1 << 26
HDF5_MAGIC = b"\x89HDF\r\n"


def largest_content(file_bytes: int) -> int:
    """Largest size in bytes of the values in an honest file of this size."""
    return FREE_BYTES + _MAX_RATIO * file_bytes


class Refused(Exception):
    """The reader refuses a file; the text is the end of a sentence that begins with the file."""


@contextmanager
def refusals_name(path: str) -> Iterator[None]:
    """Turns a `Refused` into a `UserError` that names the file.

    Raises:
        UserError: The file was refused.
    """
    try:
        yield
    except Refused as error:
        # Names in a hostile file may contain terminal escape sequences.
        reason = "".join(c if c.isprintable() else "?" for c in str(error))
        raise UserError(f"The file {path} {reason}.") from error


def no_weights(head: bytes) -> str | None:
    """Recognises a file that holds no weights, and says what to do, as the end of a sentence.

    Args:
        head: The first 512 bytes of a file.

    Returns:
        None if the file may hold weights.
    """
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "is empty: fetch it again"
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return (
            "is a web page, not weights: download the file itself (a site's 'raw' or download link)"
        )
    if start.startswith(b"version https://git-lfs"):
        return "is a git-lfs pointer, not the weights it points to: run git lfs pull"
    if head[257:262] == b"ustar":
        return "is a tar archive: unpack it and give the path of the file inside"
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")):
        return "is compressed: unpack it and give the path of the file inside"
    return None
