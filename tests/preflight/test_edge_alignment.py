"""Boxes on edges, off them, and with x and y swapped."""

import numpy as np
import pytest

from efficientvision.preflight.edge_alignment import edge_alignment, swapped_in_photo
from tests.example_records import photo

SHAPE = np.array([120, 160])


@pytest.fixture(scope="module")
def drawn():
    """Photos with bright rectangles; normalised boxes and their photos."""
    random = np.random.default_rng(5)
    photos, boxes = {}, []
    for index in range(20):
        corner = random.integers(0, [80, 110], (2, 2))
        pixels = np.concatenate([corner, corner + random.integers(12, 40, (2, 2))], axis=-1)
        photos[index] = photo(*SHAPE, boxes=pixels, seed=index)
        boxes.append(pixels / np.tile(SHAPE, 2))
    return photos, np.concatenate(boxes), np.repeat(np.arange(20), 2)


def test_boxes_in_their_place(drawn):
    found = edge_alignment(*drawn)
    assert found.boxes == 38  # Those of the first photo serve the second as chance.
    assert found.as_given > 2 * found.elsewhere
    assert not found.is_swapped


@pytest.mark.parametrize("in_pixels", [False, True])
def test_swapped_boxes(drawn, in_pixels):
    photos, boxes, owners = drawn
    wrong = swapped_in_photo(boxes, SHAPE) if in_pixels else boxes[:, [1, 0, 3, 2]]
    found = edge_alignment(photos, wrong, owners)
    assert found.is_swapped
    assert found.swapped == pytest.approx(edge_alignment(photos, boxes, owners).as_given, rel=0.05)


def test_boxes_that_have_nothing_to_do_with_the_photos(drawn):
    photos, boxes, owners = drawn
    assert not edge_alignment(
        photos, np.random.default_rng(1).permutation(boxes), owners
    ).is_swapped


def test_few_photos_decide_nothing(drawn):
    photos, boxes, owners = drawn
    few = {index: photos[index] for index in range(10)}
    assert not edge_alignment(few, boxes[:, [1, 0, 3, 2]], owners).is_swapped
    assert edge_alignment({}, boxes, owners).boxes == 0


def test_unreadable_photos_and_boxes_are_left_out(drawn):
    photos, boxes, owners = drawn
    boxes = boxes.copy()
    boxes[3, 0] = np.nan
    found = edge_alignment({**photos, 5: b"no photo", 6: photo(*SHAPE)}, boxes, owners)
    assert found.boxes == 38 - 1 - 2


def test_swapping_pixels_twice_changes_nothing():
    boxes = np.array([[0.1, 0.2, 0.5, 0.9]])
    sizes = np.array([[480, 640]])
    swapped = swapped_in_photo(boxes, sizes)
    np.testing.assert_allclose(
        swapped, [[0.2 * 640 / 480, 0.1 * 0.75, 0.9 * 640 / 480, 0.5 * 0.75]]
    )
    np.testing.assert_allclose(swapped_in_photo(swapped, sizes), boxes)
