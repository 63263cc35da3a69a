"""Class maps over pictures: colours in their places, a legend that tells the shares."""

import numpy as np
import pytest
from PIL import Image

from efficientvision.visualize.draw_class_map import (
    classes_present,
    draw_class_map,
    indexed_picture,
)

GREY = 120
NAMES = {0: "background", 1: "ant", 2: "bee"}
COLORS = [(0, 0, 0), (250, 10, 10), (10, 10, 250)]


def photo(size):
    return Image.new("RGB", size, (GREY,) * 3)


def halves(size):
    """The left half nothing, the right one ants, the lowest tenth bees."""
    class_map = np.zeros(size[::-1], np.uint8)
    class_map[:, size[0] // 2 :] = 1
    class_map[-(size[1] // 10) :] = 2
    return class_map


def drawn(size, **options):
    return np.asarray(draw_class_map(photo(size), halves(size), NAMES, COLORS, **options))


def test_shares_of_the_classes_that_are_there():
    class_map = np.uint8([[1, 1, 1, 0], [2, 7, 255, 255]])
    found = classes_present(class_map, {1: "ant"}, [*COLORS, (9, 9, 9)])
    assert found == [
        ("ant", COLORS[1], 3 / 8),
        ("class 0", COLORS[0], 1 / 8),
        ("class 2", COLORS[2], 1 / 8),
    ]


@pytest.mark.parametrize("opacity", [0.0, 0.25, 1.0])
def test_colors_over_the_photo_at_its_size(opacity):
    picture = drawn((640, 480), opacity=opacity, legend=None).astype(int)
    assert picture.shape == (480, 640, 3)
    assert (picture[100, 100] == GREY).all()  # The background stays as it is.
    expected = opacity * np.array(COLORS[1]) + (1 - opacity) * GREY
    np.testing.assert_allclose(picture[100, 500], expected, atol=1)
    np.testing.assert_allclose(
        picture[470, 100], opacity * np.array(COLORS[2]) + (1 - opacity) * GREY, atol=1
    )


def test_pixels_without_a_class_stay_and_classes_have_outlines():
    class_map = np.full((60, 80), 255, np.uint8)
    class_map[20:40] = 1
    picture = np.asarray(draw_class_map(photo((80, 60)), class_map, NAMES, COLORS, legend=None))
    assert (picture[:20] == GREY).all() and (picture[41:] == GREY).all()
    assert (picture[20] > 200).all() and (picture[40] > 200).all()


@pytest.mark.parametrize("size", [(640, 480), (4000, 500), (200, 120)])
def test_a_legend_under_a_wide_picture(size):
    picture = drawn(size)
    height = picture.shape[0]
    factor = (height - 20) // size[1]
    assert factor >= 1 and picture.shape[1] >= factor * size[0]
    below = picture[factor * size[1] :]
    for color in COLORS[1:]:
        assert (below == color).all(axis=-1).sum() > 50


@pytest.mark.parametrize("size", [(480, 640), (500, 4000)])
def test_a_legend_beside_a_tall_picture(size):
    picture = drawn(size)
    beside = picture[:, size[0] :]
    for color in COLORS[1:]:
        assert (beside == color).all(axis=-1).sum() > 50
    # The larger class comes first.
    first, second = (np.argwhere((beside == c).all(axis=-1))[:, 0].min() for c in COLORS[1:])
    assert first < second


def test_a_legend_inside_keeps_the_size():
    plain, inside = drawn((640, 480), legend=None), drawn((640, 480), legend="inside")
    changed = (plain != inside).any(axis=-1)
    assert inside.shape == plain.shape and changed.any()
    assert not changed[:200].any() and not changed[:, 400:].any()
    small = drawn((60, 60), legend="inside")
    assert (small == drawn((60, 60), legend=None)).all()


def test_an_index_map_has_indices_and_colors(tmp_path):
    class_map = halves((64, 40))
    indexed_picture(class_map, COLORS).save(tmp_path / "map.png")
    read = Image.open(tmp_path / "map.png")
    assert read.mode == "P"
    np.testing.assert_array_equal(np.asarray(read), class_map)
    assert read.convert("RGB").getpixel((60, 2)) == COLORS[1]


def test_what_does_not_fit_is_told():
    with pytest.raises(ValueError, match=r"size of the picture, 480x640, got \(3, 4\)"):
        draw_class_map(photo((640, 480)), np.zeros((3, 4), np.uint8), NAMES, COLORS)
    with pytest.raises(ValueError, match="'above'"):
        drawn((640, 480), legend="above")


def test_a_name_of_two_lines_is_drawn_in_one():
    photo, class_map = np.full((60, 80, 3), 90, np.uint8), np.ones((60, 80), np.uint8)
    colors = [(0, 0, 0), (255, 0, 0)]
    one, two = (
        draw_class_map(photo, class_map, {1: name}, colors) for name in ("big cat", "big\ncat")
    )
    np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
