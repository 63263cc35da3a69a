"""Our own weights as a safetensors file: the variables of a network, by path.

Such a file is recognised by its names: a variable's path has slashes, and PyTorch's names, which
are most of what safetensors files hold, have dots. Values have Keras' layout.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping

import numpy as np

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.files import AnyPath
from efficientvision.training.checkpoints import open_arrays
from efficientvision.weights.checkpoint_reader import CheckpointReader
from efficientvision.weights.names import name_from_keras_path
from efficientvision.weights.state_file import StateFile

# Of the file's metadata, which other programs show.
_LIBRARY = "efficientvision"


def read_inference_weights(path: AnyPath) -> dict[str, np.ndarray]:
    """Reads what a run's checkpoint predicts with: averaged weights where it has them.

    Args:
        path: A `ckpt-<step>.npz`.

    Returns:
        Variable path -> value.

    Raises:
        UserError: The file is damaged.
    """
    with open_arrays(path) as (archive, _):
        keys: dict[str, str] = {}
        for group in ("weights/", "ema/"):
            keys |= {k.removeprefix(group): k for k in archive.headers if k.startswith(group)}
        return {name: archive.read(key) for name, key in keys.items()}


def write_variables(
    path: AnyPath, variables: Mapping[str, np.ndarray], facts: Mapping[str, str]
) -> None:
    """Writes variables to a safetensors file.

    Args:
        path: The file.
        variables: Variable path -> value.
        facts: Texts for the file's metadata.
    """
    from safetensors.numpy import save

    arrays = {name: np.asarray(value, order="C") for name, value in variables.items()}
    files.write_bytes(path, save(arrays, {"format": "np", "library": _LIBRARY, **facts}))


def are_variables(names: Collection[str]) -> bool:
    """Whether these names of tensors are paths of variables."""
    return bool(names) and all("/" in name for name in names)


def open_variables(file: StateFile) -> CheckpointReader:
    """Opens a file of `write_variables`.

    Raises:
        UserError: Two of its variables are the same.
    """
    keys = {name_from_keras_path(name): name for name in file.tensors}
    if len(keys) != len(file.tensors):
        raise UserError(f"The file {file.path} has a variable under two names.")
    return CheckpointReader(
        path=file.path,
        kind="safetensors",
        shapes={name: file.tensors[key].shape for name, key in keys.items()},
        keys=keys,
        fetch=functools.partial(_fetch, file),
    )


def _fetch(file: StateFile, keys: Collection[str]) -> list[np.ndarray]:
    return file.read(list(keys))
