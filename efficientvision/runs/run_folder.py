"""Keeps a run's folder locked and complete, even if it is deleted during training."""

from __future__ import annotations

import logging
from collections.abc import Callable

from efficientvision.training.callbacks import Callback
from efficientvision.training.run_lock import RunLock

log = logging.getLogger(__name__)


class FolderKeeper(Callback):
    """Checks the folder before each checkpoint.

    Args:
        lock: The run's lock on the folder.
        write: Writes `config.yaml` and `labels.json`, which checkpoints depend on.
    """

    def __init__(self, lock: RunLock, write: Callable[[], None]):
        self._lock = lock
        self.write = write

    def saving(self, step: int) -> None:
        """Recreates the folder and logs a warning if it was deleted.

        Raises:
            UserError: Another run has taken the folder.
        """
        if self._lock.check():
            self.write()
            log.info(
                f"Warning: {self._lock.folder} or its lock was deleted during this run. Rewriting "
                f"config.yaml and labels.json, then the checkpoint of step {step}; earlier "
                "checkpoints, the best one and TensorBoard's curves are lost if they were in it. "
                "Training continues."
            )
