"""Writes ONNX files, and runs them with ONNX Runtime."""

from collections.abc import MutableSequence
from typing import Any

import numpy as np

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.exports.artifacts import METADATA_KEY, need
from efficientvision.exports.frozen_graph import freeze
from efficientvision.exports.onnx_graph import drop_unread, join_prelus, mend_resizing
from efficientvision.files import AnyPath
from efficientvision.tasks.portable import PortableNetwork

# Supported by ONNX Runtime 1.12 (2022) and later.
_OPSET = 17
_EXTRA = "onnx"
# Log level of ONNX Runtime: its warnings concern operations that we cannot change.
_ERRORS = 3


def write(function: Any, path: AnyPath, metadata: str, **_: Any) -> None:
    """Writes a concrete function of `images` as an ONNX file.

    Args:
        function: the concrete function, see `portable` and `portable_classifier`.
        path: the file.
        metadata: JSON to store in the file's metadata.
    """
    files.write_bytes(path, to_model(function, metadata).SerializeToString())


def to_model(function: Any, metadata: str) -> Any:
    """Converts the function to an `onnx.ModelProto`."""
    tf2onnx = need("tf2onnx", _EXTRA, "writing ONNX")
    names = sorted(function.structured_outputs)
    model, _ = tf2onnx.convert.from_graph_def(
        freeze(function, names),
        input_names=["images:0"],
        output_names=[f"{name}:0" for name in names],
        opset=_OPSET,
    )
    mend_resizing(model)
    join_prelus(model)
    drop_unread(model)
    _rename(model, {f"{name}:0": name for name in ("images", *names)})
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, metadata
    return model


def load(path: AnyPath, threads: int = 0) -> tuple[PortableNetwork, str | None]:
    """Loads a file for inference.

    Args:
        path: the file.
        threads: maximum number of threads; 0 = runtime default.

    Returns:
        The runner, and the JSON metadata; None for files not written by this library.

    Raises:
        UserError: ONNX Runtime is not installed, or the file is damaged or not an ONNX file.
    """
    session = _session(path, threads)
    names = [output.name for output in session.get_outputs()]
    images = session.get_inputs()[0]
    source = images.name

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, {source: images}), strict=True))

    # Dynamic sizes have a name instead of a number.
    run.input_shape = [  # type: ignore[attr-defined]
        side if isinstance(side, int) else None for side in images.shape
    ]
    return run, session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)


def _session(path: AnyPath, threads: int) -> Any:
    runtime = need("onnxruntime", _EXTRA, f"running {path}")
    runtime.set_default_logger_severity(_ERRORS)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _ERRORS
    try:
        return runtime.InferenceSession(
            files.read_bytes(path), options, providers=runtime.get_available_providers()
        )
    # The runtime's errors have no common base class.
    except Exception as error:
        raise UserError(
            f"{path} is not a valid ONNX file, or it was cut short ({_first_line(error)})"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _rename(model: Any, names: dict[str, str]) -> None:
    """Removes TensorFlow's output numbers from the names of inputs and outputs."""
    graph = model.graph
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for ends in (node.input, node.output):
            _rename_in(ends, names)


def _rename_in(ends: MutableSequence[str], names: dict[str, str]) -> None:
    for index, name in enumerate(ends):
        ends[index] = names.get(name, name)
