"""Chooses the folder of a new run. Imports no deep learning library."""

from __future__ import annotations

import itertools

from efficientvision import files

RUNS = "runs"


def new_run_folder(model: str, parent: str = RUNS) -> str:
    """Returns `runs/<model>`, or the first of `runs/<model>-2`, ... that holds nothing yet.

    Args:
        model: Name of the model.
        parent: Folder of all runs.
    """
    names = (model if number == 1 else f"{model}-{number}" for number in itertools.count(1))
    folders = (files.join(parent, name) for name in names)
    return next(folder for folder in folders if not files.list_names(folder))
