"""Checkpoints of a run: one `.npz` file each, keyed by variable path.

A file `ckpt-<step>.npz` holds, under these keys,

- `weights/<path>`: every weight of the model, moving statistics included;
- `ema/<path>`: its moving average, where the run keeps averages;
- `optimizer/<path>`: the optimizer's slots and its step count;
- `meta`: a JSON text with `step` and whatever else the trainer wants back (seed, metrics).

It is written under a temporary name and renamed, so that a run that is killed leaves the previous
checkpoint whole; a file cut short later is recognised (the index of a zip is at its end, and its
parts carry checksums) and the one before it is used. `checkpoint.json` names the newest for other
programs; the folder itself is what is read here. Keyed by path, a checkpoint survives a change in
the order in which layers are made, which `tf.train.Checkpoint(model)` would not.
"""

from __future__ import annotations

import json
import os
import re
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from efficientvision.data.record_files import write_text
from efficientvision.errors import UserError

INDEX_NAME = "checkpoint.json"
_FILE_NAME = re.compile(r"^ckpt-(\d+)\.npz$")
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, ValueError)


@dataclass
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        weights: Variable path -> value, as trained.
        ema: Variable path -> moving average; empty when the run kept none.
        optimizer: Optimizer variable path -> value; empty in an exported best checkpoint.
        step: Training steps done.
        meta: Everything else that was stored, by name.
    """

    weights: dict[str, np.ndarray]
    step: int = 0
    ema: dict[str, np.ndarray] = field(default_factory=dict)
    optimizer: dict[str, np.ndarray] = field(default_factory=dict)
    meta: dict = field(default_factory=dict)


def checkpoint_path(model_dir: str | os.PathLike, step: int) -> Path:
    """The file of a step's checkpoint."""
    return Path(model_dir) / f"ckpt-{step}.npz"


def step_of(path: str | os.PathLike) -> int:
    """The step in a checkpoint's file name."""
    match = _FILE_NAME.match(Path(path).name)
    if match is None:
        raise UserError(f"{path} is not named like a checkpoint of this program (ckpt-<step>.npz).")
    return int(match.group(1))


def list_checkpoints(model_dir: str | os.PathLike) -> list[Path]:
    """Checkpoint files of a folder, oldest first, readable or not."""
    folder = Path(model_dir)
    if not folder.is_dir():
        return []
    files = [p for p in folder.iterdir() if _FILE_NAME.match(p.name)]
    return sorted(files, key=step_of)


def latest_checkpoint(model_dir: str | os.PathLike) -> Path | None:
    """The newest whole checkpoint of a folder, or None.

    A file that was cut short is passed over, with a printed line.
    """
    for path in reversed(list_checkpoints(model_dir)):
        if is_whole(path):
            return path
        print(f"{path} is cut short or damaged: using the checkpoint before it.")
    return None


def is_whole(path: str | os.PathLike) -> bool:
    """Whether a checkpoint file is complete and its checksums are right."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None and "meta.npy" in archive.namelist()
    except _UNREADABLE:
        return False


def read_checkpoint(path: str | os.PathLike) -> Checkpoint:
    """Reads a checkpoint file, or the newest one of a folder.

    Raises:
        UserError: If there is none, or the file is cut short or not one of ours.
    """
    path = Path(path)
    if path.is_dir():
        newest = latest_checkpoint(path)
        if newest is None:
            raise UserError(f"{path} holds no readable checkpoint (ckpt-<step>.npz).")
        path = newest
    if not path.is_file():
        raise UserError(f"The checkpoint {path} does not exist.")
    groups: dict[str, dict[str, np.ndarray]] = {"weights": {}, "ema": {}, "optimizer": {}}
    try:
        with np.load(path, allow_pickle=False) as archive:
            meta = json.loads(str(archive["meta"]))
            for key in archive.files:
                group, _, name = key.partition("/")
                if group in groups:
                    groups[group][name] = archive[key]
    except _UNREADABLE as error:
        raise UserError(
            f"The checkpoint {path} is cut short, damaged or not one of this program's ({error}); "
            "use another one."
        ) from error
    return Checkpoint(step=int(meta.pop("step")), meta=meta, **groups)


def write_checkpoint(path: str | os.PathLike, checkpoint: Checkpoint) -> Path:
    """Writes a checkpoint file: all of it, or nothing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"meta": np.array(json.dumps({"step": checkpoint.step, **checkpoint.meta}))}
    for group in ("weights", "ema", "optimizer"):
        for name, value in getattr(checkpoint, group).items():
            arrays[f"{group}/{name}"] = np.asarray(value)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


class CheckpointFolder:
    """The checkpoints of a run's folder: writes new ones, keeps the last few.

    Args:
        model_dir: The run's folder.
        keep: How many checkpoints to keep.
    """

    def __init__(self, model_dir: str | os.PathLike, keep: int = 5):
        self.model_dir = Path(model_dir)
        self.keep = max(1, keep)

    def save(self, checkpoint: Checkpoint) -> Path:
        """Writes `checkpoint` as the newest, then removes the ones beyond `keep`."""
        path = checkpoint_path(self.model_dir, checkpoint.step)
        write_checkpoint(path, checkpoint)
        files = list_checkpoints(self.model_dir)
        kept = files[-self.keep :]
        index = {"latest": path.name, "all": [p.name for p in kept]}
        write_text(str(self.model_dir / INDEX_NAME), json.dumps(index, indent=2) + "\n")
        for old in files[: -self.keep]:
            old.unlink(missing_ok=True)
        return path

    def restore(self) -> Checkpoint | None:
        """The newest whole checkpoint, or None for a new run.

        Removes what a killed run left half-written.
        """
        if self.model_dir.is_dir():
            for unfinished in self.model_dir.glob(".ckpt-*.tmp"):
                unfinished.unlink(missing_ok=True)
        path = latest_checkpoint(self.model_dir)
        return None if path is None else read_checkpoint(path)
