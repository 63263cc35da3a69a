"""Where a photo goes on the network's input: the geometry that all crops of training share.

A planner (`jitter`, `sample_frame`, `scale_crop`, `random_crop`) computes a placement from sizes
and random numbers alone. Boxes and pixels then follow it, so nothing else need be decoded.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from efficientvision.data.transforms.orientation import Orientation, orient_image, oriented_size
from efficientvision.data.transforms.preprocess import Size, resize_bilinear


class Placement(NamedTuple):
    """A rectangle of the photo and the rectangle of the canvas that it is stretched to.

    The rest of the canvas is padding. `scale_crop` places whole photos, on a part that may reach
    beyond the canvas; with the other planners it lies inside.

    Attributes:
        crop_yx, crop_hw: int32 [2], first row and column, and size, in pixels of the photo.
        part_yx, part_hw: int32 [2], the same in pixels of the canvas.
        canvas_hw: int32 [2] or (height, width), the size of the canvas.
    """

    crop_yx: tf.Tensor
    crop_hw: tf.Tensor
    part_yx: tf.Tensor
    part_hw: tf.Tensor
    canvas_hw: tf.Tensor | Size


def place_boxes(
    boxes_yxyx: tf.Tensor, placement: Placement, source_hw: tf.Tensor | None = None
) -> tf.Tensor:
    """Moves boxes from the photo to the canvas.

    Args:
        boxes_yxyx: float32 [n, 4], pixels of the photo; fractions of it if `source_hw` is given.
        placement: Where the photo goes.
        source_hw: int32 [2], the photo's size.

    Returns:
        float32 [n, 4], pixels of the canvas, not clipped.
    """
    crop_yx, crop_hw, part_yx, part_hw = (
        tf.cast(tf.tile(corner, [2]), tf.float32) for corner in placement[:4]
    )
    pixels = boxes_yxyx
    if source_hw is not None:
        pixels *= tf.cast(tf.tile(source_hw, [2]), tf.float32)
    placed = (pixels - crop_yx) * (part_hw / crop_hw)
    if source_hw is not None:
        # Without a crop, multiply once, as the original does: the numbers agree to the last bit.
        whole = tf.reduce_all(tf.equal(placement.crop_hw, source_hw))
        placed = tf.where(whole, boxes_yxyx * part_hw, placed)
    return placed + part_yx


def render(
    crop: tf.Tensor, orientation: Orientation, placement: Placement, *, dtype: tf.DType = tf.uint8
) -> tf.Tensor:
    """Renders the part of the canvas that shows the photo (bilinear, without antialiasing).

    Args:
        crop: uint8 [h, w, 3], the decoded rectangle, as stored.
        orientation: How the placement's photo is turned from the stored one.
        placement: Where the photo goes.
        dtype: uint8 rounds; float32 does not.

    Returns:
        `dtype` [*part_hw, 3].
    """
    image = resize_bilinear(crop, oriented_size(orientation, placement.part_hw))
    if dtype == tf.uint8:
        image = tf.cast(tf.round(image), tf.uint8)
    return orient_image(orientation, image)
