"""Loads an exported model of any format as one function, with its metadata."""

from typing import Any

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.exports.artifacts import is_artifact, module_of
from efficientvision.exports.frozen_graph import graph_function, read_frozen_graph, read_metadata
from efficientvision.exports.saved_model import load_saved_model
from efficientvision.files import AnyPath
from efficientvision.tasks.choice import task_of_export
from efficientvision.tasks.metadata import (
    ModelMetadata,
    check_batch,
    check_portable,
    metadata_from_json,
)
from efficientvision.tasks.portable import RunPhotos


def is_export(path: AnyPath) -> bool:
    """Whether a path looks like an exported model: a file by its suffix, or a SavedModel folder."""
    path = files.as_text(path)
    return (
        is_artifact(path)
        or path.lower().endswith(".pb")
        or files.is_file(files.join(path, "saved_model.pb"))
    )


def load_export(
    path: AnyPath, threads: int = 0, *, trust: bool = False
) -> tuple[RunPhotos, ModelMetadata | None]:
    """Loads an exported model of any format.

    Args:
        path: a SavedModel folder, `<model>_frozen.pb`, or an ONNX, OpenVINO or LiteRT file.
        threads: threads of ONNX Runtime, OpenVINO or LiteRT; 0 = runtime default.
        trust: accept a TensorFlow graph that may do more than compute, see `graph_safety`.

    Returns:
        (run, metadata): `run` takes photos of equal size, uint8 [N, H, W, 3], and returns one
        result per photo: for a detector float32 [N, max, 7], for a classifier float32 [N, K], for
        a segmenter uint8 [N, H, W] or float32 [N, h, w, C], see the task's `serving`; metadata is
        None for models not written by this library.

    Raises:
        UserError: the model is missing, damaged or may be harmful, or its runtime is not installed.
    """
    path = files.as_text(path)
    if is_artifact(path):
        return _load_portable(path, threads)
    if path.lower().endswith(".pb"):
        return _load_frozen_graph(path, trust)
    return load_saved_model(path, trust=trust)


def _load_portable(path: str, threads: int) -> tuple[RunPhotos, ModelMetadata]:
    """Loads an ONNX, OpenVINO or LiteRT file, or a Core ML package, written by this library."""
    if not files.exists(path):
        raise UserError(f"there is no exported model {path}")
    network, text = module_of(path).load(path, threads)
    if text is None:
        raise UserError(
            f"{path} has no metadata of this library, so the preprocessing of its images is "
            "unknown: export it with model_inspect.py (`runmode=export`)"
        )
    metadata = metadata_from_json(text, path)
    check_portable(metadata, getattr(network, "input_shape", None), path)
    return task_of_export(metadata).runner(network, metadata), metadata


def result_name(metadata: ModelMetadata | None) -> str:
    """Name of the results in a TensorFlow graph; `metadata` is None for foreign models."""
    return (metadata or task_of_export(None).metadata_class).result_name


def _load_frozen_graph(path: str, trust: bool) -> tuple[RunPhotos, ModelMetadata | None]:
    graph = read_frozen_graph(path, trust=trust)
    text = read_metadata(graph)
    metadata = None if text is None else metadata_from_json(text, path)
    function = graph_function(graph, ["image_arrays:0"], [f"{result_name(metadata)}:0"])
    check_batch(metadata, _batch_of(graph), path)
    return lambda image_arrays: function(image_arrays)[0].numpy(), metadata


def _batch_of(graph: Any) -> int | None:
    """The batch size of a frozen graph; None: any."""
    nodes = {node.name: node for node in graph.node}
    images = nodes["image_arrays"]
    for _ in nodes:  # The named tensor comes after the graph's placeholder.
        if not images.input:
            break
        images = nodes.get(images.input[0].split(":")[0], images)
    sides = images.attr["shape"].shape.dim
    return sides[0].size if sides and sides[0].size > 0 else None


def check_not_baked(path: AnyPath, changes: dict[str, object]) -> None:
    """Rejects changes of settings that are built into an exported model.

    Args:
        path: path of the model, for the error.
        changes: name -> requested value; None, "" or {}: not requested.

    Raises:
        UserError: a change was requested.
    """
    baked = [name for name, value in changes.items() if value not in (None, "", {})]
    if baked:
        raise UserError(
            f"{files.as_text(path)} is an exported model, so {', '.join(baked)} cannot be changed: "
            "export it again, or use the checkpoint"
        )
