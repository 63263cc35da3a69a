"""Removes temporary files that killed runs left in a run's folder."""

from __future__ import annotations

import os
import re

from efficientvision import files
from efficientvision.files import AnyPath

# Files that only training writes, under any temporary name; and temporary names of `files.writing`,
# which contain the process id of the writer.
_OF_TRAINING = re.compile(r"^\.(ckpt-\d+\.npz|checkpoint\.json|last)\..*tmp$")
_OF_ANY = re.compile(r"^\..+\.(\d+)\.\d+\.tmp$")


def remove_leftovers(model_dir: AnyPath) -> None:
    """Removes temporary files, except those that a concurrent evaluation may be writing.

    Only the process that trains in the folder may call this, before it writes there.
    """
    for name in files.list_names(model_dir):
        match = _OF_ANY.match(name)
        if _OF_TRAINING.match(name) or (match and not _is_running(int(match[1]))):
            files.remove(files.join(model_dir, name))


def _is_running(process: int) -> bool:
    if process == os.getpid():
        return False  # Left by an earlier process with this id: this one has written nothing yet.
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
