"""Mosaic: one picture composed of parts of four (Bochkovskiy et al., YOLOv4, section 3.3).

The network sees objects in more surroundings, and truncated more often, than the photos show.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from efficientvision.data.transforms.preprocess import Size

NUM_FRAMES = 4
# Point where the four parts meet, as a fraction of each side, uniform between these.
SPLIT_MIN, SPLIT_MAX = 0.25, 0.75


def draw_frames(seed: tf.Tensor, canvas_hw: Size) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws the division of the canvas.

    Args:
        seed: int [2].
        canvas_hw: (height, width).

    Returns:
        (origins_yx, sizes_hw), int32 [4, 2] each: top left, top right, bottom left, bottom right.
    """
    fraction = tf.random.stateless_uniform([2], seed, SPLIT_MIN, SPLIT_MAX)
    size = tf.constant(canvas_hw, tf.int32)
    split = tf.cast(tf.cast(size, tf.float32) * fraction, tf.int32)
    second = tf.constant([[0, 0], [0, 1], [1, 0], [1, 1]]) > 0
    return tf.where(second, split, 0), tf.where(second, size - split, split)


def compose(parts: Sequence[tf.Tensor], canvas_hw: Size) -> tf.Tensor:
    """Joins the four parts, uint8 [*sizes_hw, 3] in the order of `draw_frames`, to the canvas."""
    rows = [tf.concat(parts[row : row + 2], axis=1) for row in (0, 2)]
    return tf.ensure_shape(tf.concat(rows, axis=0), [*canvas_hw, 3])
