"""Resizes, pads and normalises: the one implementation for training, evaluation and export.

For EfficientDet an image is scaled to fit the network's input (keeping its aspect ratio) and put
in the top-left corner; the rest is *zero after normalisation*. Raw pixels padded with zero would
become ``-mean / stddev`` there, so code that normalises on the device also gets ``valid_hw``, the
size of the image part.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

Size = tuple[int, int]


def fitted_size(
    source_hw: tf.Tensor, canvas_hw: Size, scale_factor: tf.Tensor | float = 1.0
) -> tuple[tf.Tensor, tf.Tensor]:
    """Size of an image when it is scaled to fit a canvas, aspect ratio kept.

    Args:
        source_hw: int [2], height and width of the photo.
        canvas_hw: (height, width) of the network input.
        scale_factor: The canvas is multiplied by this first (scale jitter).

    Returns:
        (scale, fitted_hw): float32 [], fitted pixels per photo pixel; int32 [2], the size,
        truncated as in the original (but at least one pixel, which the original did not ensure).
    """
    source = tf.cast(source_hw, tf.float32)
    target = tf.cast(
        tf.cast(scale_factor, tf.float32) * tf.constant(canvas_hw, tf.float32), tf.int32
    )
    scale = tf.reduce_min(tf.cast(target, tf.float32) / source)
    return scale, tf.maximum(tf.cast(source * scale, tf.int32), 1)


def resize_bilinear(image: tf.Tensor, size_hw: tf.Tensor | Size) -> tf.Tensor:
    """Bilinear with half-pixel centres and without antialias. [.., H, W, C] any type -> float32."""
    return tf.image.resize(image, size_hw, method="bilinear", antialias=False)


def stretch(image: tf.Tensor, image_hw: Size) -> tf.Tensor:
    """Resizes photos to the network's input, not keeping their shape, and rounds, as SSD does.

    Args:
        image: uint8 [H, W, 3] or [N, H, W, 3].
        image_hw: (height, width) of the network input.

    Returns:
        uint8 [*image_hw, 3] or [N, *image_hw, 3].
    """
    resized = tf.cast(tf.round(resize_bilinear(image, image_hw)), tf.uint8)
    return tf.ensure_shape(resized, [*image.shape[:-3], *image_hw, 3])


def pad_to_canvas(
    image: tf.Tensor, canvas_hw: Size, offset_yx: tf.Tensor | Size = (0, 0)
) -> tf.Tensor:
    """Pads [.., h, w, C] with zeros to ``canvas_hw``, a static shape (by default below, right)."""
    rank = image.shape.rank
    shape = tf.shape(image)
    missing_h = canvas_hw[0] - offset_yx[0] - shape[rank - 3]
    missing_w = canvas_hw[1] - offset_yx[1] - shape[rank - 2]
    paddings = [[offset_yx[0], missing_h], [offset_yx[1], missing_w], [0, 0]]
    if rank == 4:
        paddings = [[0, 0], *paddings]
    padded = tf.pad(image, paddings)
    padded.set_shape([*image.shape[:-3], canvas_hw[0], canvas_hw[1], image.shape[-1]])
    return padded


def resize_and_pad(
    image: tf.Tensor, image_hw: Size, fit_hw: Size | None = None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Fits a photo, or a batch of photos of one size, into the network input.

    Works on static and dynamic shapes, eagerly and inside ``tf.function``.

    Args:
        image: [H, W, 3] or [N, H, W, 3], uint8 or float, pixel values 0..255.
        image_hw: (height, width) of the network input.
        fit_hw: Top-left part of it in which the photo must fit; None: all of it.

    Returns:
        (image, image_scale, valid_hw): float32 [h, w, 3] or [N, h, w, 3], raw pixel values and zero
        padding; ``image_scale`` float32 [] or [N], which converts pixels of the network input to
        pixels of the photo by multiplication; ``valid_hw`` int32 [2] or [N, 2], the size of the
        photo part, for `normalize`.
    """
    image = tf.convert_to_tensor(image)
    rank = image.shape.rank
    source_hw = tf.shape(image)[rank - 3 : rank - 1]
    scale, valid_hw = fitted_size(source_hw, fit_hw or image_hw)
    canvas = pad_to_canvas(resize_bilinear(image, valid_hw), image_hw)
    image_scale = 1.0 / scale
    if rank == 4:
        batch = tf.shape(image)[0]
        image_scale = tf.fill([batch], image_scale)
        valid_hw = tf.tile(valid_hw[tf.newaxis], [batch, 1])
    return canvas, image_scale, valid_hw


def valid_mask(valid_hw: tf.Tensor, canvas_hw: Size | tf.Tensor) -> tf.Tensor:
    """Bool [.., H, W, 1]: True where the canvas shows the photo, False on padding."""
    rows = tf.range(canvas_hw[0])[:, tf.newaxis, tf.newaxis]
    columns = tf.range(canvas_hw[1])[tf.newaxis, :, tf.newaxis]
    height = valid_hw[..., 0][..., tf.newaxis, tf.newaxis, tf.newaxis]
    width = valid_hw[..., 1][..., tf.newaxis, tf.newaxis, tf.newaxis]
    return tf.logical_and(rows < height, columns < width)


def normalize(
    images: tf.Tensor,
    valid_hw: tf.Tensor | None,
    mean_rgb: float | Sequence[float],
    stddev_rgb: float | Sequence[float],
) -> tf.Tensor:
    """``(images - mean) / stddev`` on the photo, exactly 0 on the padding.

    Runs on the device (in the training step, in the exported graph), so that the host sends bytes.

    Args:
        images: uint8 or float [H, W, 3] or [N, H, W, 3], pixel values 0..255.
        valid_hw: int32 [2] or [N, 2], the size of the photo on the canvas; None: no padding.
        mean_rgb: One number or three.
        stddev_rgb: One number or three.

    Returns:
        float32, of the same shape.
    """
    images = tf.convert_to_tensor(images)
    mean = tf.constant(mean_rgb, tf.float32)
    stddev = tf.constant(stddev_rgb, tf.float32)
    normalized = (tf.cast(images, tf.float32) - mean) / stddev
    if valid_hw is None:
        return normalized
    rank = images.shape.rank
    canvas_hw = [images.shape[axis] or tf.shape(images)[axis] for axis in (rank - 3, rank - 2)]
    return tf.where(valid_mask(valid_hw, canvas_hw), normalized, 0.0)
