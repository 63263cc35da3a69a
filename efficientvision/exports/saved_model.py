"""Writes, replaces and loads SavedModels."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.exports.frozen_graph import freeze, thaw, write_frozen_graph
from efficientvision.exports.graph_safety import check_saved_model
from efficientvision.files import AnyPath
from efficientvision.tasks.metadata import ModelMetadata, check_batch, metadata_from_json
from efficientvision.tasks.serving import Serving, decode_upright

METADATA_FILE = "metadata.json"
# Errors of protobuf and TensorFlow's loader for a damaged SavedModel.
_UNREADABLE = (
    *(DecodeError, OSError, ValueError, TypeError, LookupError, AttributeError, AssertionError),
    *(RuntimeError, NotImplementedError),
)
# Files of an export (ours and the original's): a folder with nothing else may be replaced.
_EXPORTED = {
    "saved_model.pb",
    "keras_metadata.pb",
    "fingerprint.pb",
    "variables",
    "assets",
    "assets.extra",
    METADATA_FILE,
}


def export_saved_model(
    serving: Serving,
    directory: AnyPath,
    metadata: ModelMetadata,
) -> str:
    """Writes a SavedModel with pre- and postprocessing, and a frozen graph beside it.

    Signatures: `serving_default` takes `image_arrays`, uint8 [N, H, W, 3], photos of equal size;
    `serving_base64` takes `image_files`, string [N], encoded photos (file contents, which are
    turned upright by their EXIF orientation). Both return, for a detector, `detections`, float32
    [N, max, 7]: image_id, ymin, xmin, ymax, xmax in pixels of the photo, score, class; for a
    classifier `probabilities`, float32 [N, K]; for a segmenter `class_map`, uint8 [N, H, W], or
    `logits` (see `SegmentationServing`). `<model>_frozen.pb` has the tensors `image_files:0` and
    `image_arrays:0`, either of which may be fed, and the results, for example `detections:0`.
    Batch norms are folded into the convolutions.

    Args:
        serving: see `efficientvision.tasks.choice.build_serving`.
        directory: a folder that is missing, empty or an earlier export; it is replaced.
        metadata: written to `metadata.json`; its `batch_size` sets N; None: dynamic.

    Returns:
        The folder.

    Raises:
        UserError: the folder contains other files.
    """
    batch = metadata.batch_size
    serving, weights = _folded(serving, batch)
    arrays = tf.TensorSpec((batch, None, None, 3), tf.uint8, name="image_arrays")
    encoded = tf.TensorSpec((batch,), tf.string, name="image_files")
    from_arrays = tf.function(
        lambda image_arrays: {serving.result_name: serving.results_from_arrays(image_arrays)},
        input_signature=[arrays],
        autograph=False,
    )
    from_files = tf.function(
        lambda image_files: {serving.result_name: serving.results_from_files(image_files)},
        input_signature=[encoded],
        autograph=False,
    )
    with replaced_directory(directory) as temporary:
        _save(
            temporary,
            weights,
            serving_default=from_arrays.get_concrete_function(),
            serving_base64=from_files.get_concrete_function(),
        )
        (temporary / METADATA_FILE).write_text(metadata.to_json())
        write_frozen_graph(
            freeze(_frozen_function(serving, encoded), [serving.result_name], metadata.to_json()),
            temporary / f"{metadata.model_name}_frozen.pb",
        )
    return files.as_text(directory)


def _frozen_function(serving: Serving, encoded: tf.TensorSpec) -> Any:
    """One chain files -> arrays -> results: the photos of a batch must have equal size."""

    def run(image_files: tf.Tensor) -> tf.Tensor:
        with tf.name_scope("decode"):
            if image_files.shape[0] is not None:
                arrays = tf.stack([decode_upright(data) for data in tf.unstack(image_files)])
            else:
                signature = tf.TensorSpec((None, None, 3), tf.uint8)
                arrays = tf.map_fn(decode_upright, image_files, fn_output_signature=signature)
        inputs = serving.preprocess_arrays(tf.identity(arrays, name="image_arrays"))
        return tf.identity(serving.results(inputs), name=serving.result_name)

    return tf.function(run, [encoded], autograph=False).get_concrete_function()


def export_network(
    serving: Serving,
    directory: AnyPath,
    model_name: str,
    *,
    batch_size: int | None = 1,
) -> tuple[str, str]:
    """Writes the network without pre- and postprocessing.

    Args:
        serving: see `efficientvision.tasks.choice.build_serving`.
        directory: receives `<model>_frozen.pb` and `savedmodel/`; other files are kept.
        model_name: used in the file name.
        batch_size: None: dynamic.

    Returns:
        Paths of the frozen graph and of the SavedModel. The graph's placeholder is `input`,
        float32 [N, h, w, 3], normalised. A detector's outputs, finest level first, are
        `class_net/class-predict/BiasAdd`, `class_net/class-predict_1/BiasAdd`, ... and
        `box_net/box-predict/BiasAdd`, ...; in the SavedModel they are `class_predict_0`, ...,
        `box_predict_0`, ... A classifier's output is `logits` in both; a segmenter's is
        `network_logits` in the graph and `logits` in the SavedModel.
    """
    serving, weights = _folded(serving, batch_size)
    function, names = network_function(serving, batch_size)
    saved_model = files.join(directory, "savedmodel")
    with replaced_directory(saved_model) as temporary:
        _save(temporary, weights, serving_default=function)
    path = files.join(directory, f"{model_name}_frozen.pb")
    return write_frozen_graph(freeze(function, names), path), saved_model


def network_function(serving: Serving, batch_size: int | None) -> tuple[Any, list[str]]:
    """Returns the bare network as a concrete function, and the names of its output operations.

    See `export_network`.
    """
    spec = tf.TensorSpec((batch_size, *serving.image_hw, 3), tf.float32, name="input")
    operations: list[str] = []

    def predict(images: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = serving.network(images)
        results = {}
        names = serving.network_output_names(len(outputs))
        for (operation, key), output in zip(names, outputs, strict=True):
            operations.append(operation)
            results[key] = tf.identity(output, name=operation)
        return results

    function = tf.function(predict, [spec], autograph=False)
    return function.get_concrete_function(), operations


def _folded(serving: Serving, batch_size: int | None) -> tuple[Serving, list[tf.Variable]]:
    """The model with folded batch norms, for `batch_size` images, and its weights."""
    function, names = network_function(serving, batch_size)
    run, weights = thaw(freeze(function, names), ["input:0"], [f"{name}:0" for name in names])
    return serving.with_network(run), weights


def _save(folder: Path, weights: list[tf.Variable], **signatures: Any) -> None:
    module = tf.Module()
    module.weights = weights
    with files.tensorflow_errors(folder):
        tf.saved_model.save(module, str(folder), signatures=signatures)


@contextlib.contextmanager
def replaced_directory(directory: AnyPath) -> Iterator[Path]:
    """Yields a temporary folder that replaces `directory` if the block succeeds.

    Raises:
        UserError: `directory` is a file, or contains files that are not from an export.
    """
    check_replaceable(directory)
    if files.is_remote(directory):
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
            files.remove_folder(directory)
            files.copy_folder(folder, directory)
        return
    target = Path(files.absolute(directory))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
    previous = target.with_name(f".{target.name}.{os.getpid()}.old")
    try:
        temporary.mkdir()
        yield temporary
        if target.exists():
            target.rename(previous)
        temporary.rename(target)
        shutil.rmtree(previous, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(directory: AnyPath) -> None:
    """Checks that a folder is missing, empty, or contains only an earlier export.

    Raises:
        UserError: the path is a file, or the folder contains files that are not from an export.
    """
    if files.is_file(directory):
        raise UserError(f"`saved_model_dir` {directory} is a file: specify a folder")
    strange = [
        name
        for name in files.list_names(directory)
        if name not in _EXPORTED
        and not name.endswith(("_frozen.pb", ".tflite"))
        and not name.startswith("tensorrt_")
    ]
    if strange:
        raise UserError(
            f"the folder {directory} contains {strange[0]!r}, which is not part of a SavedModel: "
            "specify an empty folder, a new one, or an earlier export"
        )


def load_saved_model(
    directory: AnyPath, *, trust: bool = False
) -> tuple[Callable[[np.ndarray], np.ndarray], ModelMetadata | None]:
    """Loads a SavedModel with the signature `serving_default` of `export_saved_model`.

    Args:
        directory: folder of the SavedModel.
        trust: accept a SavedModel that may do more than compute, see `graph_safety`.

    Returns:
        A function from uint8 photos [N, H, W, 3] to one result per photo, and the metadata; None
        for SavedModels not written by this library.

    Raises:
        UserError: the folder is not a SavedModel, or it is truncated, of another kind or
            potentially harmful.
    """
    directory = files.as_text(directory)
    graph = files.join(directory, "saved_model.pb")
    if not files.is_file(graph):
        raise UserError(f"{directory} contains no SavedModel (saved_model.pb is missing)")
    try:
        if not trust:
            check_saved_model(SavedModel.FromString(files.read_bytes(graph)), directory)
        loaded = tf.saved_model.load(directory)
    except UserError:
        raise
    except (*_UNREADABLE, tf.errors.OpError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(
            f"the SavedModel {directory} cannot be loaded, it may have been cut short "
            f"({reason}): export it again"
        ) from error
    signature = getattr(loaded, "signatures", {}).get("serving_default")
    inputs = signature.structured_input_signature[1] if signature is not None else {}
    outputs = signature.structured_outputs if signature is not None else {}
    if (
        signature is None
        or len(inputs) != 1
        or next(iter(inputs.values())).dtype != tf.uint8
        or len(outputs) != 1
    ):
        raise UserError(
            f"the SavedModel {directory} is not from this library: its serving_default must "
            "take one uint8 batch of photos and return one tensor; export it with "
            "`runmode=saved_model`"
        )
    (input_name,), (output_name,) = inputs, outputs
    path = files.join(directory, METADATA_FILE)
    text = files.read_text(path) if files.is_file(path) else None
    metadata = None if text is None else metadata_from_json(text, path)
    shape = inputs[input_name].shape
    check_batch(metadata, shape[0] if shape.rank else None, path)

    def run(image_arrays: np.ndarray) -> np.ndarray:
        outputs = signature(**{input_name: tf.constant(image_arrays)})
        return outputs[output_name].numpy()

    # Foreign signatures read the module's variables through weak references.
    run.module = loaded  # type: ignore[attr-defined]
    return run, metadata
