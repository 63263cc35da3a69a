"""--on_bad_record=skip: a run goes on without records that cannot be read."""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile

from efficientvision.configs.run_options import RunOptions
from efficientvision.data.usable_records import said, usable_records
from efficientvision.runs import run_setup

log = logging.getLogger(__name__)


def leave_out(options: RunOptions) -> RunOptions:
    """With `on_bad_record=skip`, options whose patterns lead to the records that can be used.

    Raises:
        UserError: None of the records can be used.
    """
    if options.on_bad_record != "skip":
        return options
    of_masks = run_setup.task_of_run(options).of_masks
    usable = {}
    for name in ("train_file_pattern", "val_file_pattern"):
        if found := getattr(options, name):
            folder = tempfile.mkdtemp(prefix=f"efficientvision-{name}-")
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            usable[name], left_out = usable_records(found, folder, of_masks=of_masks)
            log.info("\n".join(said(left_out)) or f"`{name}`: all records can be read.")
    return options.replace(**usable)
