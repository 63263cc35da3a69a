"""Checkpoints of a run: one `.npz` file each, keyed by variable path.

A file `ckpt-<step>.npz` holds, under these keys,

- `weights/<path>`: every weight of the model, moving statistics included;
- `ema/<path>`: its moving average, where the run keeps averages;
- `optimizer/<path>`: the optimizer's slots and its step count;
- `meta`: a JSON text with `step`, `arrays` (key -> dtype and shape of everything else in the file)
  and whatever the trainer wants to restore (seed, losses of the epoch so far).

It is written under a temporary name and renamed, so that a killed run leaves the previous
checkpoint intact. A file that is damaged later is detected (a zip's index is at its end, its parts
have checksums, and its list of entries must agree with `arrays`), and the checkpoint before it is
used. `checkpoint.json` names the newest checkpoint for other programs; this module reads the folder
itself. Because values are keyed by path, a checkpoint survives a change in the order in which
layers are created, which `tf.train.Checkpoint(model)` would not.
"""

from __future__ import annotations

import contextlib
import json
import logging
import lzma
import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.files import AnyPath
from efficientvision.training.array_archive import ArrayArchive
from efficientvision.training.leftovers import remove_leftovers
from efficientvision.weights.strangers import Refused, refusals_name

log = logging.getLogger(__name__)

INDEX_NAME = "checkpoint.json"
# File that names the newest checkpoint; its path stands for that one (`weights.run_folder`).
LAST_NAME = "last"
_FILE_NAME = re.compile(r"^ckpt-(\d+)\.npz$")
# Overhead of an array in a zip file: three headers (and its name twice).
_BYTES_AN_ARRAY = 236
# Errors of `zipfile` and numpy on damaged files: a flipped bit in an index can ask for encryption,
# another compression, or more memory than there is.
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError),
    *(LookupError, ValueError, TypeError, AttributeError, ArithmeticError, SyntaxError),
    *(RuntimeError, MemoryError, tokenize.TokenError),
)
_META = "meta"


@dataclass
class Checkpoint:
    """The content of a checkpoint file.

    Attributes:
        weights: Variable path -> value, as trained.
        ema: Variable path -> moving average; empty if the run keeps none.
        optimizer: Optimizer variable path -> value; empty in an exported best checkpoint.
        step: Number of completed training steps.
        meta: Everything else that was stored, by name.
    """

    weights: dict[str, np.ndarray]
    step: int = 0
    ema: dict[str, np.ndarray] = field(default_factory=dict)
    optimizer: dict[str, np.ndarray] = field(default_factory=dict)
    meta: dict = field(default_factory=dict)


def checkpoint_path(model_dir: AnyPath, step: int) -> str:
    """The checkpoint file of a step."""
    return files.join(model_dir, f"ckpt-{step}.npz")


def step_of(path: AnyPath) -> int:
    """The step in a checkpoint's file name."""
    match = _FILE_NAME.match(files.base_name(path))
    if match is None:
        raise UserError(f"{path} is not named like a checkpoint of this program: ckpt-<step>.npz.")
    return int(match.group(1))


def list_checkpoints(model_dir: AnyPath) -> list[str]:
    """Checkpoint files of a folder, oldest first, readable or not."""
    names = [name for name in files.list_names(model_dir) if _FILE_NAME.match(name)]
    return [files.join(model_dir, name) for name in sorted(names, key=step_of)]


def latest_checkpoint(model_dir: AnyPath, *, say: bool = False) -> str | None:
    """The newest intact checkpoint of a folder, or None.

    Args:
        model_dir: The folder.
        say: Log a warning for each damaged file that is skipped.
    """
    for path in reversed(list_checkpoints(model_dir)):
        if is_whole(path):
            return path
        # A file that is gone was removed by its training meanwhile.
        if say and files.exists(path):
            log.warning(f"{path} is cut short or damaged: using the checkpoint before it.")
    return None


