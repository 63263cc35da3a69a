"""Rotates, shears and translates an image and its boxes, from one description of the map.

A map takes a point of the new image to the point of the old one that is shown there, as
``tf.raw_ops.ImageProjectiveTransformV3`` expects. Points are (x, y) in pixels; (0, 0) is the corner
of the image, not the centre of its first pixel. Boxes are mapped the other way.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from efficientvision.data.boxes import clip_boxes
from efficientvision.data.transforms.color_ops import GREY


class AffineMap(NamedTuple):
    """``old_xy = matrix @ new_xy + offset``: float32 [2, 2] and [2]."""

    matrix: tf.Tensor
    offset: tf.Tensor


def rotation(degrees: tf.Tensor, size_hw: tf.Tensor) -> AffineMap:
    """Rotates anticlockwise about the centre."""
    radians = degrees * (3.141592653589793 / 180.0)
    cosine, sine = tf.cos(radians), tf.sin(radians)
    matrix = tf.reshape(tf.stack([cosine, -sine, sine, cosine]), [2, 2])
    middle = tf.cast(tf.reverse(size_hw, [0]), tf.float32) / 2.0
    return AffineMap(matrix, middle - tf.linalg.matvec(matrix, middle))


def shear_x(level: tf.Tensor, size_hw: tf.Tensor) -> AffineMap:
    """Moves each row to the left by ``level`` times its distance from the top."""
    del size_hw
    matrix = tf.reshape(tf.stack([1.0, level, 0.0, 1.0]), [2, 2])
    return AffineMap(matrix, tf.zeros([2]))


def shear_y(level: tf.Tensor, size_hw: tf.Tensor) -> AffineMap:
    """Moves each column up by ``level`` times its distance from the left."""
    del size_hw
    matrix = tf.reshape(tf.stack([1.0, 0.0, level, 1.0]), [2, 2])
    return AffineMap(matrix, tf.zeros([2]))


def translation_x(pixels: tf.Tensor, size_hw: tf.Tensor) -> AffineMap:
    """Moves the image to the left, by whole pixels."""
    del size_hw
    return AffineMap(tf.eye(2), tf.stack([tf.round(pixels), 0.0]))


def translation_y(pixels: tf.Tensor, size_hw: tf.Tensor) -> AffineMap:
    """Moves the image up, by whole pixels."""
    del size_hw
    return AffineMap(tf.eye(2), tf.stack([0.0, tf.round(pixels)]))


def move_image(image: tf.Tensor, affine: AffineMap) -> tf.Tensor:
    """Maps an image, uint8 [h, w, 3], to the nearest pixels; grey where there was no image."""
    matrix = affine.matrix
    # The operation counts from the centre of the first pixel.
    offset = affine.offset + tf.linalg.matvec(matrix, [0.5, 0.5]) - 0.5
    row_x = tf.concat([matrix[0], offset[:1]], axis=0)
    row_y = tf.concat([matrix[1], offset[1:]], axis=0)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[tf.newaxis],
        transforms=tf.concat([row_x, row_y, [0.0, 0.0]], axis=0)[tf.newaxis],
        output_shape=tf.shape(image)[:2],
        fill_value=float(GREY),
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )[0]
    return tf.ensure_shape(moved, [None, None, 3])


def move_boxes(
    boxes_normalized_yxyx: tf.Tensor, affine: AffineMap, size_hw: tf.Tensor
) -> tf.Tensor:
    """Returns the bounding boxes of the mapped boxes, [n, 4] in [0, 1], clipped to the image.

    A box that has left the image has no area. (The original kept it, as a strip along the border of
    a twentieth of the image, where nothing of the object can be seen.)
    """
    size = tf.cast(size_hw, tf.float32)
    sides = boxes_normalized_yxyx * tf.tile(size, [2])
    corners = tf.gather(sides, [[1, 0], [3, 0], [1, 2], [3, 2]], axis=1)  # [n, 4 corners, x y]
    inverse = tf.linalg.inv(affine.matrix)
    moved = tf.einsum("ij,nkj->nki", inverse, corners - affine.offset)
    low, high = tf.reduce_min(moved, axis=1), tf.reduce_max(moved, axis=1)
    boxes = tf.concat([low[:, ::-1], high[:, ::-1]], axis=1) / tf.tile(size, [2])
    return clip_boxes(boxes, (1.0, 1.0))
