"""The diagrams show the graphs that the networks are built from."""

import collections
import dataclasses

import pytest

from docs.diagrams.__main__ import FOLDER, diagrams, fusions
from docs.diagrams.layout import cells, lay_out
from docs.diagrams.network import describe
from docs.pictures import digest, digest_of
from efficientvision.layers import fusion_graphs
from efficientvision.layers.fusion_graphs import output_offsets
from efficientvision.tasks.choice import get_config

INPUTS = 5


@pytest.mark.parametrize("name", ["bifpn", "qufpn", "vfpn", "network"])
def test_pictures_are_those_of_the_code(name):
    made_from = digest(dataclasses.asdict(diagrams()[name]))
    assert digest_of(FOLDER / f"{name}.png") == made_from, f"{name}.png is old: run `make diagrams`"


@pytest.mark.parametrize("name", ["bifpn", "qufpn"])
def test_every_node_and_edge_is_drawn_once(name):
    nodes = fusions()[name]
    diagram = lay_out(nodes, 3, 7)
    drawn = [dot.offset for dot in diagram.dots if dot.kind != "input"]
    assert sorted(drawn) == [INPUTS + index for index in range(len(nodes))]
    edges = collections.Counter(
        (diagram.dots[source].offset, diagram.dots[reader].offset)
        for source, reader in diagram.edges
    )
    expected = [(source, INPUTS + i) for i, node in enumerate(nodes) for source in node.inputs]
    assert edges == collections.Counter(expected)


@pytest.mark.parametrize("name", ["bifpn", "qufpn", "vfpn"])
def test_places(name):
    """Nothing on top of another, rows are levels, data go to the right, outputs are marked."""
    nodes = fusions()[name]
    diagram = lay_out(nodes, 3, 7)
    places = [(dot.column, dot.level) for dot in diagram.dots]
    assert len(set(places)) == len(places)
    for dot in diagram.dots:
        level = dot.offset + 3 if dot.offset < INPUTS else nodes[dot.offset - INPUTS].level
        assert dot.level == level
    for source, reader in diagram.edges:
        before, after = diagram.dots[source], diagram.dots[reader]
        assert before.column < after.column or (
            before.column == after.column and abs(before.level - after.level) == 1
        )
    marked = {dot.offset for dot in diagram.dots if dot.kind == "output"}
    assert marked == set(output_offsets(nodes, 3, 7).values())


def test_columns_of_bifpn():
    """Figure 2d of the EfficientDet paper: down from P6 to P3, then up to P7."""
    diagram = lay_out(fusions()["bifpn"], 3, 7)
    columns = collections.defaultdict(list)
    for dot in diagram.dots:
        columns[dot.column].append(dot.level)
    assert columns == {0: [3, 4, 5, 6, 7], 1: [6, 5, 4, 3], 2: [4, 5, 6, 7]}


def test_cells():
    assert len(cells(fusions()["bifpn"], INPUTS)) == 1
    assert len(cells(fusions()["qufpn"], INPUTS)) == 2
    vfpn = cells(fusions()["vfpn"], INPUTS)
    assert [len(cell) for cell in vfpn] == [8] * 8
    captions = [text for *_, text in lay_out(fusions()["vfpn"], 3, 7).captions]
    assert captions == ["cell 1 of 8", "cell 2 of 8", "5 more", "cell 8 of 8", "sums"]


def test_cells_that_differ_are_all_drawn():
    nodes = list(fusion_graphs.vfpn(3, 7, 4))
    last = nodes[31]  # The last node of the fourth cell, less the map that it begins from.
    nodes[31] = dataclasses.replace(last, inputs=last.inputs[:1])
    captions = [text for *_, text in lay_out(nodes, 3, 7).captions]
    assert captions[:4] == [f"cell {number} of 4" for number in (1, 2, 3, 4)]


def test_the_network_is_that_of_the_configuration():
    """Sizes of efficientdet-d1 as in Table 1 of the paper; 640 pixels are halved level by level."""
    network = describe(get_config("efficientdet-d1", {"num_classes": 7}))
    assert (network.backbone, network.filters, network.cells) == ("efficientnet-b1", 88, 4)
    assert [network.maps[level][:2] for level in (1, 3, 7)] == [(320, 320), (80, 80), (5, 5)]
    # Channels of EfficientNet-B1's last blocks, which are B0's: the paper's Table 1.
    assert [network.maps[level][2] for level in range(1, 8)] == [16, 24, 40, 112, 320, 88, 88]
    assert network.class_outputs == "9 anchors x 7 classes"
