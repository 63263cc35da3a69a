"""The TFRecord schema of images with label maps: written and parsed here and nowhere else.

A label map ("mask") is a PNG of one channel and of the image's size that holds the class of every
pixel, counted from 0 as the network counts its outputs; 255 is no class and ignored. The features
of the image are the detection records', those of the mask the field's
(`image/segmentation/class/encoded`).
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from PIL import Image

from efficientvision.data.picture_files import PILLOW_ERRORS, open_header
from efficientvision.data.records import (
    ENCODED,
    SOURCE_ID,
    bytes_feature,
    image_features,
)
from efficientvision.errors import UserError

# The value of pixels that belong to no class.
IGNORED = 255
MASK = "image/segmentation/class/encoded"
_MASK_FORMAT = "image/segmentation/class/format"


@dataclass(frozen=True)
class MaskExample:
    """One image with its label map, as it goes into a record.

    Attributes:
        encoded: the JPEG or PNG file, byte for byte.
        image_format: "jpeg" or "png".
        filename: for people; nothing reads it back but reports.
        source_id: the image's name in reports and of its prediction, as a string.
        height, width: pixels, of the image and of the mask.
        mask_encoded: the mask, see `encode_mask`.
    """

    encoded: bytes
    image_format: str
    filename: str
    source_id: str
    height: int
    width: int
    mask_encoded: bytes


def encode_mask(mask: np.ndarray) -> bytes:
    """uint8 [h, w] -> a PNG of one channel."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(mask, np.uint8)).save(file, "PNG")
    return file.getvalue()


def decode_mask(encoded: bytes) -> np.ndarray:
    """A record's PNG -> uint8 [h, w].

    Raises:
        UserError: it cannot be decoded, or has several channels or more than 8 bits.
    """
    try:
        with open_header(encoded) as picture:
            if picture.mode != "L":
                raise UserError(f"its mask must be a PNG of one 8-bit channel, is {picture.mode}")
            return np.asarray(picture)
    except PILLOW_ERRORS as error:
        raise UserError(f"its mask cannot be decoded ({error})") from error


def encode_mask_example(example: MaskExample) -> bytes:
    """Serialises one image as a ``tf.train.Example``."""
    features = {
        **image_features(example),
        MASK: bytes_feature([example.mask_encoded]),
        _MASK_FORMAT: bytes_feature(["png"]),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def mask_of(serialized: bytes) -> bytes | None:
    """The encoded mask of a record of any schema, in Python; None: it has none.

    Raises:
        UserError: not a ``tf.train.Example``.
    """
    try:
        features = tf.train.Example.FromString(serialized).features.feature
    except DecodeError as error:
        raise UserError(f"a record is not a tf.train.Example: {error}.") from error
    values = features[MASK].bytes_list.value if MASK in features else []
    return values[0] if values else None


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
    raw = tf.io.parse_single_example(
        serialized,
        {
            ENCODED: tf.io.FixedLenFeature([], tf.string),
            SOURCE_ID: tf.io.FixedLenFeature([], tf.string, ""),
            MASK: tf.io.FixedLenFeature([], tf.string),
        },
    )
    return {
        "encoded": raw[ENCODED],
        "source_id": raw[SOURCE_ID],
        "mask_encoded": raw[MASK],
    }
