"""Loads an exported model of any format as one function, with its metadata."""

from collections.abc import Callable
from typing import Any

import numpy as np

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.exports.artifacts import is_artifact
from efficientvision.exports.frozen_graph import graph_function, read_frozen_graph, read_metadata
from efficientvision.exports.metadata import (
    DetectorMetadata,
    ModelMetadata,
    check_batch,
    metadata_from_json,
)
from efficientvision.exports.portable_runner import load_portable
from efficientvision.exports.saved_model import load_saved_model
from efficientvision.files import AnyPath


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
) -> tuple[Callable[[np.ndarray], np.ndarray], ModelMetadata | None]:
    """Loads an exported model of any format.

    Args:
        path: a SavedModel folder, `<model>_frozen.pb`, or an ONNX, OpenVINO or LiteRT file.
        threads: threads of ONNX Runtime, OpenVINO or LiteRT; 0 = runtime default.
        trust: accept a TensorFlow graph that may do more than compute, see `graph_safety`.

    Returns:
        (run, metadata): `run` takes photos of equal size, uint8 [N, H, W, 3], and returns one
        result per photo; metadata is None for models not written by this library.

    Raises:
        UserError: the model is missing, damaged or may be harmful, or its runtime is not installed.
    """
    path = files.as_text(path)
    if is_artifact(path):
        return load_portable(path, threads)
    if path.lower().endswith(".pb"):
        return _load_frozen_graph(path, trust)
    return load_saved_model(path, trust=trust)


def _load_frozen_graph(
    path: str, trust: bool
) -> tuple[Callable[[np.ndarray], np.ndarray], ModelMetadata | None]:
    graph = read_frozen_graph(path, trust=trust)
    text = read_metadata(graph)
    metadata = None if text is None else metadata_from_json(text, path)
    result_name = (metadata or DetectorMetadata).result_name
    function = graph_function(graph, ["image_arrays:0"], [f"{result_name}:0"])
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
