"""Writes, reads and profiles frozen TensorFlow graphs. The only file that uses `compat.v1`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.python.client import timeline
from tensorflow.python.framework import ops
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow.python.profiler.internal import flops_registry  # noqa: F401  registers the counts

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.exports.batch_norm_folding import fold_batch_norms
from efficientvision.exports.graph_safety import check_frozen_graph
from efficientvision.files import AnyPath

METADATA_NODE = "efficientvision_metadata"
# Constants of at least this size are weights.
_LARGE_BYTES = 1 << 12


def freeze(
    function: Any, outputs: Sequence[str], metadata: str | None = None, *, fold: bool = True
) -> tf.compat.v1.GraphDef:
    """Turns a concrete function into a graph with constants in place of variables.

    Tensors keep the names that the function gave them with `tf.identity(x, name=...)`; placeholders
    are named after the function's arguments.

    Args:
        function: a concrete function (`tf.function(...).get_concrete_function(...)`).
        outputs: names of output operations; operations that they do not need are removed.
        metadata: text to store in a string constant named `efficientvision_metadata`.
        fold: fold batch norms into the preceding convolutions.
    """
    graph_def = convert_variables_to_constants_v2(function).graph.as_graph_def()
    if fold:
        fold_batch_norms(graph_def, outputs)
    _keep_ancestors(graph_def, outputs)
    if metadata is not None:
        node = graph_def.node.add()
        node.name, node.op = METADATA_NODE, "Const"
        node.attr["dtype"].type = tf.string.as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(metadata.encode()))
    return graph_def


def write_frozen_graph(graph_def: tf.compat.v1.GraphDef, path: AnyPath) -> str:
    """Writes a graph to a `.pb` file, atomically, and returns the path."""
    files.write_bytes(path, graph_def.SerializeToString())
    return files.as_text(path)


def read_frozen_graph(path: AnyPath, *, trust: bool = False) -> tf.compat.v1.GraphDef:
    """Reads a `.pb` file.

    Args:
        path: path of the file.
        trust: accept a graph that may do more than compute, see `graph_safety`.

    Raises:
        UserError: the file is missing, is not a complete GraphDef, or may be harmful.
    """
    if not files.is_file(path):
        raise UserError(f"there is no frozen graph {path}")
    graph_def = tf.compat.v1.GraphDef()
    try:
        graph_def.ParseFromString(files.read_bytes(path))
    except DecodeError as error:
        raise UserError(
            f"{path} is not a frozen TensorFlow graph, or it was cut short: export it again"
        ) from error
    if not graph_def.node:
        raise UserError(f"{path} contains an empty graph: export it again")
    if not trust:
        check_frozen_graph(graph_def, path)
    return graph_def


def read_metadata(graph_def: tf.compat.v1.GraphDef) -> str | None:
    """Returns the metadata stored by `freeze`, or None for graphs of other origin."""
    for node in graph_def.node:
        if node.name == METADATA_NODE:
            return tf.make_ndarray(node.attr["value"].tensor).item().decode()
    return None


def graph_function(
    graph_def: tf.compat.v1.GraphDef, feeds: Sequence[str], fetches: Sequence[str]
) -> Callable[..., Any]:
    """Makes a frozen graph callable.

    Args:
        graph_def: the graph.
        feeds: tensor names such as `"image_arrays:0"`; they need not be placeholders.
        fetches: tensor names such as `"detections:0"`.

    Returns:
        A function that takes one tensor for each feed and returns a list of tensors.

    Raises:
        UserError: the graph has no such tensor.
    """
    present = {node.name for node in graph_def.node}
    missing = [name for name in (*feeds, *fetches) if name.split(":")[0] not in present]
    if missing:
        raise UserError(
            f"the frozen graph has no tensor {', '.join(missing)}; "
            "export it with `runmode=saved_model`"
        )
    return _imported(graph_def, feeds, fetches, {})


def thaw(
    graph_def: tf.compat.v1.GraphDef, feeds: Sequence[str], fetches: Sequence[str]
) -> tuple[Callable[..., Any], list[tf.Variable]]:
    """Makes a frozen graph callable, with variables for its weights.

    TensorFlow copies a graph several times before its first run, including its constants, but not
    its variables.

    Args:
        graph_def: the graph.
        feeds, fetches: see `graph_function`.

    Returns:
        A function as returned by `graph_function`, and the variables, which the caller must keep
        alive.
    """
    light = tf.compat.v1.GraphDef()
    variables = {}
    for node in graph_def.node:
        added = light.node.add()
        if node.op == "Const" and node.attr["value"].tensor.ByteSize() > _LARGE_BYTES:
            value = tf.make_ndarray(node.attr["value"].tensor)
            variables[f"{node.name}:0"] = tf.Variable(value, trainable=False)
            added.name, added.op = node.name, "Placeholder"
            added.attr["dtype"].CopyFrom(node.attr["dtype"])
        else:
            added.CopyFrom(node)
    light.library.CopyFrom(graph_def.library)
    light.versions.CopyFrom(graph_def.versions)
    return _imported(light, feeds, fetches, variables), list(variables.values())


def _imported(
    graph_def: tf.compat.v1.GraphDef,
    feeds: Sequence[str],
    fetches: Sequence[str],
    variables: Mapping[str, tf.Variable],
) -> Callable[..., Any]:
    """Makes a function of the graph, with variables in place of the tensors with these names."""

    def build() -> None:
        values = {name: variable.read_value() for name, variable in variables.items()}
        tf.compat.v1.import_graph_def(graph_def, input_map=values, name="")

    imported = tf.compat.v1.wrap_function(build, [])
    graph = imported.graph
    pruned = imported.prune(
        [graph.get_tensor_by_name(name) for name in feeds],
        [graph.get_tensor_by_name(name) for name in fetches],
    )

    def run(*arrays: np.ndarray | tf.Tensor) -> list[tf.Tensor]:
        return pruned(*(tf.convert_to_tensor(array) for array in arrays))

    return run


def float_operations(graph_def: tf.compat.v1.GraphDef) -> int:
    """Counts the floating point operations of one run with TensorFlow's profiler.

    All shapes of the graph must be static. A multiplication and an addition count as two.
    """
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    return tf.compat.v1.profiler.profile(as_graph(graph_def), options=options).total_float_ops


def float_operations_by_node(graph_def: tf.compat.v1.GraphDef) -> dict[str, int]:
    """Splits the profiler's count by operation: name -> floating point operations."""
    graph = as_graph(graph_def)
    counts = {}
    with graph.as_default():
        for node in graph_def.node:
            operations = ops.get_stats_for_node_def(graph, node, "flops").value
            if operations:
                counts[node.name] = int(operations)
    return counts