def has_ended(model_dir: AnyPath) -> bool:
    """Whether training stopped early on purpose, such as by early stopping."""
    try:
        index = json.loads(files.read_text(files.join(model_dir, INDEX_NAME)))
    except (FileNotFoundError, ValueError, UserError):
        return False
    return isinstance(index, dict) and bool(index.get("ended"))


def is_whole(path: AnyPath) -> bool:
    """Whether a checkpoint file is complete and its checksums are right.

    For a remote file, only the index at its end is compared with the list of arrays: remote stores
    verify checksums themselves.
    """
    try:
        with files.reading(path) as file:
            if files.is_remote(path):
                return _lists_its_arrays(file)
            archive = ArrayArchive(file, files.size(path))
            listed = _meta(archive.read(_META))[1]
            described = {key: value for key, value in archive.headers.items() if key != _META}
            return archive.is_intact() and listed in (None, described)
    except (*_UNREADABLE, Refused):
        return False


def _lists_its_arrays(file: BinaryIO) -> bool:
    """Whether a file's index has exactly the entries in its list of arrays."""
    with zipfile.ZipFile(file) as archive, archive.open(f"{_META}.npy") as part:
        listed = _meta(np.lib.format.read_array(part, allow_pickle=False))[1]
        names = {name.removesuffix(".npy") for name in archive.namelist()} - {_META}
        return listed is None or names == set(listed)


@contextlib.contextmanager
def open_arrays(path: AnyPath) -> Iterator[tuple[ArrayArchive, dict]]:
    """Opens a checkpoint file: names, dtypes and shapes of its arrays, and `meta`.

    Args:
        path: The file.

    Yields:
        The archive, with no array read yet, and the values of `meta`.

    Raises:
        UserError: The file, or an array that is read, is truncated, damaged, not one of ours or
            larger than it should be.
    """
    path = files.as_text(path)
    if not files.is_file(path):
        raise UserError(f"The checkpoint {path} does not exist.")
    try:
        with refusals_name(path), files.local_copy(path) as local, open(local, "rb") as file:
            archive = ArrayArchive(file, files.size(path))
            meta, listed = _meta(archive.read(_META))
            headers = {key: value for key, value in archive.headers.items() if key != _META}
            if listed is not None and listed != headers:
                wrong = {key for key, _ in listed.items() ^ headers.items()}
                raise ValueError(f"{sorted(wrong)[0]} is not what was written")
            yield archive, meta
    except UserError:
        raise
    except _UNREADABLE as error:
        raise UserError(
            f"The checkpoint {path} is cut short, damaged or not one of this program's "
            f"({' '.join(str(error).split()) or type(error).__name__}); use another one."
        ) from error


def read_checkpoint(path: AnyPath) -> Checkpoint:
    """Reads a checkpoint file, or the newest one of a folder.

    Raises:
        UserError: There is none, or the file is truncated or not one of ours.
    """
    path = files.as_text(path)
    if files.is_folder(path):
        newest = latest_checkpoint(path, say=True)
        if newest is None:
            raise UserError(f"{path} holds no readable checkpoint (ckpt-<step>.npz).")
        path = newest
    groups: dict[str, dict[str, np.ndarray]] = {"weights": {}, "ema": {}, "optimizer": {}}
    with open_arrays(path) as (archive, meta):
        for key in archive.headers:
            group, _, name = key.partition("/")
            if group in groups:
                groups[group][name] = archive.read(key)
    return Checkpoint(step=int(meta.pop("step")), meta=meta, **groups)


def write_checkpoint(path: AnyPath, checkpoint: Checkpoint) -> str:
    """Writes a checkpoint file atomically."""
    with files.writing(path) as file:
        np.savez(file, **_arrays(checkpoint))
    return files.as_text(path)


