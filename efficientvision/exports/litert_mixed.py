"""Mixed-precision LiteRT files: the first operations in float32, the rest in int8."""

import collections
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.python.convert import mlir_quantize

from efficientvision.exports.equalization import equalize
from efficientvision.exports.frozen_graph import freeze, graph_function

# Number of images for channel ranges, which need fewer than the ranges of whole feature maps.
_EQUALIZED_BY = 8
# Share of the operations that stay in float32.
IN_FLOAT = 0.3


def take_ranges(converter: Any, images: Iterable[np.ndarray]) -> None:
    """Configures a converter for int8 quantization; inputs and outputs stay float32.

    Args:
        converter: a `tf.lite.TFLiteConverter`.
        images: calibration images in the function's input format.
    """
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([batch] for batch in images)
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
        tf.lite.OpsSet.TFLITE_BUILTINS,
    ]


def quantized(function: Any, images: Sequence[np.ndarray], in_float: float = IN_FLOAT) -> bytes:
    """Converts a concrete function of `images`; inputs and outputs stay float32.

    Channel ranges are equalized first, see `equalization.equalize`.

    Args:
        function: the concrete function.
        images: calibration images in the function's input format.
        in_float: share of the operations, from the first, that stay in float32, because their
            rounding errors propagate through the whole network.

    Returns:
        The content of a LiteRT file.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions([_equalized(function, images)])
    take_ranges(converter, images)
    # Like tf.lite.experimental.QuantizationDebugger, but without its second, larger network.
    converter._experimental_calibrate_only = True
    calibrated = converter.convert()
    return mlir_quantize(calibrated, denylisted_nodes=_first_operations(calibrated, in_float))


def _first_operations(content: bytes, share: float) -> list[str]:
    """Names of the results of the first operations, a given share of all.

    Operations are ordered by their longest path to an output, so that an operation late in the
    network that reads an early feature map, as in a decoder, is not among the first.
    """
    graph = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0)).subgraphs[0]
    way: dict[int, int] = collections.defaultdict(int)
    for operation in reversed(graph.operators):
        length = max(way[tensor] for tensor in operation.outputs)
        for tensor in operation.inputs:
            way[tensor] = max(way[tensor], length + 1)
    results = [operation.outputs[0] for operation in graph.operators]
    first = sorted(results, key=lambda tensor: -way[tensor])[: round(share * len(results))]
    return [graph.tensors[tensor].name.decode() for tensor in first]


def _equalized(function: Any, images: Sequence[np.ndarray]) -> Any:
    """The same function with equalized channel ranges."""
    names = sorted(function.structured_outputs)
    graph_def = freeze(function, names)
    equalize(graph_def, names, images[:_EQUALIZED_BY])
    network = graph_function(graph_def, ["images:0"], [f"{name}:0" for name in names])

    def run(images):
        pairs = zip(names, network(images), strict=True)
        return {name: tf.identity(found, name=name) for name, found in pairs}

    (spec,) = function.structured_input_signature[0]
    return tf.function(run, [spec], autograph=False).get_concrete_function()
