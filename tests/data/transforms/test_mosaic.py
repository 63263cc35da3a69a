"""Mosaic: how the canvas is divided."""

import numpy as np
import tensorflow as tf

from efficientvision.data.transforms import mosaic


def test_frames_tile_the_canvas_around_a_point_near_the_middle():
    splits = []
    for index in range(60):
        origins, sizes = (v.numpy() for v in mosaic.draw_frames(tf.constant([5, index]), (64, 100)))
        covered = np.zeros((64, 100), int)
        for (y, x), (height, width) in zip(origins, sizes, strict=True):
            covered[y : y + height, x : x + width] += 1
        assert (covered == 1).all()
        splits.append(origins[3] / [64, 100])
    splits = np.array(splits)
    assert (splits >= 0.24).all() and (splits < 0.75).all()
    assert (splits.min(0) < 0.32).all() and (splits.max(0) > 0.68).all()
