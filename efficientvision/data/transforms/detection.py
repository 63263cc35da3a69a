"""Detection transforms: horizontal flip and scale jitter, of images and boxes alike.

The geometry is planned first, from the photo's size alone (:func:`plan_jitter`); then only the part
of the photo that will be seen is decoded, resized once and put on the canvas. Randomness is
stateless: the same two numbers always give the same image.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from efficientvision.data.transforms import preprocess
from efficientvision.data.transforms.preprocess import Size


class JitterPlan(NamedTuple):
    """Which part of a (possibly mirrored) photo goes where on the canvas.

    Attributes:
        crop_yx: int32 [2], first row and column of the part seen, in pixels of the photo.
        crop_hw: int32 [2], its size in pixels of the photo.
        valid_hw: int32 [2], its size on the canvas; the rest of the canvas is padding.
        image_scale: float32 [], pixels of the photo per pixel of the canvas.
    """

    crop_yx: tf.Tensor
    crop_hw: tf.Tensor
    valid_hw: tf.Tensor
    image_scale: tf.Tensor


def flip_boxes(boxes_normalized_yxyx: tf.Tensor) -> tf.Tensor:
    """Mirrors boxes [n, 4], in [0, 1], left to right."""
    ymin, xmin, ymax, xmax = tf.unstack(boxes_normalized_yxyx, axis=-1)
    return tf.stack([ymin, 1.0 - xmax, ymax, 1.0 - xmin], axis=-1)


def plan_jitter(
    source_hw: tf.Tensor,
    canvas_hw: Size,
    scale_factor: tf.Tensor | float = 1.0,
    offset_fraction_yx: tf.Tensor | tuple[float, float] = (0.0, 0.0),
) -> JitterPlan:
    """The geometry of the original's scale jitter.

    The photo is fitted to ``scale_factor`` times the canvas. What then exceeds the canvas is cut
    off, at an offset that is the given fraction of the excess; what falls short is padding. The
    part seen is rounded to whole pixels of the photo, so that nothing else need be decoded; boxes
    follow the rounded part exactly (:func:`place_boxes`).

    Args:
        source_hw: int32 [2], the photo's size.
        canvas_hw: (height, width) of the network input.
        scale_factor: 1 fits the photo to the canvas.
        offset_fraction_yx: two numbers in [0, 1).
    """
    scale, fitted_hw = preprocess.fitted_size(source_hw, canvas_hw, scale_factor)
    source = tf.cast(source_hw, tf.float32)
    fitted = tf.cast(fitted_hw, tf.float32)
    valid_hw = tf.minimum(fitted_hw, tf.constant(canvas_hw, tf.int32))
    per_pixel = source / fitted
    crop_hw = tf.cast(tf.round(tf.cast(valid_hw, tf.float32) * per_pixel), tf.int32)
    crop_hw = tf.clip_by_value(crop_hw, 1, source_hw)
    excess = tf.cast(fitted_hw - valid_hw, tf.float32)
    offset = tf.floor(excess * tf.convert_to_tensor(offset_fraction_yx, tf.float32))
    crop_yx = tf.cast(tf.round(offset * per_pixel), tf.int32)
    crop_yx = tf.minimum(crop_yx, source_hw - crop_hw)
    return JitterPlan(crop_yx, crop_hw, valid_hw, 1.0 / scale)


def place_boxes(
    boxes_normalized_yxyx: tf.Tensor, source_hw: tf.Tensor, plan: JitterPlan, canvas_hw: Size
) -> tf.Tensor:
    """Boxes [n, 4] of the photo, in [0, 1] -> pixels of the canvas, clipped to [0, size - 1]."""
    source = tf.cast(tf.tile(source_hw, [2]), tf.float32)
    offset = tf.cast(tf.tile(plan.crop_yx, [2]), tf.float32)
    zoom = tf.cast(plan.valid_hw, tf.float32) / tf.cast(plan.crop_hw, tf.float32)
    whole = tf.reduce_all(tf.equal(plan.crop_hw, source_hw))
    # Without a crop, multiply once, as the original does: then the numbers agree to the last bit.
    boxes = tf.where(
        whole,
        boxes_normalized_yxyx * tf.cast(tf.tile(plan.valid_hw, [2]), tf.float32),
        (boxes_normalized_yxyx * source - offset) * tf.tile(zoom, [2]),
    )
    return clip_boxes(boxes, canvas_hw)


def clip_boxes(boxes_yxyx: tf.Tensor, canvas_hw: Size) -> tf.Tensor:
    """Clips boxes [n, 4], in pixels, to [0, size - 1] of the canvas, as the original does."""
    limit = tf.constant([canvas_hw[0] - 1, canvas_hw[1] - 1] * 2, tf.float32)
    return tf.clip_by_value(boxes_yxyx, 0.0, limit)


def has_area(boxes_yxyx: tf.Tensor) -> tf.Tensor:
    """Bool [n]: True for boxes whose height and width are positive."""
    return tf.reduce_all(boxes_yxyx[:, 2:] > boxes_yxyx[:, :2], axis=-1)


def draw_plan(
    seed: tf.Tensor,
    source_hw: tf.Tensor,
    canvas_hw: Size,
    *,
    random_flip: bool,
    jitter_min: float,
    jitter_max: float,
) -> tuple[tf.Tensor, JitterPlan]:
    """Draws an augmentation.

    Args:
        seed: int [2]; one seed, one augmentation.
        source_hw: int32 [2], the photo's size.
        canvas_hw: (height, width) of the network input.
        random_flip: mirror every second image, on average.
        jitter_min, jitter_max: the scale factor is uniform between them.

    Returns:
        (flip, plan): bool [], and the geometry on the photo after that flip.
    """
    numbers = tf.random.stateless_uniform([4], seed)
    flip = tf.logical_and(numbers[0] < 0.5, random_flip)
    scale_factor = jitter_min + (jitter_max - jitter_min) * numbers[1]
    return flip, plan_jitter(source_hw, canvas_hw, scale_factor, numbers[2:])


def mirrored_crop(flip: tf.Tensor, plan: JitterPlan, source_hw: tf.Tensor) -> tf.Tensor:
    """First row and column, in the photo as stored, of the part that the plan sees flipped."""
    x = tf.where(flip, source_hw[1] - plan.crop_yx[1] - plan.crop_hw[1], plan.crop_yx[1])
    return tf.stack([plan.crop_yx[0], x])


def render(crop: tf.Tensor, flip: tf.Tensor, plan: JitterPlan, canvas_hw: Size) -> tf.Tensor:
    """The decoded part uint8 [h, w, 3] -> the canvas uint8 [H, W, 3], rounded, padded with 0."""
    resized = preprocess.resize_bilinear(crop, plan.valid_hw)
    pixels = tf.cast(tf.round(resized), tf.uint8)
    pixels = tf.cond(flip, lambda: tf.reverse(pixels, axis=[1]), lambda: pixels)
    return preprocess.pad_to_canvas(pixels, canvas_hw)


def pad_rows(values: tf.Tensor, count: int, fill: float | int) -> tf.Tensor:
    """[n, ...] -> [count, ...]: the first ``count`` rows, filled up with ``fill``."""
    values = values[:count]
    paddings = [[0, count - tf.shape(values)[0]]] + [[0, 0]] * (values.shape.rank - 1)
    padded = tf.pad(values, paddings, constant_values=tf.cast(fill, values.dtype))
    padded.set_shape([count, *values.shape[1:]])
    return padded
