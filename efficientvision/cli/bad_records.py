"""--on_bad_record=skip: a run goes on without records that cannot be read."""

from __future__ import annotations

import atexit
import shutil
import tempfile

from absl import flags

from efficientvision.cli import run_setup
from efficientvision.data.usable_records import said, usable_records


def leave_out(given: flags.FlagValues) -> None:
    """With `--on_bad_record=skip`, points the flags of the records at those that can be used.

    Raises:
        UserError: None of the records can be used.
    """
    if given.on_bad_record != "skip":
        return
    of_masks = run_setup.task_setup(given).of_masks
    for flag in ("train_file_pattern", "val_file_pattern"):
        if given[flag].value:
            folder = tempfile.mkdtemp(prefix=f"efficientvision-{flag}-")
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            pattern, left_out = usable_records(given[flag].value, folder, of_masks=of_masks)
            given[flag].value = pattern
            print("\n".join(said(left_out)) or f"--{flag}: all records can be read.")
