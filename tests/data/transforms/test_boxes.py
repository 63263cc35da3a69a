"""Boxes: cut to a frame, padded to a fixed number."""

import numpy as np
import tensorflow as tf

from efficientvision.data.transforms import boxes


def test_boxes_cut_to_a_frame_lose_their_slivers():
    given = tf.constant(
        [
            [10.0, 20.0, 30.0, 40.0],  # inside
            [-20.0, -20.0, 20.0, 20.0],  # a quarter of it inside
            [-19.0, 0.0, 1.9, 50.0],  # a strip of less than two pixels
            [-46.0, 0.0, 4.0, 50.0],  # 8 of 100
            [60.0, 0.0, 70.0, 10.0],  # outside
            [5.0, 5.0, 5.0, 9.0],  # without area
        ]
    )
    clipped, kept = boxes.crop_boxes(given, tf.constant([50, 60]))
    assert kept.numpy().tolist() == [True, True, False, False, False, False]
    np.testing.assert_array_equal(clipped[:2], [[10, 20, 30, 40], [0, 0, 20, 20]])


def test_pad_rows_cuts_and_fills():
    rows = tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    np.testing.assert_array_equal(boxes.pad_rows(rows, 2, -1.0), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(boxes.pad_rows(rows[:1], 2, -1.0), [[1, 2], [-1, -1]])
