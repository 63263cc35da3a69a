"""Scale jitter of image and boxes: how large a photo is shown, and which part of it.

The geometry is planned first, from the photo's size alone; then only the part of the photo that
will be seen is decoded, resized once and put on the canvas. Randomness is stateless: the same two
numbers always give the same image.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from efficientvision.data.transforms import preprocess
from efficientvision.data.transforms.orientation import Orientation, orient_image, oriented_size
from efficientvision.data.transforms.preprocess import Size


class JitterPlan(NamedTuple):
    """Which part of a (possibly mirrored or turned) photo goes where on the canvas.

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


def draw_jitter(
    seed: tf.Tensor, jitter_min: float, jitter_max: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws a scale factor between the two, float32 [], and an offset in [0, 1), float32 [2]."""
    numbers = tf.random.stateless_uniform([3], seed)
    return jitter_min + (jitter_max - jitter_min) * numbers[0], numbers[1:]


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
    window_hw = tf.constant(canvas_hw, tf.int32)
    return _plan(source_hw, scale, fitted_hw, window_hw, offset_fraction_yx)


def plan_tile(
    source_hw: tf.Tensor,
    canvas_hw: Size,
    tile_hw: tf.Tensor,
    scale_factor: tf.Tensor | float = 1.0,
    offset_fraction_yx: tf.Tensor | tuple[float, float] = (0.0, 0.0),
) -> JitterPlan:
    """The geometry of a photo that fills a part of the canvas without padding.

    The photo has the size that :func:`plan_jitter` would give it, or, where that leaves part of
    the tile empty, the least size that covers the tile; aspect ratio kept.

    Args:
        source_hw, canvas_hw, scale_factor, offset_fraction_yx: as in :func:`plan_jitter`.
        tile_hw: int32 [2], height and width of the part.
    """
    source = tf.cast(source_hw, tf.float32)
    scale, _ = preprocess.fitted_size(source_hw, canvas_hw, scale_factor)
    scale = tf.maximum(scale, tf.reduce_max(tf.cast(tile_hw, tf.float32) / source))
    fitted_hw = tf.maximum(tf.cast(tf.round(source * scale), tf.int32), tile_hw)
    return _plan(source_hw, scale, fitted_hw, tile_hw, offset_fraction_yx)


def _plan(
    source_hw: tf.Tensor,
    scale: tf.Tensor,
    fitted_hw: tf.Tensor,
    window_hw: tf.Tensor,
    offset_fraction_yx: tf.Tensor | tuple[float, float],
) -> JitterPlan:
    """A window on the photo scaled to ``fitted_hw``."""
    valid_hw = tf.minimum(fitted_hw, window_hw)
    per_pixel = tf.cast(source_hw, tf.float32) / tf.cast(fitted_hw, tf.float32)
    crop_hw = tf.cast(tf.round(tf.cast(valid_hw, tf.float32) * per_pixel), tf.int32)
    crop_hw = tf.clip_by_value(crop_hw, 1, source_hw)
    excess = tf.cast(fitted_hw - valid_hw, tf.float32)
    offset = tf.floor(excess * tf.convert_to_tensor(offset_fraction_yx, tf.float32))
    crop_yx = tf.cast(tf.round(offset * per_pixel), tf.int32)
    crop_yx = tf.minimum(crop_yx, source_hw - crop_hw)
    return JitterPlan(crop_yx, crop_hw, valid_hw, 1.0 / scale)


def place_boxes(
    boxes_normalized_yxyx: tf.Tensor, source_hw: tf.Tensor, plan: JitterPlan
) -> tf.Tensor:
    """Boxes [n, 4] of the photo, in [0, 1] -> pixels of the canvas or tile, not clipped."""
    source = tf.cast(tf.tile(source_hw, [2]), tf.float32)
    offset = tf.cast(tf.tile(plan.crop_yx, [2]), tf.float32)
    zoom = tf.cast(plan.valid_hw, tf.float32) / tf.cast(plan.crop_hw, tf.float32)
    whole = tf.reduce_all(tf.equal(plan.crop_hw, source_hw))
    # Without a crop, multiply once, as the original does: then the numbers agree to the last bit.
    return tf.where(
        whole,
        boxes_normalized_yxyx * tf.cast(tf.tile(plan.valid_hw, [2]), tf.float32),
        (boxes_normalized_yxyx * source - offset) * tf.tile(zoom, [2]),
    )


def clip_boxes(boxes_yxyx: tf.Tensor, canvas_hw: Size) -> tf.Tensor:
    """Clips boxes [n, 4], in pixels, to [0, size - 1] of the canvas, as the original does."""
    limit = tf.constant([canvas_hw[0] - 1, canvas_hw[1] - 1] * 2, tf.float32)
    return tf.clip_by_value(boxes_yxyx, 0.0, limit)


def has_area(boxes_yxyx: tf.Tensor) -> tf.Tensor:
    """Bool [n]: True for boxes whose height and width are positive."""
    return tf.reduce_all(boxes_yxyx[:, 2:] > boxes_yxyx[:, :2], axis=-1)


def render(crop: tf.Tensor, orientation: Orientation, plan: JitterPlan) -> tf.Tensor:
    """The decoded part uint8 [h, w, 3], as stored -> uint8 [*valid_hw, 3], rounded, oriented."""
    resized = preprocess.resize_bilinear(crop, oriented_size(orientation, plan.valid_hw))
    return orient_image(orientation, tf.cast(tf.round(resized), tf.uint8))


def pad_rows(values: tf.Tensor, count: int, fill: float | int) -> tf.Tensor:
    """[n, ...] -> [count, ...]: the first ``count`` rows, filled up with ``fill``."""
    values = values[:count]
    paddings = [[0, count - tf.shape(values)[0]]] + [[0, 0]] * (values.shape.rank - 1)
    padded = tf.pad(values, paddings, constant_values=tf.cast(fill, values.dtype))
    padded.set_shape([count, *values.shape[1:]])
    return padded
