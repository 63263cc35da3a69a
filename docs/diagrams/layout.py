"""Layout of a fusion graph as a diagram: levels as rows, passes as columns."""

import dataclasses
import itertools
from collections.abc import Sequence

from efficientvision.layers.fusion_graphs import FusionNode, output_offsets

# Number of identical cells to draw at the beginning and at the end.
_FIRST, _LAST = 2, 1


@dataclasses.dataclass(frozen=True)
class Dot:
    """A feature map in the diagram.

    Attributes:
        offset: offset of the map in the graph; inputs are repeated before every cell.
        column, level: position.
        kind: `"input"`, `"node"` or `"output"`.
    """

    offset: int
    column: float
    level: int
    kind: str


@dataclasses.dataclass(frozen=True)
class Diagram:
    """A fusion graph laid out.

    Attributes:
        dots: the feature maps.
        edges: indices in `dots` of the source and of the consumer.
        captions: first and last column of a cell, or of the gap between cells, and its text.
    """

    dots: tuple[Dot, ...]
    edges: tuple[tuple[int, int], ...]
    captions: tuple[tuple[float, float, str], ...]


def lay_out(nodes: Sequence[FusionNode], min_level: int, max_level: int) -> Diagram:
    """Computes the position of every node.

    Nodes that only add maps of their own level come last, in one column. The others form cells,
    which share only the inputs: each cell has a column for the inputs and one per pass over the
    levels. If there are more than three cells of the same shape, those in the middle are omitted.
    """
    inputs = max_level - min_level + 1
    outputs = set(output_offsets(nodes, min_level, max_level).values())
    found = cells(nodes, inputs)
    sums = [inputs + i for i, node in enumerate(nodes) if _adds_one_level(nodes, node, inputs)]
    dots: list[Dot] = []
    edges: list[tuple[int, int]] = []
    captions = []
    place: dict[int, int] = {}
    column = 0.0
    for number, cell in _shown(nodes, found, inputs):
        if number is None:
            captions.append((column, column, f"{len(cell)} more"))
            column += 1
            continue
        start = column
        here = {}
        for offset in range(inputs):
            here[offset] = len(dots)
            dots.append(Dot(offset, column, min_level + offset, "input"))
        for _, steps in itertools.groupby(cell, lambda offset: _climbs(nodes, offset, inputs)):
            column += 1
            for offset in steps:
                node = nodes[offset - inputs]
                here[offset] = place[offset] = len(dots)
                kind = "output" if offset in outputs else "node"
                dots.append(Dot(offset, column, node.level, kind))
                edges += [(here[source], here[offset]) for source in node.inputs]
        name = "one cell" if len(found) == 1 else f"path {number}" if len(found) == 2 else None
        captions.append((start, column, name or f"cell {number} of {len(found)}"))
        column += 1
    for offset in sums:
        node = nodes[offset - inputs]
        dots.append(Dot(offset, column, node.level, "output"))
        edges += [(place[source], len(dots) - 1) for source in node.inputs if source in place]
    if sums:
        captions.append((column, column, "sums"))
    return Diagram(tuple(dots), tuple(edges), tuple(captions))


def cells(nodes: Sequence[FusionNode], inputs: int) -> list[list[int]]:
    """The parts of a graph that share only its inputs, as offsets of their nodes.

    Args:
        nodes: the graph.
        inputs: number of input maps.
    """
    found: list[set[int]] = []
    for index, node in enumerate(nodes):
        if _adds_one_level(nodes, node, inputs):
            continue
        offset = inputs + index
        joined = {offset}.union(*(part for part in found if part & set(node.inputs)))
        found = [part for part in found if not part & joined] + [joined]
    return sorted(sorted(part) for part in found)


def _shown(nodes, found, inputs):
    """Number and offsets of each cell to draw; None and the omitted cells in their place."""
    numbered = list(enumerate(found, start=1))
    shapes = {_shape(nodes, cell, inputs) for cell in found}
    if len(found) <= _FIRST + _LAST or len(shapes) > 1:
        return numbered
    return [*numbered[:_FIRST], (None, numbered[_FIRST:-_LAST]), *numbered[-_LAST:]]


def _shape(nodes, cell, inputs):
    """The structure of a cell, independent of its position in the graph."""
    move = {offset: f"node {index}" for index, offset in enumerate(cell)}
    return tuple(
        (nodes[offset - inputs].level, *(move.get(i, i) for i in nodes[offset - inputs].inputs))
        for offset in cell
    )


def _adds_one_level(nodes, node, inputs):
    """Whether a node only has inputs of its own level."""
    return all(
        offset >= inputs and nodes[offset - inputs].level == node.level for offset in node.inputs
    )


def _climbs(nodes, offset, inputs):
    """Whether a node reads the finer level below it; else it reads the coarser one above."""
    node = nodes[offset - inputs]
    finest = min(other.level for other in nodes)
    levels = [finest + i if i < inputs else nodes[i - inputs].level for i in node.inputs]
    return min(levels) < node.level
