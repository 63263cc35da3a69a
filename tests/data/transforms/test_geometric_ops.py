"""Rotation, shear and translation: pixels as PIL moves them, boxes that go with the pixels."""

import math

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientvision.data.transforms import geometric_ops

SIZE = (90, 140)
CASES = [
    (geometric_ops.rotation, 30.0),
    (geometric_ops.rotation, -12.0),
    (geometric_ops.shear_x, 0.3),
    (geometric_ops.shear_x, -0.24),
    (geometric_ops.shear_y, 0.18),
    (geometric_ops.shear_y, -0.3),
    (geometric_ops.translation_x, 25.0),
    (geometric_ops.translation_x, -40.0),
    (geometric_ops.translation_y, 11.0),
    (geometric_ops.translation_y, -33.0),
]
IDS = [f"{make.__name__}{amount:+g}" for make, amount in CASES]


def coefficients(make, amount):
    """PIL's six numbers for the same movement, from its documentation: new (x, y) -> old."""
    if make is geometric_ops.rotation:
        angle = math.radians(amount)
        cosine, sine = math.cos(angle), math.sin(angle)
        y, x = SIZE[0] / 2, SIZE[1] / 2
        return cosine, -sine, x - cosine * x + sine * y, sine, cosine, y - sine * x - cosine * y
    if make is geometric_ops.shear_x:
        return 1, amount, 0, 0, 1, 0
    if make is geometric_ops.shear_y:
        return 1, 0, 0, amount, 1, 0
    if make is geometric_ops.translation_x:
        return 1, 0, amount, 0, 1, 0
    return 1, 0, 0, 0, 1, amount


def mapping(make, amount):
    return make(tf.constant(amount), tf.constant(SIZE))


@pytest.mark.parametrize(("make", "amount"), CASES, ids=IDS)
def test_pixels_are_pils(make, amount):
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    expected = Image.fromarray(image).transform(
        SIZE[::-1],
        Image.Transform.AFFINE,
        coefficients(make, amount),
        Image.Resampling.NEAREST,
        fillcolor=(128, 128, 128),
    )
    result = geometric_ops.move_image(tf.constant(image), mapping(make, amount))
    assert result.dtype == tf.uint8 and result.shape == (*SIZE, 3)
    differing = (result.numpy() != np.asarray(expected)).any(-1)
    # Exactly between two pixels either is the nearest.
    assert differing.mean() < 0.02
    if amount == int(amount) and make not in (geometric_ops.rotation,):
        assert not differing.any()


def test_a_positive_rotation_is_anticlockwise():
    image = np.zeros((*SIZE, 3), np.uint8)
    image[40:50, 100:] = 255  # a bar to the right of the middle
    turned = geometric_ops.move_image(image, mapping(geometric_ops.rotation, 30.0)).numpy()
    rows, _ = np.nonzero(turned[:, 100:, 0] == 255)
    assert rows.max() < 40


@pytest.mark.parametrize(("make", "amount"), CASES, ids=IDS)
def test_boxes_go_with_their_pixels(make, amount):
    image = np.zeros((*SIZE, 3), np.uint8)
    image[30:55, 50:80] = 255
    affine = mapping(make, amount)
    moved = geometric_ops.move_image(image, affine).numpy()[..., 0] == 255
    size = np.array([*SIZE, *SIZE])
    box = np.array([[30, 50, 55, 80]], np.float32) / size
    result = geometric_ops.move_boxes(tf.constant(box, tf.float32), affine, tf.constant(SIZE))[0]
    rows, columns = np.flatnonzero(moved.any(1)), np.flatnonzero(moved.any(0))
    seen = [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]
    np.testing.assert_allclose(result * size, seen, atol=1.01)


def test_a_box_that_has_left_has_no_area():
    boxes = tf.constant([[0.1, 0.02, 0.4, 0.15], [0.1, 0.02, 0.4, 0.9]])
    moved = geometric_ops.move_boxes(
        boxes, mapping(geometric_ops.translation_x, 40.0), tf.constant(SIZE)
    ).numpy()
    assert moved[0, 1] == moved[0, 3] == 0.0
    np.testing.assert_allclose(moved[1], [0.1, 0.0, 0.4, 0.9 - 40 / 140], atol=1e-6)
