"""What several test files look at, made once in a run of the tests, whichever process asks first.

The folder belongs to the run: `conftest.py` makes it before the first worker starts and removes it
after the last has ended, so nothing is ever left from other code than that which is tested.
"""

from __future__ import annotations

import os
import pathlib
import shutil
from collections.abc import Callable

from filelock import FileLock

FOLDER_VARIABLE = "EFFICIENTVISION_TEST_STORE"


def stored(name: str, make: Callable[[pathlib.Path], object]) -> pathlib.Path:
    """The folder of that name; filled by `make` where no process has done so yet.

    Nobody may write into it afterwards: copy it first.

    Args:
        name: of the folder, which says all that `make` depends on.
        make: gets a new, empty folder.
    """
    store = pathlib.Path(os.environ[FOLDER_VARIABLE])
    folder, done = store / name, store / f"{name}.done"
    with FileLock(store / f"{name}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # Of a `make` that failed.
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
