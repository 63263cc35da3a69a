"""LiteRT (TensorFlow Lite) files in float32, float16, int8 or mixed precision."""

import os
import struct
from collections.abc import Iterable
from typing import Any

import numpy as np

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.exports.artifacts import METADATA_KEY, need
from efficientvision.files import AnyPath
from efficientvision.tasks.portable import PortableNetwork

_IDENTIFIER = b"TFL3"
_EXTRA = "litert"


def write(
    function: Any,
    path: AnyPath,
    metadata: str,
    *,
    precision: str = "float32",
    calibration: Iterable[np.ndarray] = (),
) -> None:
    """Writes a concrete function of `images` as a LiteRT file.

    Args:
        function: the concrete function, see `portable` and `portable_classifier`.
        path: the file.
        metadata: JSON to store in the file's metadata.
        precision: "float32"; "float16": half the size, computed in float32 on a CPU; "int8":
            weights and activations are quantized with ranges measured on `calibration`, inputs and
            outputs stay float32; "mixed": like int8, but with equalized channels and the first
            operations in float32, see `litert_mixed.quantized`.
        calibration: for "int8" and "mixed": images in the function's input format.
    """
    import tensorflow as tf

    from efficientvision.exports import litert_mixed

    names = sorted(function.structured_outputs)
    if precision == "mixed":
        content = litert_mixed.quantized(function, list(calibration))
    else:
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
        if precision == "float16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        elif precision == "int8":
            litert_mixed.take_ranges(converter, calibration)
        content = converter.convert()
    files.write_bytes(path, _with_metadata(content, metadata, names))


def load(path: AnyPath, threads: int = 0) -> tuple[PortableNetwork, str | None]:
    """Loads a file for inference on the CPU.

    Args:
        path: the file.
        threads: maximum number of threads; 0: one per CPU core.

    Returns:
        The runner, and the JSON metadata; None for files not written by this library.

    Raises:
        UserError: LiteRT is not installed, or the file is damaged or not a LiteRT file.
    """
    litert = need("ai_edge_litert.interpreter", _EXTRA, f"running {path}")
    content = _content(path)
    try:
        metadata = _metadata(content)
        interpreter = litert.Interpreter(
            model_content=content, num_threads=threads or os.cpu_count() or 1
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError, TypeError, struct.error) as error:
        raise UserError(
            f"{path} is not a valid LiteRT file, or it was cut short ({error})"
        ) from error
    images = interpreter.get_input_details()[0]
    source = images["index"]
    targets = {d["name"]: d["index"] for d in interpreter.get_output_details()}

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        interpreter.set_tensor(source, images)
        interpreter.invoke()
        return {name: interpreter.get_tensor(index) for name, index in targets.items()}

    run.input_shape = images["shape"].tolist()  # type: ignore[attr-defined]
    return run, metadata


def _content(path: AnyPath) -> bytes:
    """Reads a file and checks LiteRT's identifier."""
    content = files.read_bytes(path)
    if content[4:8] != _IDENTIFIER:
        raise UserError(f"{path} is not a LiteRT file")
    return content


def _with_metadata(content: bytes, metadata: str, names: list[str]) -> bytes:
    """Adds the metadata, names the tensors, and adds a signature with these names."""
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    graph = model.subgraphs[0]
    for tensor in graph.tensors:
        # Fused operations have all their names joined: a quarter of a small file.
        tensor.name = tensor.name.split(b";")[0]
    graph.tensors[graph.inputs[0]].name = b"images"
    for index, name in zip(graph.outputs, names, strict=True):
        graph.tensors[index].name = name.encode()
    model.signatureDefs = [_signature(graph, names)]
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(metadata.encode(), np.uint8)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = METADATA_KEY.encode(), len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(len(content) + len(metadata))
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _signature(graph: Any, names: list[str]) -> Any:
    """The signature by which `runSignature` of the runtimes maps names to tensors."""
    from tensorflow.lite.python import schema_py_generated as schema

    def named(name: str, index: int) -> Any:
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name.encode(), index
        return entry

    signature = schema.SignatureDefT()
    signature.signatureKey = b"serving_default"
    signature.inputs = [named("images", graph.inputs[0])]
    signature.outputs = [named(*pair) for pair in zip(names, graph.outputs, strict=True)]
    signature.subgraphIndex = 0
    return signature


def _metadata(content: bytes) -> str | None:
    schema = need("ai_edge_litert.schema_py_generated", _EXTRA, "reading LiteRT files")
    model = schema.Model.GetRootAsModel(content, 0)
    for entry in map(model.Metadata, range(model.MetadataLength())):
        if entry.Name() == METADATA_KEY.encode():
            return model.Buffers(entry.Buffer()).DataAsNumpy().tobytes().decode()
    return None
