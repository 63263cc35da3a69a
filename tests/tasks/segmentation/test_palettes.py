"""Colours and names of classes, against EdgeNets' tables and Cityscapes' own labels."""

import json

import pytest

from efficientvision.data.labels import BUILTIN_OF_MASKS
from efficientvision.tasks.segmentation.palettes import (
    BLACK,
    palette_of,
    published_names,
    same_classes,
    voc_color,
    with_background,
)
from tests.conftest import REPOSITORY

FACTS = json.loads((REPOSITORY / "tests/goldens/edgenets/palettes.json").read_text())
CITY, VOC = BUILTIN_OF_MASKS["cityscapes"], BUILTIN_OF_MASKS["voc"]


def test_the_colors_of_pascal_voc():
    assert [list(voc_color(index)) for index in range(256)] == FACTS["voc_256"]


@pytest.mark.parametrize(("data", "count"), [("voc", 21), ("city", 20)])
def test_names_of_the_published_networks(data, count):
    ours, theirs = published_names(count), FACTS["names"][data]
    assert list(ours) == list(range(count))
    for one, other in zip(ours.values(), theirs, strict=True):
        assert one.replace("-", "").replace("/", "") == other.replace("-", "").replace("/", "")


def test_the_weights_choose_the_palette():
    cityscapes = [tuple(color) for color in FACTS["cityscapes"].values()]
    assert palette_of({}, 20) == [*cityscapes, BLACK] and palette_of({}, 19) == cityscapes
    assert [list(c) for c in palette_of({}, 21)] == FACTS["voc_256"][:21]
    # Other spellings are the same classes; other classes in the same number are not.
    assert palette_of(dict(enumerate(FACTS["names"]["voc"])), 21) == palette_of({}, 21)
    mine = palette_of({i: f"part {i}" for i in range(21)}, 21)
    assert mine != palette_of({}, 21)


@pytest.mark.parametrize("count", [1, 5, 20, 40])
def test_other_classes_have_different_colors(count):
    names = {0: "Background", **{i: f"part {i}" for i in range(1, count)}}
    colors = palette_of(names, count)
    assert len(set(colors)) == count and colors[0] == BLACK and BLACK not in colors[1:]


def test_spelling_does_not_make_another_class():
    assert same_classes(VOC, {**VOC, 16: "pottedplant", 20: "TV monitor"})
    assert not same_classes(VOC, {**VOC, 16: "flower"})
    assert same_classes(CITY, published_names(20)) and not same_classes(CITY, VOC)


def test_the_background_of_the_published_cityscapes_networks():
    assert with_background(CITY, 20)[19] == "background"
    assert with_background(CITY, 19) == CITY
    assert with_background({0: "a"}, 20) == {0: "a"} and with_background({}, 21) == {}
