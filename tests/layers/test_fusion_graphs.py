"""Fusion topologies against the published node lists."""

import json
import pathlib

import pytest

from efficientvision.layers import fusion_graphs

GOLDENS = json.loads(
    (pathlib.Path(__file__).parents[1] / "goldens" / "fusion_graphs.json").read_text()
)


def as_lists(nodes):
    return [[node.level, list(node.inputs)] for node in nodes]


def test_bifpn_is_the_published_cell():
    assert as_lists(fusion_graphs.bifpn(3, 7)) == GOLDENS["bifpn"]


def test_vfpn_is_the_published_graph():
    nodes = as_lists(fusion_graphs.vfpn(3, 7, cells=8))
    assert nodes == GOLDENS["vfpn_d0"]
    assert len(nodes) == 69
    assert sum(len(inputs) for _, inputs in nodes) == 192


@pytest.mark.parametrize("levels", [(3, 7), (3, 8), (2, 6), (4, 5)])
@pytest.mark.parametrize("graph", ["bifpn", "qufpn", "vfpn"])
def test_any_levels(graph, levels):
    make = {
        "bifpn": fusion_graphs.bifpn,
        "qufpn": fusion_graphs.qufpn,
        "vfpn": lambda low, high: fusion_graphs.vfpn(low, high, cells=3),
    }[graph]
    nodes = make(*levels)
    level_of = list(range(levels[0], levels[1] + 1))
    for node in nodes:
        # A node fuses only what exists before it, from its own level or a neighbouring one.
        assert all(offset < len(level_of) for offset in node.inputs)
        assert all(abs(level_of[offset] - node.level) <= 1 for offset in node.inputs)
        level_of.append(node.level)
    outputs = fusion_graphs.output_offsets(nodes, *levels)
    assert [level_of[offset] for offset in outputs.values()] == list(outputs)
    consumed = {offset for node in nodes for offset in node.inputs} | set(outputs.values())
    assert consumed == set(range(len(level_of)))


def test_qufpn_adds_its_two_paths_with_fast_attention():
    nodes = fusion_graphs.qufpn(3, 7)
    assert [node.level for node in nodes[-5:]] == [7, 6, 5, 4, 3]
    assert {node.weight_method for node in nodes[-5:]} == {"fastattn"}
    assert {node.weight_method for node in nodes[:-5]} == {None}
