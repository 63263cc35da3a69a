"""Encoded photo -> the turn that its EXIF tag asks for, in the graph.

Records need none of this: converters store photos upright, and what other makers store is used as
TensorFlow decodes it. Exported graphs get photos as cameras write them.

Reference: Exif 2.32, section 4.5 (APP1, TIFF header and IFD); PNG specification, chunk eXIf; WebP
container specification, chunk EXIF.
"""

from __future__ import annotations

import tensorflow as tf

_ORIENTATION_TAG = 0x0112
# A JPEG's APP1 segment stands near the front and holds at most so many bytes.
_HEAD_BYTES = 1 << 17
# The entries of the first directory, which tell the orientation, come first in practice.
_EXIF_BYTES = 4096
_JPEG_MARK, _PNG_MARK, _WEBP_MARK = b"Exif\0\0", b"eXIf", b"EXIF"
_ENTRY_BYTES = 12


def exif_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """int32 [], 1..8: the EXIF orientation of a JPEG, PNG or WebP file; 1 where it has none."""
    with tf.name_scope("exif_orientation"):
        is_jpeg = tf.io.is_jpeg(encoded)
        is_webp = tf.equal(_substr(encoded, 8, 4), b"WEBP")
        head = tf.cond(is_jpeg, lambda: tf.strings.substr(encoded, 0, _HEAD_BYTES), lambda: encoded)
        mark = tf.where(is_jpeg, _JPEG_MARK, tf.where(is_webp, _WEBP_MARK, _PNG_MARK))
        parts = tf.raw_ops.StringSplitV2(input=[head], sep=mark, maxsplit=1).values

        def found() -> tf.Tensor:
            # A WebP chunk tells its size first, and some programs write a JPEG's mark after it.
            block = _substr(parts[-1], tf.where(is_webp, 4, 0), _EXIF_BYTES)
            has_mark = tf.equal(_substr(block, 0, len(_JPEG_MARK)), _JPEG_MARK)
            return _orientation_of(_substr(block, tf.where(has_mark, 6, 0), _EXIF_BYTES))

        none = tf.constant(1, tf.int32)
        return tf.cond(tf.equal(tf.size(parts), 2), found, lambda: none)


def turn_upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns a picture as its EXIF orientation says.

    Args:
        image: [H, W, C].
        orientation: int32 [], 1..8.

    Returns:
        [H, W, C], or [W, H, C] for orientations from 5 on.
    """

    def turned() -> tf.Tensor:
        result = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
        for axis, orientations in ((0, (3, 4, 7, 8)), (1, (2, 3, 6, 7))):
            mirrored = tf.reduce_any(tf.equal(orientation, orientations))
            result = tf.cond(
                mirrored, lambda r=result, a=axis: tf.reverse(r, [a]), lambda r=result: r
            )
        return result

    upright = tf.cond(tf.equal(orientation, 1), lambda: image, turned)
    upright.set_shape([None, None, image.shape[-1]])
    return upright


def _substr(text: tf.Tensor, begin: int | tf.Tensor, length: int) -> tf.Tensor:
    """So many bytes from there on, or as many as there are (TensorFlow refuses to begin behind)."""
    return tf.strings.substr(text, tf.minimum(begin, tf.strings.length(text)), length)


def _orientation_of(exif: tf.Tensor) -> tf.Tensor:
    """The orientation in a TIFF block; 1 where it does not tell one of the eight."""
    data = tf.cast(tf.io.decode_raw(exif, tf.uint8), tf.int32)
    # Offsets of a damaged block lead to zeros, not out of it.
    data = tf.concat([data, tf.zeros([_ENTRY_BYTES], tf.int32)], axis=0)
    last = tf.size(data) - 1
    is_little = tf.equal(tf.strings.substr(exif, 0, 2), b"II")

    def short(at: tf.Tensor) -> tf.Tensor:
        low, high = (tf.gather(data, tf.clip_by_value(at + k, 0, last)) for k in (0, 1))
        return tf.where(is_little, low + 256 * high, 256 * low + high)

    # The upper half of the offset is zero in any block of this size.
    directory = short(tf.where(is_little, 4, 6))
    count = tf.minimum(short(directory), _EXIF_BYTES // _ENTRY_BYTES)
    entries = directory + 2 + _ENTRY_BYTES * tf.range(count)
    values = tf.boolean_mask(short(entries + 8), tf.equal(short(entries), _ORIENTATION_TAG))
    orientation = tf.concat([values, [1]], axis=0)[0]
    return tf.where((orientation >= 1) & (orientation <= 8), orientation, 1)
