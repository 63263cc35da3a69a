"""Scale jitter of image and boxes: the scale at which a photo is shown, and the part shown.

The geometry is planned first, from the photo's size alone; then only the visible part of the photo
is decoded, resized once and put on the canvas. Randomness is stateless: the same seed always gives
the same image.
"""

from __future__ import annotations

import tensorflow as tf

from efficientvision.data.transforms import preprocess
from efficientvision.data.transforms.placement import Placement
from efficientvision.data.transforms.preprocess import Size


def draw_jitter(
    seed: tf.Tensor, jitter_min: float, jitter_max: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws a scale factor in this range, float32 [], and an offset in [0, 1), float32 [2]."""
    numbers = tf.random.stateless_uniform([3], seed)
    return jitter_min + (jitter_max - jitter_min) * numbers[0], numbers[1:]


def plan_jitter(
    source_hw: tf.Tensor,
    canvas_hw: Size,
    scale_factor: tf.Tensor | float = 1.0,
    offset_fraction_yx: tf.Tensor | tuple[float, float] = (0.0, 0.0),
    *,
    frame_hw: tf.Tensor | None = None,
    fill_frame: tf.Tensor | bool = False,
) -> tuple[Placement, tf.Tensor]:
    """Plans the original's scale jitter.

    The photo is fitted to ``scale_factor`` times the canvas. Anything beyond the canvas is cut off,
    at an offset that is the given fraction of the excess; anything missing is padding. The visible
    part is rounded to whole pixels of the photo, so that nothing else need be decoded; boxes follow
    the rounded part exactly (`placement.place_boxes`).

    Args:
        source_hw: int32 [2], the photo's size.
        canvas_hw: (height, width) of the network input.
        scale_factor: 1 fits the photo to the canvas.
        offset_fraction_yx: Two numbers in [0, 1).
        frame_hw: int32 [2], part of the canvas that the photo is cropped to; None: all of it.
        fill_frame: bool []: enlarge a photo that would leave padding until it does not.

    Returns:
        (placement, image_scale): the photo in the frame's top-left corner; float32 [], pixels of
        the photo per pixel of the canvas.
    """
    frame_hw = tf.constant(canvas_hw, tf.int32) if frame_hw is None else frame_hw
    source = tf.cast(source_hw, tf.float32)
    scale, fitted_hw = preprocess.fitted_size(source_hw, canvas_hw, scale_factor)
    filling = tf.maximum(scale, tf.reduce_max(tf.cast(frame_hw, tf.float32) / source))
    scale = tf.where(fill_frame, filling, scale)
    filling_hw = tf.maximum(tf.cast(source * scale, tf.int32), frame_hw)
    fitted_hw = tf.where(fill_frame, filling_hw, fitted_hw)
    valid_hw = tf.minimum(fitted_hw, frame_hw)
    per_pixel = source / tf.cast(fitted_hw, tf.float32)
    crop_hw = tf.cast(tf.round(tf.cast(valid_hw, tf.float32) * per_pixel), tf.int32)
    crop_hw = tf.clip_by_value(crop_hw, 1, source_hw)
    excess = tf.cast(fitted_hw - valid_hw, tf.float32)
    offset = tf.floor(excess * tf.convert_to_tensor(offset_fraction_yx, tf.float32))
    crop_yx = tf.cast(tf.round(offset * per_pixel), tf.int32)
    crop_yx = tf.minimum(crop_yx, source_hw - crop_hw)
    return Placement(crop_yx, crop_hw, tf.zeros_like(crop_yx), valid_hw, frame_hw), 1.0 / scale
