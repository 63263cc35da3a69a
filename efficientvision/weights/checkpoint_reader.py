"""Opens a checkpoint of any supported kind and reads it under the published variable names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from efficientvision.errors import UserError
from efficientvision.weights import names as naming


@dataclass
class CheckpointReader:
    """The variables of one checkpoint, under published names.

    Attributes:
        path: File, prefix or folder it was opened from, for messages.
        kind: `"tf1"`, `"tf2"`, `"h5"` (Keras 2), `"keras"` (Keras 3) or `"run"` (a model_dir).
        shapes: Published name -> shape.
        keys: Published name -> key of the raw value in the file.
        ema_keys: Published name -> key of its moving average, where the file has one.
        auxiliary: Keys that are neither: optimizer slots, step counters.
        fetch: Reads the values of keys, in order. Raises UserError if the file is damaged.
    """

    path: str
    kind: str
    shapes: dict[str, tuple[int, ...]]
    keys: dict[str, str]
    fetch: Callable[[Sequence[str]], list[np.ndarray]]
    ema_keys: dict[str, str] = field(default_factory=dict)
    auxiliary: tuple[str, ...] = ()

    @property
    def has_ema(self) -> bool:
        """Whether the checkpoint holds moving averages of weights."""
        return bool(self.ema_keys)

    def names(self) -> dict[str, tuple[int, ...]]:
        """Published name -> shape of every weight and moving statistic."""
        return dict(self.shapes)

    def key(self, name: str, ema: bool = True) -> str:
        """The file's own key of a variable.

        Args:
            name: Published name.
            ema: Prefer the moving average where there is one, else the raw value.

        Raises:
            UserError: The checkpoint does not hold the variable.
        """
        first, second = (self.ema_keys, self.keys) if ema else (self.keys, self.ema_keys)
        key = first.get(name, second.get(name))
        if key is None:
            raise UserError(f"The checkpoint {self.path} holds no variable {name!r}.")
        return key

    def read(self, name: str, ema: bool = True) -> np.ndarray:
        """The value of one variable; see `read_many`."""
        return self.read_many([name], ema)[name]

    def read_many(self, names: Iterable[str], ema: bool = True) -> dict[str, np.ndarray]:
        """The values of several variables.

        Args:
            names: Published names.
            ema: Prefer moving averages where there are any.

        Returns:
            Published name -> array.

        Raises:
            UserError: A variable is not there, or the file is damaged or cut short.
        """
        names = list(names)
        return dict(zip(names, self.fetch([self.key(n, ema) for n in names]), strict=True))


def open_checkpoint(
    path: str | os.PathLike, *, scope: str | None = None, backbone: str | None = None
) -> CheckpointReader:
    """Opens a checkpoint for reading.

    Args:
        path: A TensorFlow checkpoint (its prefix, or its `.index` or `.data-...` file), an `.h5`
            file of Keras 2, a `.weights.h5` or `.keras` file of Keras 3, a `ckpt-<step>.npz` of a
            run, or a folder that holds one of these (the newest counts).
        scope: Outer scope the variables were saved under (`ckpt_var_scope`).
        backbone: The backbone that `scope` stands for.

    Returns:
        A reader. Nothing but names and shapes has been read.

    Raises:
        UserError: There is no such checkpoint, or it is damaged or of an unknown kind.
    """
    from efficientvision.weights import keras_files, run_folder, tensorflow_checkpoint

    target = find_checkpoint(path)
    if target.endswith(".npz"):
        reader = run_folder.open_run_checkpoint(target)
    elif target.endswith((".h5", ".hdf5")):
        reader = keras_files.open_h5(target)
    elif target.endswith(".keras"):
        reader = keras_files.open_keras_archive(target)
    else:
        reader = tensorflow_checkpoint.open_tensorflow(target)
    return _renamed(reader, scope, backbone)


def _renamed(reader: CheckpointReader, scope: str | None, backbone: str | None) -> CheckpointReader:
    """Brings the reader's names to the published form."""

    def rename(by_name: dict) -> dict:
        return {naming.canonical_name(n, scope, backbone): value for n, value in by_name.items()}

    reader.shapes = rename(reader.shapes)
    reader.keys = rename(reader.keys)
    reader.ema_keys = rename(reader.ema_keys)
    if not reader.shapes:
        raise UserError(f"The checkpoint {reader.path} holds no network weights.")
    return reader


def find_checkpoint(path: str | os.PathLike) -> str:
    """Finds what a user's path stands for.

    Returns:
        A file (`.npz`, `.h5`, `.keras`) or the prefix of a TensorFlow checkpoint.

    Raises:
        UserError: Nothing there is a checkpoint.
    """
    text = os.fspath(path)
    place = Path(text)
    if place.is_dir():
        return _find_in_folder(place)
    for ending in (".index", ".meta"):
        if text.endswith(ending):
            return _require_index(text.removesuffix(ending))
    if ".data-" in place.name:
        return _require_index(text[: text.rindex(".data-")])
    if Path(text + ".index").is_file():
        return text
    if place.is_file():
        if place.suffix in (".h5", ".hdf5", ".keras", ".npz"):
            return text
        raise UserError(
            f"{text} is not a checkpoint of a known kind (a TensorFlow checkpoint, .h5, "
            ".weights.h5, .keras or a model_dir)."
        )
    return _require_index(text)


def _require_index(prefix: str) -> str:
    if Path(prefix + ".index").is_file():
        return prefix
    parent = Path(prefix).parent
    if any(parent.glob(_escaped(Path(prefix).name) + ".data-*")):
        raise UserError(
            f"The checkpoint {prefix} is incomplete: the file {prefix}.index is missing."
        )
    raise UserError(f"There is no checkpoint {prefix}: no such file, folder or checkpoint prefix.")


def _escaped(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _find_in_folder(folder: Path) -> str:
    """The checkpoint of a folder: that of our own runs, else of `checkpoint`, else the newest."""
    from efficientvision.training.checkpoints import latest_checkpoint, list_checkpoints

    if list_checkpoints(folder):
        newest = latest_checkpoint(folder)
        if newest is None:
            raise UserError(f"Every checkpoint (ckpt-<step>.npz) of {folder} is cut short.")
        return str(newest)
    stated = _stated_latest(folder)
    if stated is not None:
        return stated
    indices = sorted(folder.glob("*.index"), key=lambda p: (p.stat().st_mtime, p.name))
    if indices:
        return str(indices[-1]).removesuffix(".index")
    for pattern in ("*.h5", "*.keras"):
        files = sorted(folder.glob(pattern), key=lambda p: (p.stat().st_mtime, p.name))
        if files:
            return str(files[-1])
    if (folder / "saved_model.pb").is_file():
        raise UserError(f"{folder} is a SavedModel, not a checkpoint: export or run it as one.")
    raise UserError(
        f"The folder {folder} holds no checkpoint (*.index, *.h5, *.keras or ckpt-<step>.npz)."
    )


def _stated_latest(folder: Path) -> str | None:
    """The prefix that the folder's `checkpoint` text file names, if that exists.

    Published folders were moved after they were written, so only the last component of an
    absolute path is believed when the path itself is not there.
    """
    state = folder / "checkpoint"
    if not state.is_file():
        return None
    for line in state.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() != "model_checkpoint_path":
            continue
        stated = value.strip().strip('"')
        for prefix in (folder / stated, folder / Path(stated).name):
            if Path(f"{prefix}.index").is_file():
                return str(prefix)
    return None
