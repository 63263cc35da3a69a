"""Checkpoints as the published ones are: TF1 format, keyed by name."""

import os
from pathlib import Path

import keras
import tensorflow as tf

from efficientvision.weights.names import name_from_keras_path


def write_tf1_checkpoint(model: keras.Model, prefix: str | os.PathLike[str]) -> Path:
    """Writes a model's weights under the published variable names.

    Args:
        model: the network; its weights are written as they are (loaded averages are thus applied).
        prefix: writes `<prefix>.index`, `<prefix>.data-00000-of-00001`, and the text file
            `checkpoint` beside them, which names the prefix as the newest.

    Returns:
        The prefix.
    """
    target = Path(os.path.abspath(prefix))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    names = [name_from_keras_path(variable.path) for variable in model.weights]
    values = [tf.convert_to_tensor(variable.value) for variable in model.weights]
    try:
        tf.raw_ops.SaveV2(
            prefix=str(temporary),
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=values,
        )
        for suffix in (".data-00000-of-00001", ".index"):
            Path(f"{temporary}{suffix}").replace(f"{target}{suffix}")
    finally:
        for leftover in target.parent.glob(f"{temporary.name}*"):
            leftover.unlink()
    state = f'model_checkpoint_path: "{target.name}"\nall_model_checkpoint_paths: "{target.name}"\n'
    (target.parent / "checkpoint").write_text(state)
    return target
