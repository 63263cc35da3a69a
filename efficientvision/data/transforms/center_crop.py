"""What a classifier is shown of a photo outside training: its middle, or all of it.

The published classifiers were evaluated on photos whose shorter side was resized to 256 pixels and
whose middle 224 were cropped, with PIL's antialiased bilinear filter on bytes.
"""

from __future__ import annotations

import tensorflow as tf

Size = tuple[int, int]

# 224 of 256 pixels.
CROP_FRACTION = 0.875


def resized_size(
    source_hw: tf.Tensor, image_hw: Size, crop_fraction: float = CROP_FRACTION
) -> tf.Tensor:
    """The size to which a photo is resized before its middle is cropped.

    The aspect ratio is kept: one side becomes the network's side / `crop_fraction`, the other one
    is at least that, rounded down.

    Args:
        source_hw: int [2], height and width of the photo.
        image_hw: (height, width) of the network input.
        crop_fraction: see above.

    Returns:
        int32 [2].
    """
    source = tf.cast(source_hw, tf.int64)
    window = tf.constant([int(side / crop_fraction) for side in image_hw], tf.int64)
    # Whole numbers all the way: in floating point 256 * 3 / 3 may become 255.
    by_height = tf.stack([window[0], window[0] * source[1] // source[0]])
    by_width = tf.stack([window[1] * source[0] // source[1], window[1]])
    narrow = source[0] * window[1] >= source[1] * window[0]
    return tf.cast(tf.where(narrow, by_width, by_height), tf.int32)


def resize_antialiased(image: tf.Tensor, size_hw: tf.Tensor | Size) -> tf.Tensor:
    """PIL's bilinear filter, to one grey level: uint8 [.., H, W, C] -> whole numbers in float32."""
    resized = tf.image.resize(image, size_hw, method="bilinear", antialias=True)
    return tf.round(tf.clip_by_value(resized, 0.0, 255.0))


def resize_and_crop(
    image: tf.Tensor, image_hw: Size, crop_fraction: float | None = CROP_FRACTION
) -> tf.Tensor:
    """Brings a photo, or a batch of photos of one size, to the network's input size.

    Works on static and dynamic shapes, eagerly and inside `tf.function`.

    Args:
        image: uint8 [H, W, 3] or [N, H, W, 3].
        image_hw: (height, width) of the network input.
        crop_fraction: share of the resized photo's shorter side that is cropped from its middle;
            None: the whole photo is resized, whatever its aspect ratio.

    Returns:
        float32 [h, w, 3] or [N, h, w, 3], whole numbers 0..255.
    """
    image = tf.convert_to_tensor(image)
    rank = image.shape.rank
    if crop_fraction is None:
        resized = resize_antialiased(image, image_hw)
    else:
        source_hw = tf.shape(image)[rank - 3 : rank - 1]
        size_hw = resized_size(source_hw, image_hw, crop_fraction)
        whole = resize_antialiased(image, size_hw)
        # Halves go to the even number, as in the original.
        middle = tf.round(tf.cast(size_hw - tf.constant(image_hw), tf.float32) / 2.0)
        top, left = tf.unstack(tf.cast(middle, tf.int32))
        resized = whole[..., top : top + image_hw[0], left : left + image_hw[1], :]
    resized.set_shape([*image.shape[:-3], *image_hw, image.shape[-1]])
    return resized
