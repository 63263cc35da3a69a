"""GridMask (Chen et al., 2020): black squares in a rotated grid; boxes stay unchanged."""

from __future__ import annotations

import tensorflow as tf

# The original's settings. It masked if a number from N(0, 1) was below 0.5, which happens to 69
# of 100 photos, and rotated the grid by 10 degrees times a number from N(-1, 1).
BELOW = 0.5
KEPT_SHARE = 0.6
TURN_DEGREES, TURN_MEAN = 10.0, -1.0
# The grid's spacing is between these fractions of the height and of the width.
SPACING_OF_HEIGHT, SPACING_OF_WIDTH = 0.5, 0.3


def random_grid_mask(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Puts a random grid on an image, or leaves it alone: uint8 [h, w, 3], seed int [2]."""
    normal = tf.random.stateless_normal([2], seed)
    numbers = tf.random.stateless_uniform([3], tf.random.experimental.stateless_fold_in(seed, 1))

    def masked() -> tf.Tensor:
        size_hw = tf.shape(image)[:2]
        sides = tf.cast(size_hw, tf.float32) * [SPACING_OF_HEIGHT, SPACING_OF_WIDTH]
        low, high = (tf.floor(f(sides)) for f in (tf.reduce_min, tf.reduce_max))
        spacing = tf.maximum(tf.floor(low + (high - low) * numbers[0]), 2.0)
        degrees = TURN_DEGREES * (TURN_MEAN + normal[1])
        kept = grid_mask(size_hw, spacing, tf.floor(spacing * numbers[1:]), degrees)
        return image * tf.cast(kept, tf.uint8)[..., tf.newaxis]

    return tf.cond(normal[0] < BELOW, masked, lambda: image)


def grid_mask(
    size_hw: tf.Tensor, spacing: tf.Tensor, start_yx: tf.Tensor, degrees: tf.Tensor
) -> tf.Tensor:
    """Bool [h, w], False in the squares, which no stripe of either direction covers.

    Args:
        size_hw: int32 [2].
        spacing: float32 [], pixels from one stripe to the next; stripes are `KEPT_SHARE` of it
            wide, rounded, and at least a pixel narrower.
        start_yx: float32 [2], start of a stripe of each direction, before the rotation.
        degrees: float32 [], rotation about the centre, anticlockwise.
    """
    width = tf.clip_by_value(tf.floor(spacing * KEPT_SHARE + 0.5), 1.0, spacing - 1.0)
    radians = degrees * (3.141592653589793 / 180.0)
    middle = tf.cast(size_hw, tf.float32) / 2.0
    y = tf.range(size_hw[0], dtype=tf.float32)[:, tf.newaxis] + 0.5 - middle[0]
    x = tf.range(size_hw[1], dtype=tf.float32)[tf.newaxis, :] + 0.5 - middle[1]
    across = tf.sin(radians) * x + tf.cos(radians) * y + middle[0] - start_yx[0]
    along = tf.cos(radians) * x - tf.sin(radians) * y + middle[1] - start_yx[1]
    return (tf.math.floormod(across, spacing) < width) | (tf.math.floormod(along, spacing) < width)
