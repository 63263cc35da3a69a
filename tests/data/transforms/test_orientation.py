"""Flips and quarter turns against numpy's, for pixels, crops and boxes."""

import itertools
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.data.transforms import orientation
from efficientvision.data.transforms.orientation import Orientation

golden = np.load(pathlib.Path(__file__).resolve().parents[2] / "goldens" / "input.npz")
ALL = [Orientation(*map(tf.constant, bits)) for bits in itertools.product([False, True], repeat=3)]


def by_numpy(turned, image):
    image = image.swapaxes(0, 1) if turned.transpose else image
    image = image[::-1] if turned.flip_y else image
    return image[:, ::-1] if turned.flip_x else image


def draw(index, **kinds):
    options = {"horizontal_flip": False, "vertical_flip": False, "quarter_turns": False, **kinds}
    return orientation.draw_orientation(tf.constant([3, index], tf.int64), **options)


def test_flipped_boxes_golden():
    mirror = Orientation(*map(tf.constant, (False, False, True)))
    boxes = orientation.orient_boxes(mirror, tf.constant(golden["boxes"]))
    np.testing.assert_allclose(boxes, golden["flipped_boxes"], atol=1e-7)


@pytest.mark.parametrize("turned", ALL, ids=range(8))
def test_pixels_crops_and_boxes_go_together(turned):
    image = np.zeros((30, 50, 3), np.uint8)
    image[4:12, 20:45] = 255
    box = np.array([[4 / 30, 20 / 50, 12 / 30, 45 / 50]], np.float32)
    expected = by_numpy(turned, image)
    height, width = expected.shape[:2]
    np.testing.assert_array_equal(orientation.orient_image(turned, image), expected)
    assert orientation.oriented_size(turned, tf.constant([30, 50])).numpy().tolist() == [
        height,
        width,
    ]
    ymin, xmin, ymax, xmax = orientation.orient_boxes(turned, box).numpy()[0] * (
        [height, width] * 2
    )
    rows, columns = (np.flatnonzero(expected[..., 0].any(axis)) for axis in (1, 0))
    np.testing.assert_allclose(
        [ymin, xmin, ymax, xmax], [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1], atol=1e-4
    )
    crop_yx, crop_hw = tf.constant([3, 7]), tf.constant([20, 11])
    (y, x), (h, w) = (
        v.numpy() for v in orientation.stored_crop(turned, crop_yx, crop_hw, tf.constant([30, 50]))
    )
    np.testing.assert_array_equal(
        by_numpy(turned, image[y : y + h, x : x + w]), expected[3:23, 7:18]
    )


def test_quarter_turns_are_numpys_and_equally_likely():
    marks = np.arange(6).reshape(2, 3, 1)
    turns = [np.rot90(marks, k) for k in range(4)]
    counts = [0] * 4
    for index in range(120):
        image = np.asarray(orientation.orient_image(draw(index, quarter_turns=True), marks))
        counts[next(k for k in range(4) if np.array_equal(image, turns[k]))] += 1
    assert min(counts) > 15


@pytest.mark.parametrize(("kind", "changed"), [("horizontal_flip", 2), ("vertical_flip", 1)])
def test_flips_happen_for_about_half_and_only_when_asked(kind, changed):
    drawn = np.array([[bool(bit) for bit in draw(index, **{kind: True})] for index in range(160)])
    assert 60 < drawn[:, changed].sum() < 100
    assert not np.delete(drawn, changed, axis=1).any()
