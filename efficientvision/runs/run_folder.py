"""Keeps a run's folder the run's own, and complete, even where somebody deletes it meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable

from efficientvision.training.callbacks import Callback
from efficientvision.training.run_lock import RunLock

log = logging.getLogger(__name__)


class FolderKeeper(Callback):
    """Looks at the folder before each checkpoint.

    Args:
        lock: The run's lock on it.
        write: Writes `config.yaml` and `labels.json`, without which a checkpoint says little.
    """

    def __init__(self, lock: RunLock, write: Callable[[], None]):
        self._lock = lock
        self.write = write

    def saving(self, step: int) -> None:
        """Says that the folder was deleted, if it was, and begins it anew.

        Raises:
            UserError: Another run has taken the folder.
        """
        if self._lock.check():
            self.write()
            log.info(
                f"Warning: {self._lock.folder}, or its lock, was deleted while this run trains. "
                f"config.yaml and labels.json are written again, the checkpoint of step {step} "
                "follows; earlier checkpoints, the best one and TensorBoard's curves are lost if "
                "they were in it. The run goes on."
            )
