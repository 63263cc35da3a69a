"""Checks that a TensorFlow graph does not access files, the network or other programs.

A graph is a program. Its author cannot be known from the file, because any metadata can be copied.
So every graph, even our own, is checked each time before it is loaded.
"""

from collections.abc import Iterable, Iterator

from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from efficientvision.errors import UserError
from efficientvision.exports.harmless_operations import CALLERS, HARMLESS
from efficientvision.files import AnyPath

_MOST_NAMED = 5
# How TensorFlow 1 keeps variables.
_RESTORING = "RestoreV2"
_SAVING = {"SaveV2", "ShardedFilename", "MergeV2Checkpoints"}


def check_frozen_graph(graph: GraphDef, path: AnyPath) -> None:
    """Checks that a frozen graph only computes.

    Raises:
        UserError: It contains an operation that is not known to be harmless.
    """
    functions = {function.signature.name: function for function in graph.library.function}
    found = _harmful(graph.node, functions)
    for function in functions.values():
        found |= _harmful(function.node_def, functions)
    _refuse(found, path)


def check_saved_model(model: SavedModel, path: AnyPath) -> None:
    """Checks that a SavedModel only computes.

    TensorFlow's own operations to save and restore variables are exempt, if nothing else can call
    them.

    Raises:
        UserError: It contains an operation that is not known to be harmless.
    """
    graphs = model.meta_graphs
    # TensorFlow's own criterion.
    is_version_2 = len(graphs) == 1 and graphs[0].HasField("object_graph_def")
    found: set[str] = set()
    for graph in graphs:
        found |= _harmful_of_version_2(graph) if is_version_2 else _harmful_of_version_1(graph)
    _refuse(found, path)


def _refuse(found: set[str], path: AnyPath) -> None:
    if found:
        names = sorted(found)
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        shown = ", ".join(_printable(name) for name in names[:_MOST_NAMED])
        raise UserError(
            f"{path} was not loaded: its graph holds {shown}{more}, which may read or write files "
            "or do worse; if you trust whoever made it, load it with trust=True (`trust`)"
        )


def _printable(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name[:80])


def _harmful(nodes: Iterable[NodeDef], functions: dict[str, FunctionDef]) -> set[str]:
    """Names of unknown operations, and of called functions that are missing."""
    found = set()
    for node in nodes:
        for name in (node.op, *_called(node)):
            if name not in HARMLESS and name not in functions:
                found.add(name)
    return found


def _called(node: NodeDef) -> Iterator[str]:
    """Functions that a node calls through its attributes."""
    if node.op not in CALLERS:
        return
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        for function in value.list.func:
            yield function.name


def _harmful_of_version_2(graph: MetaGraphDef) -> set[str]:
    """Harmful operations of a TensorFlow 2 SavedModel, in all functions of its objects."""
    functions = {f.signature.name: f for f in graph.graph_def.library.function}
    objects = graph.object_graph_def
    waiting = {*objects.concrete_functions}
    for node in objects.nodes:
        waiting.update(node.function.concrete_functions)
        waiting.add(node.bare_concrete_function.concrete_function_name)
    waiting.discard("")
    found: set[str] = set()
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in functions:
            found.add(name)
            continue
        nodes = functions[name].node_def
        found |= _harmful(nodes, functions)
        for node in nodes:
            waiting.update(n for n in (node.op, *_called(node)) if n in functions)
    return found


def _harmful_of_version_1(graph: MetaGraphDef) -> set[str]:
    """Harmful operations of a TensorFlow 1 SavedModel, which runs signatures and collections."""
    nodes = graph.graph_def.node
    functions = {f.signature.name: f for f in graph.graph_def.library.function}
    file_name = _node_of(graph.saver_def.filename_tensor_name)
    after_saving = _descendants({node.name for node in nodes if node.op in _SAVING}, nodes)
    is_saving_unused = after_saving.isdisjoint(_run_by_version_1(graph)) and not any(
        name.encode() in value
        for collection in graph.collection_def.values()
        for value in collection.bytes_list.value
        for name in after_saving
    )
    found: set[str] = set()
    for node in nodes:
        # TensorFlow itself sets the file that variables are restored from.
        restores = node.op == _RESTORING and _node_of(node.input[0]) == file_name
        if not restores and not (node.op in _SAVING and is_saving_unused):
            found |= _harmful([node], functions)
    for function in functions.values():
        found |= _harmful(function.node_def, functions)
    return found


def _run_by_version_1(graph: MetaGraphDef) -> set[str]:
    """The nodes named by signatures, collections and the restoration of variables."""
    names = [graph.saver_def.restore_op_name]
    for signature in graph.signature_def.values():
        names += [output.name for output in signature.outputs.values()]
    for collection in graph.collection_def.values():
        names += collection.node_list.value
    return {_node_of(name) for name in names}


def _node_of(name: str) -> str:
    """The node of a tensor or control input."""
    return name.removeprefix("^").split(":")[0]


def _descendants(names: set[str], nodes: Iterable[NodeDef]) -> set[str]:
    """These nodes and all their descendants."""
    consumers: dict[str, list[str]] = {}
    for node in nodes:
        for source in node.input:
            consumers.setdefault(_node_of(source), []).append(node.name)
    waiting, reached = list(names), set()
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(consumers.get(name, ()))
    return reached
