"""Reads name-based (TF1) and object-based (TF2) TensorFlow checkpoints; writes name-based ones."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence

import numpy as np

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.files import AnyPath
from efficientvision.weights.checkpoint_reader import CheckpointReader
from efficientvision.weights.names import EMA_SUFFIX, is_weight_name

_OBJECT_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"


def open_tensorflow(prefix: str) -> CheckpointReader:
    """Opens a TensorFlow checkpoint.

    Args:
        prefix: Path without `.index` and `.data-...`.

    Raises:
        UserError: A file is missing, cut short or unreadable.
    """
    import tensorflow as tf

    # A data file that is cut short raises IndexError; damage raises DataLossError (an OpError).
    unreadable = (tf.errors.OpError, ValueError, RuntimeError, IndexError)
    _check_shards(prefix)
    try:
        bundle = tf.compat.v1.train.NewCheckpointReader(prefix)
        shapes = {key: tuple(s) for key, s in bundle.get_variable_to_shape_map().items()}
    except unreadable as error:
        raise UserError(
            f"The file {prefix}.index is damaged or cut short: fetch it again."
        ) from error

    def fetch(keys: Sequence[str]) -> list[np.ndarray]:
        try:
            return [bundle.get_tensor(key) for key in keys]
        except unreadable as error:
            raise UserError(
                f"The checkpoint {prefix} is damaged or cut short: its .data file cannot be read "
                "to the end. Fetch it again."
            ) from error

    if _OBJECT_GRAPH_KEY in shapes:
        return _object_based(prefix, shapes, fetch)
    return _name_based(prefix, shapes, fetch)


def _check_shards(prefix: str) -> None:
    """Raises UserError if one of the data files is missing."""
    name = files.base_name(prefix)
    shard = re.compile(re.escape(name) + r"\.data-(\d+)-of-(\d+)$")
    listed = files.list_names(files.parent(prefix) or ".")
    found = [m for m in map(shard.match, listed) if m]
    if not found:
        raise UserError(
            f"The checkpoint {prefix} is incomplete: its data file "
            f"{name}.data-00000-of-00001 is missing from the folder of {name}.index."
        )
    total = int(found[0].group(2))
    missing = set(range(total)) - {int(m.group(1)) for m in found}
    if missing:
        raise UserError(
            f"The checkpoint {prefix} is incomplete: its data file "
            f"{name}.data-{min(missing):05d}-of-{total:05d} is missing."
        )


def _name_based(prefix: str, shapes: dict[str, tuple[int, ...]], fetch) -> CheckpointReader:
    keys, ema_keys, auxiliary = {}, {}, []
    for key in shapes:
        name = key.removesuffix(EMA_SUFFIX)
        if not is_weight_name(name):
            auxiliary.append(key)
        elif name == key:
            keys[name] = key
        else:
            ema_keys[name] = key
    names = {**ema_keys, **keys}
    return CheckpointReader(
        path=prefix,
        kind="tf1",
        shapes={name: shapes[key] for name, key in names.items()},
        keys=keys,
        ema_keys=ema_keys,
        auxiliary=tuple(auxiliary),
        fetch=fetch,
    )


def _object_based(prefix: str, shapes: dict[str, tuple[int, ...]], fetch) -> CheckpointReader:
    from efficientvision.weights.object_graph import variable_keys

    serialized = fetch([_OBJECT_GRAPH_KEY])[0]
    keys, ema_keys = variable_keys(serialized, shapes, prefix)
    known = {_OBJECT_GRAPH_KEY, *keys.values(), *ema_keys.values()}
    return CheckpointReader(
        path=prefix,
        kind="tf2",
        shapes={name: shapes[key] for name, key in {**ema_keys, **keys}.items()},
        keys=keys,
        ema_keys=ema_keys,
        auxiliary=tuple(key for key in shapes if key not in known),
        fetch=fetch,
    )


def write_tf1_checkpoint(path: AnyPath, arrays: Mapping[str, np.ndarray]) -> str:
    """Writes a name-based TensorFlow checkpoint, completely or not at all.

    Args:
        path: Prefix of the two files, `<path>.index` and `<path>.data-00000-of-00001`. The text
            file `checkpoint` in the same folder then names it as the newest.
        arrays: Variable name -> value, for example
            `{name: variable.numpy() for name, variable in published_variables(model).items()}`.

    Returns:
        The prefix.
    """
    import tensorflow as tf

    target = files.as_text(path)
    folder, name = files.parent(target), files.base_name(target)
    with tempfile.TemporaryDirectory() as staged:
        tf.raw_ops.SaveV2(
            prefix=os.path.join(staged, name),
            tensor_names=list(arrays),
            shape_and_slices=[""] * len(arrays),
            tensors=[tf.convert_to_tensor(np.asarray(value)) for value in arrays.values()],
        )
        # The index is written last: without it there is no checkpoint.
        for written in sorted(os.listdir(staged), key=lambda name: name.endswith(".index")):
            with (
                files.reading(os.path.join(staged, written)) as source,
                files.writing(files.join(folder, written)) as file,
            ):
                shutil.copyfileobj(source, file)
    files.write_text(
        files.join(folder, "checkpoint"),
        f'model_checkpoint_path: "{name}"\nall_model_checkpoint_paths: "{name}"\n',
    )
    return target
