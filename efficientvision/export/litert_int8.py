"""Networks in LiteRT's eight bits: equalised, then quantised by the ranges of photos."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from efficientvision.export.equalization import equalize
from efficientvision.export.frozen_graph import freeze, graph_function

# Ranges of channels need fewer photos than the ranges of whole maps.
_EQUALIZED_BY = 8


def quantized(function: Any, images: Sequence[np.ndarray]) -> bytes:
    """Converts a concrete function of `images`; inputs and outputs stay float32.

    Args:
        function: the concrete function.
        images: what the ranges are taken from, as the function takes them.

    Returns:
        A LiteRT file.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions([_equalized(function, images)])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([batch] for batch in images)
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
        tf.lite.OpsSet.TFLITE_BUILTINS,
    ]
    return converter.convert()


def _equalized(function: Any, images: Sequence[np.ndarray]) -> Any:
    """The same function with channels of like ranges."""
    names = sorted(function.structured_outputs)
    graph_def = freeze(function, names)
    equalize(graph_def, names, images[:_EQUALIZED_BY])
    network = graph_function(graph_def, ["images:0"], [f"{name}:0" for name in names])

    def run(images):
        pairs = zip(names, network(images), strict=True)
        return {name: tf.identity(found, name=name) for name, found in pairs}

    (spec,) = function.structured_input_signature[0]
    return tf.function(run, input_signature=[spec]).get_concrete_function()
