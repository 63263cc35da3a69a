"""Opens a checkpoint of any supported kind and reads it under the published variable names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.files import AnyPath
from efficientvision.weights import names as naming
from efficientvision.weights.hub import local_path
from efficientvision.weights.preprocessing import Preprocessing
from efficientvision.weights.safetensors_file import ENDINGS as SAFETENSORS_ENDINGS
from efficientvision.weights.safetensors_file import INDEX_ENDING, is_safetensors_file
from efficientvision.weights.torch_file import ENDINGS as TORCH_ENDINGS
from efficientvision.weights.torch_file import is_torch_file

_HDF5_ENDINGS = (".h5", ".hdf5")
# The checkpoint inside a SavedModel, such as a module of TensorFlow Hub.
_SAVED_MODEL_VARIABLES = "variables/variables"
# Kinds of the files that Google published.
_PUBLISHED_KINDS = ("tf1", "tf2", "h5")
_KERAS_ENDINGS = (*_HDF5_ENDINGS, ".keras")


@dataclass
class CheckpointReader:
    """The variables of one checkpoint, under published names.

    Attributes:
        path: File, prefix or folder that was opened, for messages.
        kind: `"tf1"`, `"tf2"`, `"h5"` (Keras 2), `"keras"` (Keras 3), `"torch"`, `"safetensors"`
            or `"run"` (a model_dir).
        shapes: Published name -> shape.
        keys: Published name -> key of the raw value in the file.
        ema_keys: Published name -> key of its moving average, where the file has one.
        auxiliary: Keys of everything else: optimizer slots, step counters.
        fetch: Reads the values of keys, in order. Raises UserError if the file is damaged.
        notes: Warnings about values that were not used, without a full stop.
        preprocessing: What the network was trained with, if another package's file tells; None:
            the model's own.
        model: Model of the registry, if another package's file tells what shapes do not.
        settings: Hyper-parameters that a network of another package has, whatever its shapes.
    """

    path: str
    kind: str
    shapes: dict[str, tuple[int, ...]]
    keys: dict[str, str]
    fetch: Callable[[Sequence[str]], list[np.ndarray]]
    ema_keys: dict[str, str] = field(default_factory=dict)
    auxiliary: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    model: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def names(self) -> dict[str, tuple[int, ...]]:
        """Published name -> shape of every weight and moving statistic."""
        return dict(self.shapes)

    def key(self, name: str, ema: bool = True) -> str:
        """The file's own key of a variable.

        Args:
            name: Published name.
            ema: Prefer the moving average, where there is one, to the raw value.

        Raises:
            UserError: The checkpoint does not have the variable.
        """
        first, second = (self.ema_keys, self.keys) if ema else (self.keys, self.ema_keys)
        key = first.get(name, second.get(name))
        if key is None:
            raise UserError(f"The checkpoint {self.path} has no variable {name!r}.")
        return key

    def read(self, name: str, ema: bool = True) -> np.ndarray:
        """The value of one variable; see `read_many`."""
        return self.read_many([name], ema)[name]

    def read_many(self, names: Iterable[str], ema: bool = True) -> dict[str, np.ndarray]:
        """The values of several variables.

        Args:
            names: Published names.
            ema: Prefer moving averages, where there are any, to raw values.

        Returns:
            Published name -> array.

        Raises:
            UserError: A variable is missing, or the file is damaged or cut short.
        """
        names = list(names)
        return dict(zip(names, self.fetch([self.key(n, ema) for n in names]), strict=True))

    def renamed(self, rename: Callable[[str], str]) -> CheckpointReader:
        """The same checkpoint under other names."""
        shapes, keys, ema_keys = (
            {rename(name): value for name, value in by_name.items()}
            for by_name in (self.shapes, self.keys, self.ema_keys)
        )
        return dataclasses.replace(self, shapes=shapes, keys=keys, ema_keys=ema_keys)


def open_checkpoint(
    path: AnyPath, *, scope: str | None = None, backbone: str | None = None
) -> CheckpointReader:
    """Opens a checkpoint for reading.

    Args:
        path: A TensorFlow checkpoint (its prefix, or its `.index` or `.data-...` file), an `.h5`
            file of Keras 2, a `.weights.h5` or `.keras` file of Keras 3, a PyTorch state dict
            (`.pth`, `.safetensors`), a `ckpt-<step>.npz` of a run, its `last` or `best`, a folder
            that holds any of these (the newest is opened), a SavedModel's folder, or an address on
            the hub, `hf://user/repo`.
        scope: Outer scope that the variables were saved under (`ckpt_var_scope`).
        backbone: The backbone that `scope` stands for.

    Returns:
        A reader that has read names and shapes, but no values.

    Raises:
        UserError: The checkpoint does not exist, is damaged or is of an unknown kind.
    """
    from efficientvision.weights import (
        keras_applications_names,
        keras_files,
        published_sets,
        run_folder,
        tensorflow_checkpoint,
        torch_checkpoint,
    )

    target = find_checkpoint(local_path(path))
    if _is_safetensors(target):
        reader = torch_checkpoint.open_safetensors_checkpoint(target)
    elif _is_torch(target):
        reader = torch_checkpoint.open_torch(target)
    elif target.endswith(".npz"):
        reader = run_folder.open_run_checkpoint(target)
    elif target.lower().endswith(_HDF5_ENDINGS):
        reader = keras_applications_names.published(keras_files.open_h5(target))
    elif target.lower().endswith(".keras"):
        reader = keras_applications_names.published(keras_files.open_keras_archive(target))
    else:
        reader = tensorflow_checkpoint.open_tensorflow(target)
    reader = reader.renamed(lambda name: naming.canonical_name(name, scope, backbone))
    if reader.kind in _PUBLISHED_KINDS:
        reader = published_sets.with_preprocessing(reader)
    if not reader.shapes:
        raise UserError(f"The checkpoint {reader.path} holds no network weights.")
    return reader


def _is_torch(target: str) -> bool:
    """Whether a checkpoint is a PyTorch file, by its name or its first bytes."""
    return files.is_file(target) and (
        target.lower().endswith(TORCH_ENDINGS) or is_torch_file(target)
    )


def _is_safetensors(target: str) -> bool:
    """Whether a checkpoint is a safetensors file, by its first bytes or else its name."""
    if not files.is_file(target):
        return False
    named = target.lower().endswith(SAFETENSORS_ENDINGS)
    return is_safetensors_file(target) or (named and not is_torch_file(target))


def find_checkpoint(path: AnyPath) -> str:
    """Finds the checkpoint that a path given by a user refers to.

    Returns:
        A file (`.npz`, `.h5`, `.keras`, PyTorch, safetensors), or the prefix of a TensorFlow
        checkpoint.

    Raises:
        UserError: There is no checkpoint at the path.
    """
    from efficientvision.weights.run_folder import pointed_folder

    text = pointed_folder(path) or files.as_text(path)
    # Before folders: to a store without real ones, a prefix may look like one.
    if files.is_file(text + ".index"):
        return text
    if files.is_folder(text):
        return _find_in_folder(text.rstrip("/") or "/")
    for ending in (".index", ".meta"):
        if text.endswith(ending):
            return _require_index(text.removesuffix(ending))
    if ".data-" in files.base_name(text):
        return _require_index(text[: text.rindex(".data-")])
    if files.is_file(text):
        if text.endswith(".npz") or text.lower().endswith(_KERAS_ENDINGS):
            return text
        if _is_torch(text) or _is_safetensors(text):
            return text
        if text.lower().endswith(INDEX_ENDING):
            raise UserError(
                f"{text} lists the parts of a network that was saved in several files; save it in "
                'one: max_shard_size="50GB" in save_pretrained.'
            )
        raise UserError(
            f"{text} is not a checkpoint of a known kind (a TensorFlow checkpoint, .h5, "
            ".weights.h5, .keras, .pth, .safetensors or a model_dir)."
        )
    return _require_index(text)


def _require_index(prefix: str) -> str:
    if files.is_file(prefix + ".index"):
        return prefix
    shard = files.base_name(prefix) + ".data-"
    if any(name.startswith(shard) for name in files.list_names(files.parent(prefix) or ".")):
        raise UserError(
            f"The checkpoint {prefix} is incomplete: the file {prefix}.index is missing."
        )
    raise UserError(f"There is no checkpoint {prefix}: no such file, folder or checkpoint prefix.")


def _find_in_folder(folder: str) -> str:
    """The folder's checkpoint: from our own run, else named by `checkpoint`, else the newest."""
    from efficientvision.training.checkpoints import latest_checkpoint, list_checkpoints

    if list_checkpoints(folder):
        newest = latest_checkpoint(folder, say=True)
        if newest is None:
            raise UserError(f"Every checkpoint (ckpt-<step>.npz) in {folder} is cut short.")
        return newest
    stated = _stated_latest(folder)
    if stated is not None:
        return stated
    listed = [files.join(folder, name) for name in files.list_names(folder)]
    kinds = ((".index",), _HDF5_ENDINGS, (".keras",), SAFETENSORS_ENDINGS, TORCH_ENDINGS)
    for endings in kinds:
        found = [path for path in listed if path.lower().endswith(endings)]
        if endings is TORCH_ENDINGS:
            # PyTorch Lightning writes .ckpt; so did TensorFlow 1.
            found += [path for path in listed if path.endswith(".ckpt") and _is_torch(path)]
        if found:
            newest = max(found, key=lambda path: (files.modified(path), path))
            return newest.removesuffix(".index")
    inside = files.join(folder, _SAVED_MODEL_VARIABLES)
    if files.is_file(inside + ".index"):
        return inside
    if files.is_file(files.join(folder, "saved_model.pb")):
        raise UserError(
            f"{folder} is a SavedModel without variables, not a checkpoint: run it as one, or name "
            "a checkpoint."
        )
    raise UserError(
        f"The folder {folder} contains no checkpoint (*.index, *.h5, *.keras, *.safetensors, "
        "*.pth, *.pt or ckpt-<step>.npz)."
    )


def _stated_latest(folder: str) -> str | None:
    """The prefix named in the folder's `checkpoint` text file, if its checkpoint exists.

    Published folders were moved after they were written: if the stated path does not exist, its
    last component is looked up in this folder.
    """
    state = files.join(folder, "checkpoint")
    if not files.is_file(state):
        return None
    for line in files.read_bytes(state).decode("utf8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() != "model_checkpoint_path":
            continue
        stated = value.strip().strip('"')
        for prefix in (files.join(folder, stated), files.join(folder, files.base_name(stated))):
            if files.is_file(f"{prefix}.index"):
                return prefix
    return None
