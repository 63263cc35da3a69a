"""Feature fusion topologies as plain data.

A graph is a list of `FusionNode`s. The inputs of a cell are its levels, finest first, and have the
offsets 0, 1, ...; the nodes follow with the next offsets in the order in which they are listed.
The order of a node's inputs decides the names of its variables, so it is part of the format of
the published checkpoints.
"""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class FusionNode:
    """One fused feature map: its pyramid level and the offsets of what it fuses.

    `weight_method` is set where the topology prescribes one, whatever the model's is.
    """

    level: int
    inputs: tuple[int, ...]
    weight_method: str | None = None


class _Builder:
    """Appends nodes and remembers the offsets that each level has, oldest first."""

    def __init__(self, min_level, max_level):
        self.levels = range(min_level, max_level + 1)
        self.offsets = {level: [level - min_level] for level in self.levels}
        self.nodes = []

    def add(self, level, inputs, weight_method=None):
        self.nodes.append(FusionNode(level, tuple(inputs), weight_method))
        self.offsets[level].append(len(self.levels) + len(self.nodes) - 1)

    def first(self, level):
        return self.offsets[level][0]

    def last(self, level):
        return self.offsets[level][-1]


def bifpn(min_level: int, max_level: int) -> list[FusionNode]:
    """One BiFPN cell: top-down, then bottom-up with an edge from the input.

    Reference: Tan, Pang, Le 2020 (EfficientDet), https://arxiv.org/abs/1911.09070, section 3.2.
    """
    graph = _Builder(min_level, max_level)
    for level in range(max_level - 1, min_level - 1, -1):
        graph.add(level, [graph.last(level), graph.last(level + 1)])
    for level in range(min_level + 1, max_level + 1):
        graph.add(level, [*graph.offsets[level], graph.last(level - 1)])
    return graph.nodes


def qufpn(min_level: int, max_level: int) -> list[FusionNode]:
    """One QuFPN cell: a BiFPN and its mirror image (bottom-up first) on the same inputs, added.

    The adding nodes come coarsest first and always have `fastattn` weights.

    Reference: the quad-path fusion published with google/automl's EfficientDet (qufpn).
    """
    down_up = _Builder(min_level, max_level)
    for node in bifpn(min_level, max_level):
        down_up.add(node.level, node.inputs)
    first_path = {level: down_up.last(level) for level in down_up.levels}

    # The mirror starts from the inputs again; its nodes go on counting.
    graph = _Builder(min_level, max_level)
    graph.nodes = list(down_up.nodes)
    for level in range(min_level + 1, max_level + 1):
        graph.add(level, [graph.first(level), graph.last(level - 1)])
    for level in range(max_level - 1, min_level - 1, -1):
        graph.add(level, [*graph.offsets[level], graph.last(level + 1)])
    second_path = {level: graph.last(level) for level in graph.levels}

    for level in reversed(graph.levels):
        graph.add(level, [first_path[level], second_path[level]], "fastattn")
    return graph.nodes


def vfpn(min_level: int, max_level: int, cells: int) -> list[FusionNode]:
    """VFPN: `cells` BiFPN cells side by side on the same inputs, then one node a level over all.

    Within a cell the raw input comes last, except in the first node.

    Reference: the VFPN fork of google/automl; its first published figure draws an input skip that
    the published weights do not have.
    """
    graph = _Builder(min_level, max_level)
    outputs: dict[int, list[int]] = {level: [] for level in graph.levels}
    for _ in range(cells):
        cell = {level: [graph.first(level)] for level in graph.levels}

        def add(level, inputs, cell=cell):
            graph.add(level, inputs)
            cell[level].append(graph.last(level))

        add(max_level - 1, [cell[max_level - 1][0], cell[max_level][0]])
        for level in range(max_level - 2, min_level - 1, -1):
            add(level, [cell[level + 1][-1], cell[level][0]])
        for level in range(min_level + 1, max_level):
            add(level, [cell[level][-1], cell[level - 1][-1], cell[level][0]])
        add(max_level, [cell[max_level - 1][-1], cell[max_level][0]])
        for level in graph.levels:
            outputs[level].append(cell[level][-1])
    for level in graph.levels:
        graph.add(level, outputs[level])
    return graph.nodes


def output_offsets(nodes: Sequence[FusionNode], min_level: int, max_level: int) -> dict[int, int]:
    """Returns `{level: offset}` of the last map of each level: the outputs of a cell."""
    last = {level: level - min_level for level in range(min_level, max_level + 1)}
    for index, node in enumerate(nodes):
        last[node.level] = max_level - min_level + 1 + index
    return last
