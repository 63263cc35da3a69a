"""Reads the checkpoints of our own runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from efficientvision import files
from efficientvision.files import AnyPath
from efficientvision.training.best_checkpoint import ARCHIVE_NAME, BEST_NAME
from efficientvision.training.checkpoints import LAST_NAME, list_checkpoints, open_arrays
from efficientvision.weights.checkpoint_reader import CheckpointReader
from efficientvision.weights.names import name_from_keras_path


def open_run_checkpoint(path: str) -> CheckpointReader:
    """Opens a `ckpt-<step>.npz` of a run.

    Raises:
        UserError: The file is cut short or was not written by this program.
    """
    groups: dict[str, dict[str, tuple[int, ...]]] = {"weights": {}, "ema": {}, "optimizer": {}}
    with open_arrays(path) as (archive, _):
        for key, (_, shape) in archive.headers.items():
            group, _, name = key.partition("/")
            groups.get(group, {})[name] = shape

    def fetch(keys: Sequence[str]) -> list[np.ndarray]:
        with open_arrays(path) as (archive, _):
            return [archive.read(key) for key in keys]

    def keys_of(group: str) -> dict[str, str]:
        return {name_from_keras_path(n): f"{group}/{n}" for n in groups[group]}

    shapes = {**groups["ema"], **groups["weights"]}
    return CheckpointReader(
        path=path,
        kind="run",
        shapes={name_from_keras_path(name): shape for name, shape in shapes.items()},
        keys=keys_of("weights"),
        ema_keys=keys_of("ema"),
        auxiliary=tuple(f"optimizer/{name}" for name in groups["optimizer"]),
        fetch=fetch,
    )


def pointed_folder(path: AnyPath) -> str | None:
    """The folder whose newest checkpoint is meant by `RUN/last` or `RUN/best`.

    The folder is searched instead of reading the small files `last` and `best`, which are wrong if
    the newest checkpoint is damaged or the archive has just been replaced.

    Returns:
        None if the path is neither of these, or not in a run.
    """
    run, name = files.parent(path) or ".", files.base_name(path)
    folder = {LAST_NAME: run, BEST_NAME: files.join(run, ARCHIVE_NAME)}.get(name)
    if folder is None or files.is_folder(path) or not list_checkpoints(folder):
        return None
    return folder