def _arrays(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """The arrays of the file, by key."""
    arrays = {
        f"{group}/{name}": np.asarray(value)
        for group in ("weights", "ema", "optimizer")
        for name, value in getattr(checkpoint, group).items()
    }
    listed = {key: [dtype, list(shape)] for key, (dtype, shape) in _described(arrays).items()}
    meta = {"step": checkpoint.step, **checkpoint.meta, "arrays": listed}
    return {_META: np.array(json.dumps(meta)), **arrays}


def _described(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Dtype and shape of each array."""
    return {key: (value.dtype.str, value.shape) for key, value in arrays.items()}


def _meta(stored: np.ndarray) -> tuple[dict, dict[str, tuple[str, tuple[int, ...]]] | None]:
    """The values of `meta`, and its list of arrays (None in old files, which have no list).

    Raises:
        ValueError, TypeError or LookupError: It is damaged.
    """
    meta = json.loads(str(stored))
    int(meta["step"])
    listed = meta.pop("arrays", None)
    if listed is None:
        return meta, None
    return meta, {key: (dtype, tuple(shape)) for key, (dtype, shape) in listed.items()}


@contextlib.contextmanager
def explain_full_disk(model_dir: AnyPath, what: str, checkpoint: Checkpoint) -> Iterator[None]:
    """Turns the error of a full disk into a `UserError` that says what is kept.

    Args:
        model_dir: The run's folder.
        what: What the block writes, for the message.
        checkpoint: The checkpoint, which makes up most of its size.
    """
    try:
        yield
    except OSError as error:
        if not files.is_no_space(error):
            raise
        needed = sum(
            array.nbytes + _BYTES_AN_ARRAY + 2 * len(name)
            for name, array in _arrays(checkpoint).items()
        )
        free = files.free_bytes(model_dir)
        room = "" if free is None else f", {free:,} are free"
        newest = latest_checkpoint(model_dir)
        kept = "there is no earlier checkpoint" if newest is None else f"{newest} is intact"
        raise UserError(
            f"No space left in {files.as_text(model_dir)}: {what} needs {needed:,} bytes{room}. "
            f"No partial file was left, and {kept}. Free some space, then run the same command to "
            "resume."
        ) from error


class CheckpointFolder:
    """The checkpoints in a run's folder: writes new ones and keeps the last few.

    Args:
        model_dir: The run's folder.
        keep: How many checkpoints to keep.
    """

    def __init__(self, model_dir: AnyPath, keep: int = 5):
        self.model_dir = files.as_text(model_dir)
        self.keep = max(1, keep)

    def save(self, checkpoint: Checkpoint) -> str:
        """Writes `checkpoint` as the newest, then removes those beyond `keep`.

        Raises:
            UserError: The disk is full; earlier checkpoints are unchanged.
        """
        path = checkpoint_path(self.model_dir, checkpoint.step)
        with explain_full_disk(self.model_dir, f"the checkpoint {path}", checkpoint):
            write_checkpoint(path, checkpoint)
            # A file of a later step is damaged: this run could not resume from it.
            written = [p for p in list_checkpoints(self.model_dir) if step_of(p) <= checkpoint.step]
            self._write_index(written[-self.keep :])
            files.write_text(files.join(self.model_dir, LAST_NAME), files.base_name(path) + "\n")
        for old in written[: -self.keep]:
            files.remove(old)
        return path

    def mark_ended(self) -> None:
        """Tells programs that wait for more checkpoints that there will be none."""
        self._write_index(list_checkpoints(self.model_dir)[-self.keep :], ended=True)

    def _write_index(self, kept: list[str], **more: bool) -> None:
        names = [files.base_name(path) for path in kept]
        index = {"latest": names[-1] if names else None, "all": names, **more}
        text = json.dumps(index, indent=2) + "\n"
        files.write_text(files.join(self.model_dir, INDEX_NAME), text)

    def restore(self, *, clean: bool = True) -> Checkpoint | None:
        """The newest intact checkpoint, or None for a new run.

        Args:
            clean: Remove temporary files of killed runs; only in the process that writes here.

        Raises:
            UserError: There are checkpoints, but none can be read.
        """
        if clean:
            remove_leftovers(self.model_dir)
        if not list_checkpoints(self.model_dir):
            return None
        return read_checkpoint(self.model_dir)
