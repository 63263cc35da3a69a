"""Keras weight files: `.h5` of Keras 2, `.weights.h5` and `.keras` of Keras 3."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.weights.checkpoint_reader import CheckpointReader
from efficientvision.weights.names import name_from_keras_path

_WEIGHTS_IN_ARCHIVE = "model.weights.h5"
# Keras 3 numbers a layer's variables; these are their names by the kind of layer.
_BATCH_NORMALIZATION = ("gamma", "beta", "moving_mean", "moving_variance")
_SEPARABLE_CONVOLUTION = ("depthwise_kernel", "pointwise_kernel", "bias")
_CONVOLUTION = ("kernel", "bias")
_NOT_A_LAYER = ("optimizer", "seed_generator")


def open_h5(path: str) -> CheckpointReader:
    """Opens an HDF5 file of either Keras.

    Raises:
        UserError: The file is damaged, cut short or holds no Keras weights.
    """

    @contextmanager
    def opened() -> Iterator[Any]:
        import h5py

        try:
            with files.local_copy(path) as local, h5py.File(local, "r") as file:
                yield file
        except OSError as error:
            raise UserError(_damaged(path)) from error

    return _open(path, opened)


def open_keras_archive(path: str) -> CheckpointReader:
    """Opens a `.keras` file: its weights, not its network.

    Raises:
        UserError: The file is damaged, cut short or not a Keras archive.
    """

    @contextmanager
    def opened() -> Iterator[Any]:
        import h5py

        try:
            with files.reading(path) as file, zipfile.ZipFile(file) as archive:
                content = io.BytesIO(archive.read(_WEIGHTS_IN_ARCHIVE))
            with h5py.File(content, "r") as file:
                yield file
        except (zipfile.BadZipFile, KeyError, OSError) as error:
            raise UserError(_damaged(path)) from error

    return _open(path, opened)


def _damaged(path: str) -> str:
    return f"The file {path} is damaged, cut short or not a Keras weight file."


def _open(path: str, opened: Callable) -> CheckpointReader:
    with opened() as file:
        root = file["model_weights"] if "model_weights" in file else file
        legacy = "layer_names" in root.attrs
        keys = _legacy_keys(root) if legacy else _keras3_keys(root)
        shapes = {name: tuple(file[key].shape) for name, key in keys.items()}

    def fetch(wanted: Sequence[str]) -> list[np.ndarray]:
        with opened() as file:
            return [np.asarray(file[key]) for key in wanted]

    return CheckpointReader(
        path=path, kind="h5" if legacy else "keras", shapes=shapes, keys=keys, fetch=fetch
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _legacy_keys(root: Any) -> dict[str, str]:
    """Variable name -> dataset of a Keras 2 file: every group lists the names of its weights."""
    keys = {}
    for group in root.values():
        for name in group.attrs.get("weight_names", ()):
            keys[_text(name).removesuffix(":0")] = f"{group.name}/{_text(name)}"
    return keys


def _keras3_keys(root: Any) -> dict[str, str]:
    """Variable path -> dataset of a Keras 3 file.

    Groups are nested by attribute; each layer's `vars` group carries the layer's name, and
    numbers its variables in the order that the layer made them.
    """
    keys = {}

    def visit(group: Any, scopes: tuple[str, ...]) -> None:
        variables = group.get("vars")
        if variables is not None and "name" in variables.attrs:
            scopes = (*scopes, _text(variables.attrs["name"]))
            datasets = [variables[str(i)] for i in range(len(variables))]
            for leaf, dataset in zip(_leaves(scopes[-1], datasets), datasets, strict=True):
                keys[name_from_keras_path("/".join((*scopes, leaf)))] = dataset.name
        for key, child in group.items():
            if key != "vars" and hasattr(child, "items") and not key.startswith(_NOT_A_LAYER):
                visit(child, scopes)

    visit(root, ())
    return keys


def _leaves(layer: str, datasets: list[Any]) -> Sequence[str]:
    """Names of a layer's variables."""
    shapes = [dataset.shape for dataset in datasets]
    if all(shape == shapes[0] for shape in shapes) and layer.startswith("fnode"):
        return ["WSM" + (f"_{i}" if i else "") for i in range(len(shapes))]
    if len(shapes) == 4 and all(len(shape) == 1 for shape in shapes):
        return _BATCH_NORMALIZATION
    if len(shapes) >= 2 and len(shapes[1]) == 4:
        return _SEPARABLE_CONVOLUTION[: len(shapes)]
    if len(shapes) <= 2:
        return _CONVOLUTION[: len(shapes)]
    return [str(i) for i in range(len(shapes))]
