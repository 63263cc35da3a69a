"""Any exported model as one function, with what it says about itself."""

from typing import Any

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.exports.artifacts import is_artifact, module_of
from efficientvision.exports.frozen_graph import graph_function, read_frozen_graph, read_metadata
from efficientvision.exports.saved_model import load_saved_model
from efficientvision.files import AnyPath
from efficientvision.registry import DEFAULT_TASK
from efficientvision.tasks.choice import find_task
from efficientvision.tasks.metadata import (
    ModelMetadata,
    check_batch,
    check_portable,
    metadata_from_json,
)
from efficientvision.tasks.portable import RunPhotos


def is_export(path: AnyPath) -> bool:
    """Whether a path is an exported model by its name: a SavedModel folder, or a file."""
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
        threads: of ONNX Runtime, OpenVINO or LiteRT; 0 = runtime default.
        trust: take a TensorFlow graph that may do more than compute, see `graph_safety`.

    Returns:
        (run, metadata): `run` takes photos of one size, uint8 [N, H, W, 3], and returns the
        results, one for each: of a detector float32 [N, max, 7], of a classifier float32 [N, K],
        of a segmenter uint8 [N, H, W] or float32 [N, h, w, C], see the task's `serving`; metadata
        is None for a model of other makers.

    Raises:
        UserError: no such model, its runtime is not installed, or it is damaged or may do harm.
    """
    path = files.as_text(path)
    if is_artifact(path):
        return _load_portable(path, threads)
    if path.lower().endswith(".pb"):
        return _load_frozen_graph(path, trust)
    return load_saved_model(path, trust=trust)


def _load_portable(path: str, threads: int) -> tuple[RunPhotos, ModelMetadata]:
    """Loads an ONNX, OpenVINO or LiteRT file, or a Core ML package, of ours."""
    if not files.exists(path):
        raise UserError(f"there is no exported model {path}")
    network, text = module_of(path).load(path, threads)
    if text is None:
        raise UserError(
            f"{path} does not say how its images are to be prepared (no metadata of ours): export "
            "it with model_inspect.py --runmode=export"
        )
    metadata = metadata_from_json(text, path)
    check_portable(metadata, getattr(network, "input_shape", None), path)
    task = find_task(metadata.task, metadata.model_name)
    return task.runner(network, metadata), metadata


def result_name(metadata: ModelMetadata | None) -> str:
    """What the results are called in a TensorFlow graph; None: of a model of other makers."""
    return (metadata or find_task(DEFAULT_TASK, "").metadata_class).result_name


def _load_frozen_graph(path: str, trust: bool) -> tuple[RunPhotos, ModelMetadata | None]:
    graph = read_frozen_graph(path, trust=trust)
    text = read_metadata(graph)
    metadata = None if text is None else metadata_from_json(text, path)
    function = graph_function(graph, ["image_arrays:0"], [f"{result_name(metadata)}:0"])
    check_batch(metadata, _batch_of(graph), path)
    return lambda image_arrays: function(image_arrays)[0].numpy(), metadata


def _batch_of(graph: Any) -> int | None:
    """How many photos a frozen graph takes at a time, None: any number."""
    nodes = {node.name: node for node in graph.node}
    images = nodes["image_arrays"]
    for _ in nodes:  # The photos bear their name behind the graph's own input.
        if not images.input:
            break
        images = nodes.get(images.input[0].split(":")[0], images)
    sides = images.attr["shape"].shape.dim
    return sides[0].size if sides and sides[0].size > 0 else None


def check_not_baked(path: AnyPath, changes: dict[str, object]) -> None:
    """Refuses settings that are part of an exported model.

    Args:
        path: of the model, for the error.
        changes: name -> what was asked for; None, "" or empty: nothing.

    Raises:
        UserError: something was asked for.
    """
    baked = [name for name, value in changes.items() if value not in (None, "", {})]
    if baked:
        raise UserError(
            f"{files.as_text(path)} is an exported model, {', '.join(baked)} cannot be changed any "
            "more: export it again, or name the checkpoint"
        )
