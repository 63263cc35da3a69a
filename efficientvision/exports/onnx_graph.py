"""Repairs and simplifies an ONNX graph that was converted from TensorFlow."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np

# Runtimes round sizes down: 11 rows times float32(13 / 11) would give 12.
_ROUNDING = 1 + 1e-6


def mend_resizing(model: Any) -> int:
    """Adjusts resize factors so that sizes do not round down, in place; returns their number."""
    from onnx import numpy_helper

    initializers = {value.name: value for value in model.graph.initializer}
    names = {node.input[2] for node in model.graph.node if node.op_type == "Resize"}
    mended = names & initializers.keys()
    for name in mended:
        scales = numpy_helper.to_array(initializers[name])
        scales = np.where(scales == 1, scales, scales * _ROUNDING).astype(np.float32)
        initializers[name].CopyFrom(numpy_helper.from_array(scales, name))
    return len(mended)


def join_prelus(model: Any) -> int:
    """Replaces `x + slope * min(x, 0)`, as in `layers.prelu`, by one PRelu, in place.

    Runtimes have a kernel for it, or fuse it into the preceding convolution.

    Returns:
        The number of replacements.
    """
    import onnx
    from onnx import numpy_helper

    graph = model.graph
    values = {value.name: value for value in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    uses = collections.Counter(name for node in graph.node for name in node.input)
    uses.update(output.name for output in graph.output)
    removed = []
    for node in graph.node:
        product = _only(node, "Add", makers, uses, "Mul")
        if product is None:
            continue
        least = _only(product, "Mul", makers, uses, "Min")
        slope = next((name for name in product.input if name in values), None)
        if least is None or slope is None:
            continue
        zero = next((name for name in least.input if name in values), None)
        source = next((name for name in least.input if name not in values), None)
        if (
            zero is None
            or source is None
            or source not in node.input
            or np.any(numpy_helper.to_array(values[zero]))
        ):
            continue
        added = numpy_helper.from_array(
            (numpy_helper.to_array(values[slope]) + 1).astype(np.float32), f"{node.name}/slope"
        )
        graph.initializer.append(added)
        node.CopyFrom(
            onnx.helper.make_node("PRelu", [source, added.name], list(node.output), node.name)
        )
        removed += [product, least]
    for node in removed:
        graph.node.remove(node)
    return len(removed) // 2


def drop_unread(model: Any) -> int:
    """Removes unused initializers, about which runtimes would warn one by one.

    Works in place; returns the number removed.
    """
    read = {output.name for output in model.graph.output}
    graphs = [model.graph]
    while graphs:
        for node in graphs.pop().node:
            read.update(node.input)
            for attribute in node.attribute:  # The bodies of loops and conditions.
                graphs += [attribute.g, *attribute.graphs]
    unread = [value for value in model.graph.initializer if value.name not in read]
    for value in unread:
        model.graph.initializer.remove(value)
    return len(unread)


def _only(node: Any, kind: str, makers: dict, uses: collections.Counter, wanted: str) -> Any:
    """The input of kind `wanted` that only this node reads, if the node is of `kind`; or None."""
    if node.op_type != kind:
        return None
    found = [makers[name] for name in node.input if name in makers and uses[name] == 1]
    return next((maker for maker in found if maker.op_type == wanted), None)
