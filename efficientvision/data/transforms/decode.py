"""Encoded image -> uint8 pixels, of the whole image or of a rectangle."""

from __future__ import annotations

import tensorflow as tf

from efficientvision.data.image_bytes import PNG_SIGNATURE

# TensorFlow's default. The original decoded with it: its numbers (and ours, to 2e-7) depend on it,
# while "INTEGER_ACCURATE" differs by 0.8 grey levels on average.
DCT_METHOD = "INTEGER_FAST"
# The method of Pillow, and so of EdgeNets.
ACCURATE_DCT_METHOD = "INTEGER_ACCURATE"


def decode_image(encoded: tf.Tensor, *, dct_method: str = DCT_METHOD) -> tf.Tensor:
    """Decodes a JPEG, PNG, BMP or GIF (first frame) file.

    Args:
        encoded: string [], bytes of the file.
        dct_method: "INTEGER_FAST" or "INTEGER_ACCURATE", for JPEG.

    Returns:
        uint8 [H, W, 3].
    """
    image = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method=dct_method),
        lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )
    image.set_shape([None, None, 3])
    return image


def image_size(encoded: tf.Tensor) -> tf.Tensor:
    """int32 [2], (height, width); for JPEG and PNG from the header alone, without decoding."""
    signature = tf.strings.substr(encoded, 0, len(PNG_SIGNATURE))
    return tf.case(
        [
            (tf.io.is_jpeg(encoded), lambda: tf.io.extract_jpeg_shape(encoded)[:2]),
            (tf.equal(signature, PNG_SIGNATURE), lambda: _png_size(encoded)),
        ],
        lambda: tf.shape(tf.io.decode_image(encoded, channels=3, expand_animations=False))[:2],
    )


def _png_size(encoded: tf.Tensor) -> tf.Tensor:
    # The first chunk, IHDR, begins with the width and the height, big-endian.
    width_height = tf.io.decode_raw(
        tf.strings.substr(encoded, 16, 8), tf.int32, little_endian=False
    )
    return tf.reverse(width_height, [0])


def decode_crop(
    encoded: tf.Tensor, offset_yx: tf.Tensor, size_hw: tf.Tensor, *, dct_method: str = DCT_METHOD
) -> tf.Tensor:
    """Decodes a rectangle of an image; for a JPEG, only the rows and columns needed.

    Args:
        encoded: string [], bytes of the file.
        offset_yx: int32 [2], first row and column of the rectangle.
        size_hw: int32 [2], height and width of the rectangle, which must lie inside the image.
        dct_method: As in `decode_image`.

    Returns:
        uint8 [h, w, 3].
    """

    def other_formats() -> tf.Tensor:
        image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        image.set_shape([None, None, 3])
        begin = tf.concat([offset_yx, [0]], axis=0)
        return tf.slice(image, begin, tf.concat([size_hw, [3]], axis=0))

    crop = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.io.decode_and_crop_jpeg(
            encoded, tf.concat([offset_yx, size_hw], axis=0), channels=3, dct_method=dct_method
        ),
        other_formats,
    )
    crop.set_shape([None, None, 3])
    return crop
