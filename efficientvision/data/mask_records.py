"""The TFRecord schema of images with label maps: written and parsed here and nowhere else.

A label map ("mask") is a one-channel PNG of the image's size with the class of every pixel, counted
from 0 like the network's outputs; 255 means "no class" and is ignored. The features of the image
are shared with detection records; the mask's is the usual `image/segmentation/class/encoded`.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from PIL import Image, UnidentifiedImageError

from efficientvision.data.image_bytes import PNG_SIGNATURE, is_whole_png
from efficientvision.data.picture_files import PILLOW_ERRORS, open_header
from efficientvision.data.record_features import MASK, read_features, values_of
from efficientvision.data.record_parsing import only_if, parsed_features
from efficientvision.data.records import ImageExample, bytes_feature, image_features
from efficientvision.errors import UserError

# Value of pixels that belong to no class.
IGNORED = 255
# Position of the pixel format in a PNG header, and its value for 8-bit grey. TensorFlow would
# decode other formats too, and silently turn them into other classes.
_PIXELS_AT, _GREY_8_BIT = 24, b"\x08\x00"
_MASK_FORMAT = "image/segmentation/class/format"


@dataclass(frozen=True)
class MaskExample(ImageExample):
    """One image with its label map, as it goes into a record.

    Attributes:
        mask_encoded: The mask, of the image's size; see `encode_mask`.
    """

    mask_encoded: bytes


def encode_mask(mask: np.ndarray) -> bytes:
    """Encodes uint8 [h, w] as a one-channel PNG."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(mask, np.uint8)).save(file, "PNG")
    return file.getvalue()


def decode_mask(encoded: bytes) -> np.ndarray:
    """Decodes a record's PNG to uint8 [h, w].

    Raises:
        UserError: It cannot be decoded, or is not a PNG with one channel of 8 bits.
    """
    try:
        with open_header(encoded) as picture:
            kind = f"{str(picture.format).upper()} of mode {picture.mode}"
            pixels = np.asarray(picture) if _is_plain(encoded) else None
    except UnidentifiedImageError as error:
        raise UserError("its mask cannot be decoded (cannot identify its format)") from error
    except PILLOW_ERRORS as error:
        raise UserError(f"its mask cannot be decoded ({error})") from error
    if pixels is None:
        raise UserError(f"its mask must be a PNG of one 8-bit channel, is a {kind}")
    if not is_whole_png(encoded):  # Pillow shows what there is; TensorFlow refuses it.
        raise UserError("its mask cannot be decoded (the PNG is damaged or cut short)")
    return pixels


def _is_plain(encoded: bytes) -> bool:
    return encoded.startswith(PNG_SIGNATURE) and encoded[_PIXELS_AT:][:2] == _GREY_8_BIT


def encode_mask_example(example: MaskExample) -> bytes:
    """Serialises one image as a ``tf.train.Example``."""
    features = {
        **image_features(example),
        MASK: bytes_feature([example.mask_encoded]),
        _MASK_FORMAT: bytes_feature(["png"]),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def mask_of(serialized: bytes) -> bytes | None:
    """Returns the encoded mask of a record of any schema, in Python; None if it has none.

    Raises:
        UserError: As `efficientvision.data.records.decode_example`.
    """
    return next(iter(values_of(read_features(serialized), MASK)), None)


def parse_mask_example(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Reads one record in the graph.

    Args:
        serialized: string [], one ``tf.train.Example`` of this schema.

    Returns:
        A dict of
        ``encoded`` string [] (JPEG or PNG);
        ``source_id`` string [], "" if the record has none;
        ``mask_encoded`` string [] (PNG).
    """
    raw = parsed_features(serialized, {}, required=[MASK])
    mask = raw[MASK]
    is_plain = (tf.strings.substr(mask, 0, len(PNG_SIGNATURE)) == PNG_SIGNATURE) & (
        tf.strings.substr(mask, _PIXELS_AT, 2) == _GREY_8_BIT
    )
    return {
        "encoded": raw["encoded"],
        "source_id": raw["source_id"],
        "mask_encoded": only_if(is_plain, mask),
    }
