import numpy as np
import pytest
import tensorflow as tf

from efficientvision.data import boxes


@pytest.mark.parametrize("xp", [np, tf])
def test_iou_of_hand_computed_pairs(xp):
    a = np.array([[0, 0, 10, 10], [0, 0, 4, 5], [3, 3, 3, 3]], np.float32)
    b = np.array([[5, 0, 15, 10], [10, 10, 12, 12], [3, 3, 3, 3], [8, 8, 2, 2]], np.float32)
    expected = [[50 / 150, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(boxes.iou(a[:, None], b[None], xp=xp), expected, rtol=1e-6)


def test_pixel_extent_counts_inclusive_corners():
    box = np.array([0.0, 0.0, 9.0, 9.0])
    assert boxes.area(box, xp=np, pixel_extent=1.0) == 100
    other = np.array([5.0, 0.0, 14.0, 9.0])
    assert boxes.iou(box, other, xp=np, pixel_extent=1.0) == pytest.approx(50 / 150)


def test_decode_inverts_encode():
    rng = np.random.default_rng(0)
    corner = rng.uniform(-20, 100, (2, 50, 2))
    made = np.concatenate([corner, corner + rng.uniform(1, 80, (2, 50, 2))], -1).astype(np.float32)
    box_deltas = boxes.encode(made[0], made[1])
    np.testing.assert_allclose(boxes.decode(box_deltas, made[1]), made[0], atol=1e-3)


def test_encode_has_no_variances():
    code = boxes.encode(np.float32([5, 0, 25, 40]), np.float32([0, 0, 10, 20]))
    np.testing.assert_allclose(code, [1.0, 0.5, np.log(2), np.log(2)], rtol=1e-5)


def test_clip_knows_height_from_width():
    clipped = boxes.clip_boxes(tf.constant([[-1.0, -2.0, 50.0, 50.0]]), (10, 30))
    np.testing.assert_array_equal(clipped, [[0, 0, 10, 30]])
