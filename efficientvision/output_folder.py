"""Finds out before long work that its result cannot be written."""

import errno
import os

from efficientvision import files
from efficientvision.errors import UserError


def check_output_folder(flag: str, folder: str, *, replaced: bool = False) -> None:
    """Makes sure that a folder can be made and written to; leaves nothing behind.

    Args:
        flag: that names it, without dashes.
        folder: the folder; one that is missing is judged by the nearest one above it.
        replaced: it will be replaced as a whole, for which its parent must be writable.

    Raises:
        UserError: it cannot be made or written to.
    """
    nearest = files.absolute(folder)
    if replaced and not files.is_remote(folder):
        nearest = files.parent(nearest)
    while not files.is_remote(nearest) and not files.exists(nearest):
        nearest = files.parent(nearest)
    try:
        if files.is_file(nearest):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        probe = files.join(nearest, f".can_be_written.{os.getpid()}")
        files.write_bytes(probe, b"")
        files.remove(probe)
    except OSError as error:
        raise UserError(
            f"`{flag}={folder}` cannot be written to: {error.strerror or error}; choose another "
            "folder."
        ) from error
