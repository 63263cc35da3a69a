"""Keeps a run's folder locked and complete, even if it is deleted during training."""

from __future__ import annotations

import logging
from collections.abc import Callable

from efficientvision import files
from efficientvision.configs import TrainingConfig
from efficientvision.data.labels import labels_text
from efficientvision.loading import CONFIG_FILE, LABELS_FILE
from efficientvision.training.callbacks import Callback
from efficientvision.training.run_lock import RunLock

log = logging.getLogger(__name__)


def write_sidecars(model_dir: str, config: TrainingConfig, names: dict[int, str]) -> None:
    """Writes `config.yaml` and, if there are class names, `labels.json` to the folder."""
    files.write_text(files.join(model_dir, CONFIG_FILE), config.to_yaml())
    if names:
        files.write_text(files.join(model_dir, LABELS_FILE), labels_text(names))


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
