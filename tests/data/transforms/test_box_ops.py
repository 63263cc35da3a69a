"""Operations on single objects: what changes inside the boxes, and that nothing else does."""

import numpy as np
import tensorflow as tf

from efficientvision.data.transforms import box_ops

SIZE = (60, 80)
BOXES = np.array([[5, 5, 25, 30], [30, 40, 55, 75], [0, 60, 10, 80], [9, 9, 9, 20]], np.float32)
NORMALIZED = tf.constant(BOXES / [60, 80, 60, 80], tf.float32)


def inverted(part, seed):
    return 255 - part


@tf.function
def invert_some(image, probability, seed):
    return box_ops.on_boxes(image, NORMALIZED, probability, seed, inverted)


def changed_by(probability, index):
    image = np.random.default_rng(index).integers(0, 100, (*SIZE, 3), np.uint8)
    result = invert_some(
        tf.constant(image), tf.constant(probability), tf.constant([1, index])
    ).numpy()
    changed = (result != image).all(-1)
    np.testing.assert_array_equal(result[changed], 255 - image[changed])
    return changed


def area(changed, box):
    y0, x0, y1, x1 = box.astype(int)
    return changed[y0:y1, x0:x1].mean() if y1 > y0 else 0.0


def test_every_box_with_area_and_nothing_else():
    changed = changed_by(3.0, 0)  # divided by three: certain
    expected = np.zeros(SIZE, bool)
    for y0, x0, y1, x1 in BOXES[:3].astype(int):
        expected[y0:y1, x0:x1] = True
    np.testing.assert_array_equal(changed, expected)


def test_boxes_are_drawn_one_by_one_at_a_third_of_the_probability():
    counts = np.zeros(3)
    for index in range(90):
        changed = changed_by(1.0, index)
        shares = [area(changed, box) for box in BOXES[:3]]
        assert set(shares) <= {0.0, 1.0}
        counts += shares
    assert (counts > 18).all() and (counts < 43).all()


def test_parts_draw_their_own_numbers():
    def note(part, seed):
        return part + tf.cast(tf.random.stateless_uniform([], seed, 1, 200, tf.int32), tf.uint8)

    image = tf.zeros([*SIZE, 3], tf.uint8)
    result = box_ops.on_boxes(image, NORMALIZED, tf.constant(3.0), tf.constant([7, 7]), note)
    seeds = [int(result[int(y0) + 1, int(x0) + 1, 0]) for y0, x0, _, _ in BOXES[:3]]
    assert len(set(seeds)) == 3
    again = box_ops.on_boxes(image, NORMALIZED, tf.constant(3.0), tf.constant([7, 7]), note)
    np.testing.assert_array_equal(result, again)


def test_without_boxes_nothing_happens():
    image = tf.ones([*SIZE, 3], tf.uint8)
    none = tf.zeros([0, 4])
    seed = tf.constant([0, 1])
    np.testing.assert_array_equal(
        box_ops.on_boxes(image, none, tf.constant(3.0), seed, inverted), image
    )
    np.testing.assert_array_equal(box_ops.cutout_in_box(image, none, tf.constant(0.5), seed), image)


def test_cutout_in_a_box():
    image = np.full((*SIZE, 3), 7, np.uint8)
    chosen = set()
    for index in range(40):
        result = box_ops.cutout_in_box(
            tf.constant(image), NORMALIZED[:2], tf.constant(0.5), tf.constant([3, index])
        ).numpy()
        grey = (result == 128).all(-1)
        assert ((result == 7).all(-1) | grey).all()
        rows, columns = np.flatnonzero(grey.any(1)), np.flatnonzero(grey.any(0))
        assert grey.sum() == len(rows) * len(columns)
        middle = (rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2
        inside = [
            k
            for k, (y0, x0, y1, x1) in enumerate(BOXES[:2])
            if y0 - 1 <= middle[0] <= y1 and x0 - 1 <= middle[1] <= x1
        ]
        (k,) = inside
        height, width = BOXES[k, 2:] - BOXES[k, :2]
        assert len(rows) <= 0.5 * height and len(columns) <= 0.5 * width
        chosen.add(k)
    assert chosen == {0, 1}
