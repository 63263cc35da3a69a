"""Removes what killed runs have left half-written in a run's folder."""

from __future__ import annotations

import os
import re

from efficientvision import files
from efficientvision.files import AnyPath

# Files that only a training writes, under any temporary name; and the names that `files.writing`
# gives to any file, with the number of the process that writes it.
_OF_TRAINING = re.compile(r"^\.(ckpt-\d+\.npz|checkpoint\.json|last)\..*tmp$")
_OF_ANY = re.compile(r"^\..+\.(\d+)\.\d+\.tmp$")


def remove_leftovers(model_dir: AnyPath) -> None:
    """Removes temporary files, but those that an evaluation beside the run may be writing.

    For the one process that trains in the folder, before it writes there.
    """
    for name in files.list_names(model_dir):
        match = _OF_ANY.match(name)
        if _OF_TRAINING.match(name) or (match and not _is_running(int(match[1]))):
            files.remove(files.join(model_dir, name))


def _is_running(process: int) -> bool:
    if process == os.getpid():
        return False  # An earlier process had this number: nothing is written here yet.
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