def write_chrome_trace(
    graph_def: tf.compat.v1.GraphDef,
    feeds: Mapping[str, np.ndarray],
    fetches: Sequence[str],
    path: AnyPath,
) -> None:
    """Runs a graph twice and writes the duration of each operation in the second run.

    Args:
        graph_def: the graph.
        feeds: tensor name -> value.
        fetches: tensor names.
        path: a JSON file for chrome://tracing.
    """
    options = tf.compat.v1.RunOptions(trace_level=tf.compat.v1.RunOptions.FULL_TRACE)
    measured = tf.compat.v1.RunMetadata()
    with tf.compat.v1.Session(graph=as_graph(graph_def)) as session:
        session.run(list(fetches), dict(feeds))
        session.run(list(fetches), dict(feeds), options=options, run_metadata=measured)
    text = timeline.Timeline(measured.step_stats).generate_chrome_trace_format()
    files.write_text(path, text)


def as_graph(graph_def: tf.compat.v1.GraphDef) -> tf.Graph:
    """Imports a graph, which gives tensor shapes and topologically sorted operations."""
    with tf.Graph().as_default() as graph:
        tf.compat.v1.import_graph_def(graph_def, name="")
    return graph


def _keep_ancestors(graph_def: tf.compat.v1.GraphDef, outputs: Sequence[str]) -> None:
    """Removes operations that no output needs, in place."""
    inputs = {node.name: node.input for node in graph_def.node}
    needed: set[str] = set()
    pending = list(outputs)
    while pending:
        name = pending.pop().lstrip("^").split(":")[0]
        if name not in needed:
            needed.add(name)
            pending.extend(inputs[name])
    kept = [node for node in graph_def.node if node.name in needed]
    del graph_def.node[:]
    graph_def.node.extend(kept)
