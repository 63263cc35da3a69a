"""Random scale and random crop of an image and its label map, as in EdgeNets' segmentation.

The photo is scaled by a random factor, and a window of the input's size is cut out. A photo that is
smaller is placed near the centre of the window, and the rest is black and ignored. Image and mask
are each rendered in one step, from one plan: no pixel outside the window is computed.
"""

from __future__ import annotations

import tensorflow as tf

from efficientvision.data.transforms.placement import Placement


def draw_scale_crop(
    seed: tf.Tensor, source_hw: tf.Tensor, window_hw: tf.Tensor, scale: tuple[float, float]
) -> Placement:
    """Draws a scale factor and a window.

    Args:
        seed: int [2]; one seed, one plan.
        source_hw: int32 [2], the photo's size.
        window_hw: int32 [2], size of the window.
        scale: Range of the factor, uniform in the logarithm.
    """
    numbers = tf.random.stateless_uniform([3], seed)
    return place_scale_crop(numbers, source_hw, window_hw, scale)


def place_scale_crop(
    numbers: tf.Tensor, source_hw: tf.Tensor, window_hw: tf.Tensor, scale: tuple[float, float]
) -> Placement:
    """Computes the plan from random numbers; see `draw_scale_crop`.

    Args:
        numbers: float32 [3] in [0, 1): scale, row, column.
        source_hw, window_hw: int32 [2].
        scale: Range of the factor.
    """
    low, high = tf.math.log(float(scale[0])), tf.math.log(float(scale[1]))
    factor = tf.exp(low + numbers[0] * (high - low))
    scaled_hw = tf.maximum(tf.cast(tf.cast(source_hw, tf.float32) * factor, tf.int32), 1)
    # Equal padding on both sides: over a small photo the window moves by at most one pixel.
    padding = tf.maximum(window_hw - scaled_hw + 1, 0) // 2
    places = scaled_hw + 2 * padding - window_hw + 1
    offset = tf.cast(numbers[1:] * tf.cast(places, tf.float32), tf.int32)
    part_yx = padding - tf.minimum(offset, places - 1)
    return Placement(tf.zeros_like(source_hw), source_hw, part_yx, scaled_hw, window_hw)


def render_image(image: tf.Tensor, plan: Placement) -> tf.Tensor:
    """Renders the window of a photo: Lanczos, antialiased, black outside.

    Args:
        image: uint8 [h, w, 3], the whole photo.
        plan: Plan for this photo.

    Returns:
        uint8 [H, W, 3].
    """
    window = tf.raw_ops.ScaleAndTranslate(
        images=image[tf.newaxis],
        size=plan.canvas_hw,
        scale=tf.cast(plan.part_hw, tf.float32) / tf.cast(plan.crop_hw, tf.float32),
        translation=tf.cast(plan.part_yx, tf.float32),
        kernel_type="lanczos3",
        antialias=True,
    )[0]
    return tf.cast(tf.clip_by_value(tf.round(window), 0.0, 255.0), tf.uint8)


def render_mask(mask: tf.Tensor, plan: Placement, outside: int) -> tf.Tensor:
    """Renders the window of a label map: the class of the nearest pixel, never a mixture.

    Args:
        mask: uint8 [h, w], mask of the whole photo.
        plan: Plan for this photo.
        outside: Class of the padding.

    Returns:
        uint8 [H, W].
    """
    rows, columns = (_nearest(plan, axis) for axis in range(2))
    window = tf.gather(tf.gather(mask, tf.maximum(rows, 0)), tf.maximum(columns, 0), axis=1)
    inside = (rows >= 0)[:, tf.newaxis] & (columns >= 0)
    return tf.where(inside, window, tf.constant(outside, mask.dtype))


def _nearest(plan: Placement, axis: int) -> tf.Tensor:
    """Row or column of the source under each pixel centre, int64 [window side]; -1: none."""
    source, scaled = (tf.cast(hw[axis], tf.int64) for hw in (plan.crop_hw, plan.part_hw))
    places = tf.cast(tf.range(plan.canvas_hw[axis]) - plan.part_yx[axis], tf.int64)
    # (place + 1/2) * source / scaled, in integers, so rounding plays no role.
    nearest = (2 * places + 1) * source // (2 * scaled)
    return tf.where((places >= 0) & (places < scaled), nearest, -1)
