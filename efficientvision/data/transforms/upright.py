"""Reads a photo's EXIF orientation and turns the photo upright, in the graph.

Records do not need this: converters store photos upright, and photos that others stored are used as
TensorFlow decodes them. Exported graphs get photos as cameras write them.

Reference: Exif 2.32, section 4.5 (APP1, TIFF header and IFD); PNG specification, chunk eXIf; WebP
container specification, chunk EXIF.
"""

from __future__ import annotations

import tensorflow as tf

_ORIENTATION_TAG = 0x0112
# A JPEG's APP1 segment may follow a colour profile; in other formats the block may come last.
_HEAD_BYTES = 1 << 20
_EXIF_BYTES = 1 << 16
_JPEG_MARK, _PNG_MARK, _WEBP_MARK = b"Exif\0\0", b"eXIf", b"EXIF"
_APP1 = b"\xff\xe1"
_TIFF_HEADS = (b"II*\0", b"MM\0*")
_ENTRY_BYTES = 12
_SHORT, _LONG = 3, 4
_XMP_NAME = b"tiff:Orientation"
_NO_TAG = -1


def exif_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Orientation of a JPEG, PNG or WebP file, int32 [], 1..8; 1 if it has none.

    It is read from the EXIF block, whose marker may also occur in a comment: it counts only if a
    TIFF header follows. Without such a tag it is read from XMP, as in Pillow. EXIF that ImageMagick
    compresses into a text chunk of a PNG is not read.
    """
    with tf.name_scope("exif_orientation"):
        is_jpeg = tf.io.is_jpeg(encoded)
        is_webp = tf.equal(_substr(encoded, 8, 4), b"WEBP")
        head = tf.cond(is_jpeg, lambda: tf.strings.substr(encoded, 0, _HEAD_BYTES), lambda: encoded)
        mark = tf.where(is_jpeg, _JPEG_MARK, tf.where(is_webp, _WEBP_MARK, _PNG_MARK))
        parts = tf.raw_ops.StringSplitV2(input=[head], sep=mark, maxsplit=-1).values
        before, blocks = tf.strings.join(["    ", parts[:-1]]), parts[1:]
        # A WebP chunk states its size first, and some programs write a JPEG's marker after it.
        blocks = _substr(blocks, tf.where(is_webp, 4, 0), _EXIF_BYTES)
        has_mark = tf.equal(_substr(blocks, 0, len(_JPEG_MARK)), _JPEG_MARK)
        blocks = _substr(blocks, tf.where(has_mark, len(_JPEG_MARK), 0), _EXIF_BYTES)
        heads = _substr(blocks, 0, 4)
        is_block = tf.reduce_any([tf.equal(heads, head) for head in _TIFF_HEADS], axis=0)
        # The segment's marker and its length precede the mark.
        is_block &= ~is_jpeg | tf.equal(tf.strings.substr(before, -4, 2), _APP1)
        found = tf.boolean_mask(blocks, is_block)
        none = tf.constant(_NO_TAG, tf.int32)
        tag = tf.cond(tf.size(found) > 0, lambda: _orientation_of(found[0]), lambda: none)
        tag = tf.cond(tf.equal(tag, _NO_TAG), lambda: _orientation_in_xmp(head), lambda: tag)
        return tf.where((tag >= 1) & (tag <= 8), tag, 1)


def turn_upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns a picture upright according to its EXIF orientation.

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


def _substr(texts: tf.Tensor, begin: int | tf.Tensor, length: int) -> tf.Tensor:
    """Up to `length` bytes from there on (TensorFlow refuses to start beyond the end)."""
    begin = tf.minimum(begin, tf.strings.length(texts))
    return tf.strings.substr(texts, begin, tf.fill(tf.shape(begin), length))


def _orientation_of(exif: tf.Tensor) -> tf.Tensor:
    """Orientation in a TIFF block; `_NO_TAG` if it has none."""
    data = tf.cast(tf.io.decode_raw(exif, tf.uint8), tf.int32)
    # Offsets in a damaged block lead to zeros, not out of it.
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
    kinds = short(entries + 2)
    # In big-endian order, the lower half of a four-byte number comes last.
    lower = tf.where((kinds == _LONG) & ~is_little, 10, 8)
    is_number = (kinds == _SHORT) | (kinds == _LONG)
    is_tag = tf.equal(short(entries), _ORIENTATION_TAG) & is_number
    values = tf.boolean_mask(short(entries + lower), is_tag)
    return tf.concat([values, [_NO_TAG]], axis=0)[0]


def _orientation_in_xmp(head: tf.Tensor) -> tf.Tensor:
    """Orientation in an XMP block, `tiff:Orientation="6"` or `<tiff:Orientation>6`."""
    parts = tf.raw_ops.StringSplitV2(input=[head], sep=_XMP_NAME, maxsplit=1).values
    value = _substr(tf.concat([parts[1:], [""]], axis=0)[0], 0, 3)
    is_attribute = tf.equal(_substr(value, 0, 2), b'="')
    is_element = tf.equal(_substr(value, 0, 1), b">")
    digit = _substr(value, tf.where(is_attribute, 2, 1), 1)
    place = tf.argmax(tf.equal(digit, [str(k) for k in range(9)]), output_type=tf.int32)
    return tf.where(is_attribute | is_element, place, _NO_TAG)
