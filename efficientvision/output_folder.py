"""Checks that an output folder is writable before a long job starts."""

import errno
import os

from efficientvision import files
from efficientvision.errors import UserError


def check_output_folder(option: str, folder: str, *, replaced: bool = False) -> None:
    """Checks that a folder can be created and written to; leaves nothing behind.

    Args:
        option: Name of the option, without dashes.
        folder: Folder path. If it does not exist, its nearest existing parent is checked.
        replaced: The whole folder will be replaced, so its parent must be writable.

    Raises:
        UserError: The folder cannot be created or written to.
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
            f"`{option}={folder}` cannot be written to: {error.strerror or error}; choose another "
            "folder."
        ) from error
