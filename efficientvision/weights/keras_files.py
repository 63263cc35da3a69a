"""Reads Keras weight files: `.h5` of Keras 2, `.weights.h5` and `.keras` of Keras 3."""

from __future__ import annotations

import mmap
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.weights.checkpoint_reader import CheckpointReader
from efficientvision.weights.hdf5_texts import TextReader
from efficientvision.weights.names import name_from_keras_path
from efficientvision.weights.strangers import (
    HDF5_MAGIC,
    Refused,
    largest_content,
    no_weights,
    refusals_name,
)

_WEIGHTS_IN_ARCHIVE = "model.weights.h5"
# Attributes in which the root of a Keras 2 file lists its layers; several for over 64 kB.
_LAYER_NAMES = ("layer_names", "layer_names0")
# Keras 3 numbers the variables of a layer; their names depend on the kind of layer.
_BATCH_NORMALIZATION = ("gamma", "beta", "moving_mean", "moving_variance")
_SEPARABLE_CONVOLUTION = ("depthwise_kernel", "pointwise_kernel", "bias")
_CONVOLUTION = ("kernel", "bias")
_NOT_A_LAYER = ("optimizer", "seed_generator")
_PIECE = 1 << 20
_HEAD_BYTES = 512


# Exceptions that h5py, zipfile and zlib raise on damage; a RecursionError is a RuntimeError.
_DAMAGE = (
    *(OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError, IndexError),
    *(OverflowError, NotImplementedError, EOFError, MemoryError, SystemError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)


def open_h5(path: str) -> CheckpointReader:
    """Opens an HDF5 file of Keras 2 or 3.

    Raises:
        UserError: The file is damaged, cut short, holds no Keras weights, or holds something that
            does not belong in a weight file.
    """

    @contextmanager
    def opened() -> Iterator[tuple[Any, BinaryIO]]:
        with (
            files.local_copy(path) as local,
            open(local, "rb") as content,
            _checked(content, local) as file,
        ):
            yield file, content

    return _open(path, opened)


def open_keras_archive(path: str) -> CheckpointReader:
    """Opens the weights in a `.keras` file; its architecture is not read.

    Raises:
        UserError: The file is damaged, cut short, not a Keras archive, or holds something that
            does not belong in a weight file.
    """

    @contextmanager
    def opened() -> Iterator[tuple[Any, BinaryIO]]:
        with files.reading(path) as file, tempfile.TemporaryFile() as content:
            _unpack(file, content, files.size(path))
            with _checked(content) as weights:
                yield weights, content

    return _open(path, opened)


@contextmanager
def _checked(content: BinaryIO, path: str | None = None) -> Iterator[Any]:
    """Opens an HDF5 file.

    Args:
        content: The file, open.
        path: Its path, if it has one: the HDF5 library opens files faster itself.
    """
    import h5py

    with h5py.File(path or content, "r") as file:
        layout = file.id.get_create_plist()
        if layout.get_sizes() != (8, 8) or layout.get_userblock():
            raise Refused("has a header unlike that of any weight file")
        yield file


def _unpack(file: BinaryIO, target: BinaryIO, file_bytes: int) -> None:
    """Extracts the weights from an archive."""
    with zipfile.ZipFile(file) as archive:
        member = archive.getinfo(_WEIGHTS_IN_ARCHIVE)
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Refused("is compressed in a way that Keras does not use: save it again")
        if member.file_size > largest_content(file_bytes):
            raise Refused(
                f"has {file_bytes:,} bytes and unpacks to {member.file_size:,}, which no weights do"
            )
        with archive.open(member) as packed:
            shutil.copyfileobj(packed, target, _PIECE)
    target.flush()


@contextmanager
def _damage_is_told(path: str) -> Iterator[None]:
    """Turns any exception that a damaged file causes into a one-sentence `UserError`."""
    try:
        with refusals_name(path):
            yield
    except UserError:
        raise
    except _DAMAGE as error:
        reason = _what_else(path)
        raise UserError(
            f"The file {path} is damaged, cut short or not a Keras weight file"
            + (f": it {reason}." if reason else ".")
        ) from error


def _what_else(path: str) -> str | None:
    """Recognises what an unreadable file is, and says what to do; None if unknown."""
    try:
        with files.reading(path) as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None
    is_archive = path.lower().endswith(".keras")
    if head.startswith(HDF5_MAGIC) and is_archive:
        return "is an HDF5 file, not a Keras archive: rename it to .h5 (from Keras 3: .weights.h5)"
    if head.startswith(b"PK\x03\x04") and not is_archive:
        return "is a zip archive, not an HDF5 file: rename it to .keras if Keras 3 wrote it"
    return no_weights(head)


def _open(path: str, opened: Callable) -> CheckpointReader:
    from efficientvision.weights import hdf5_objects as hdf5

    with _damage_is_told(path), opened() as (file, content):
        root = hdf5.child(file, "model_weights") or file
        legacy = any(name in root.attrs for name in _LAYER_NAMES)
        datasets = _legacy_datasets(root) if legacy else _keras3_datasets(root, content)
        shapes = {name: hdf5.checked_shape(dataset) for name, dataset in datasets.items()}
        keys = {name: dataset.name for name, dataset in datasets.items()}
        claimed, size = sum(map(hdf5.content_bytes, datasets.values())), files.size(path)
        if claimed > largest_content(size):
            raise Refused(f"claims to hold {claimed:,} bytes of weights, and has {size:,}")

    def fetch(wanted: Sequence[str]) -> list[np.ndarray]:
        with _damage_is_told(path), opened() as (file, _):
            return [hdf5.values(hdf5.at_path(file, key)) for key in wanted]

    return CheckpointReader(
        path=path, kind="h5" if legacy else "keras", shapes=shapes, keys=keys, fetch=fetch
    )


def _legacy_datasets(root: Any) -> dict[str, Any]:
    """Variable name -> dataset of a Keras 2 file, where the name is the path within the layer."""
    import h5py

    from efficientvision.weights import hdf5_objects as hdf5

    datasets = {}
    walk = hdf5.Walk()

    def visit(group: Any, scopes: tuple[str, ...]) -> None:
        walk.enter(group, len(scopes))
        for key in hdf5.names(group):
            child = hdf5.child(group, key)
            if isinstance(child, h5py.Group):
                visit(child, (*scopes, key))
            else:
                name = "/".join((*scopes, key)).removesuffix(":0")
                datasets[name_from_keras_path(name)] = child

    for layer in hdf5.names(root):
        visit(hdf5.child(root, layer), ())
    return datasets


def _keras3_datasets(root: Any, content: BinaryIO) -> dict[str, Any]:
    """Variable path -> dataset of a Keras 3 file.

    Groups are nested by attribute; each layer's `vars` group has the layer's name as an
    attribute and numbers the variables in order of creation.
    """
    import h5py

    from efficientvision.weights import hdf5_objects as hdf5

    datasets: dict[str, Any] = {}
    walk = hdf5.Walk()

    def visit(group: Any, scopes: tuple[str, ...]) -> None:
        walk.enter(group, len(scopes))
        variables = hdf5.child(group, "vars")
        layer = None if variables is None else texts.text(hdf5.address(variables), "name")
        if layer is not None:
            scopes = (*scopes, layer)
            own = [hdf5.at_path(variables, str(i)) for i in range(len(variables))]
            for leaf, dataset in zip(_leaves(layer, own), own, strict=True):
                datasets[name_from_keras_path("/".join((*scopes, leaf)))] = dataset
        for key in hdf5.names(group):
            if key == "vars" or key.startswith(_NOT_A_LAYER):
                continue
            if isinstance(child := hdf5.child(group, key), h5py.Group):
                visit(child, scopes)

    with mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        texts = TextReader(mapped)
        visit(root, ())
    return datasets


def _leaves(layer: str, datasets: list[Any]) -> Sequence[str]:
    """Names of the variables of a layer."""
    shapes = [dataset.shape for dataset in datasets]
    if not shapes:
        return ()
    if all(shape == shapes[0] for shape in shapes) and layer.startswith("fnode"):
        return ["WSM" + (f"_{i}" if i else "") for i in range(len(shapes))]
    if len(shapes) == 4 and all(len(shape) == 1 for shape in shapes):
        return _BATCH_NORMALIZATION
    if len(shapes) >= 2 and len(shapes[1]) == 4:
        return _SEPARABLE_CONVOLUTION[: len(shapes)]
    if len(shapes) <= 2:
        return _CONVOLUTION[: len(shapes)]
    return [str(i) for i in range(len(shapes))]
