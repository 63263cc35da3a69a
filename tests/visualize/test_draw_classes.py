"""Classes beside and under pictures: the photo stays, the rows are in place and readable."""

import numpy as np
import pytest
from PIL import Image

from efficientvision.visualize.draw_classes import draw_classes

RED = (200, 30, 30)
BAR = (43, 108, 176)
ROWS = [("tench", 0.75), ("goldfish", 0.25)]


def drawn(size, rows=ROWS):
    return np.asarray(draw_classes(Image.new("RGB", size, RED), rows))


def of_color(picture, color):
    return (picture == color).all(axis=-1)


@pytest.mark.parametrize("size", [(640, 480), (3000, 200), (480, 480)])
def test_under_a_wide_picture(size):
    picture = drawn(size)
    photo = of_color(picture, RED)
    assert photo[: size[1]].sum() == size[0] * size[1] and not photo[size[1] :].any()


@pytest.mark.parametrize("size", [(480, 640), (150, 2000)])
def test_beside_a_tall_picture(size):
    picture = drawn(size)
    assert picture.shape[0] == size[1]
    photo = of_color(picture, RED)
    assert photo[:, : size[0]].all() and not photo[:, size[0] :].any()


@pytest.mark.parametrize(("size", "factor"), [((28, 28), 5), ((32, 20), 5), ((159, 100), 1)])
def test_a_small_picture_is_enlarged_by_whole_numbers(size, factor):
    photo = of_color(drawn(size), RED)
    assert photo.sum() == size[0] * size[1] * factor**2


def test_bars_are_as_long_as_the_probabilities():
    bars = of_color(drawn((640, 480), [("a", 0.8), ("b", 0.2), ("c", 0.0)]), BAR)
    short, long = np.unique(bars.sum(axis=1))[1:]
    assert long == pytest.approx(4 * short, rel=0.05)


@pytest.mark.parametrize("size", [(64, 64), (640, 480), (4000, 3000)])
def test_text_grows_with_the_picture(size):
    """The name's letters are at least 1/60 of the picture, and 7 pixels, high."""
    one, none = drawn(size, [("HHH", 0.0)]), drawn(size, [("", 0.0)])
    rows = np.flatnonzero((one != none).any(axis=(1, 2)))
    assert len(rows) >= max(7, max(size) / 60)


def test_long_names_end_in_dots_before_the_bar():
    short, long = drawn((640, 480), [("m" * 14, 0.5)]), drawn((640, 480), [("m" * 400, 0.5)])
    left, right = (np.flatnonzero(of_color(p, BAR).any(axis=0)).min() for p in (short, long))
    assert left == right
    dark = (long[480:] < 60).all(axis=-1)
    assert not dark[:, right - 5 : right].any() and dark[:, : right - 5].any()


def test_no_class_is_said_in_words():
    assert (drawn((300, 200), [])[200:] < 60).all(axis=-1).sum() > 50


def test_a_name_of_two_lines_is_drawn_in_one():
    photo = np.full((60, 80, 3), 90, np.uint8)
    one, two = (draw_classes(photo, [(name, 0.9)]) for name in ("big cat", "big\ncat"))
    np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
