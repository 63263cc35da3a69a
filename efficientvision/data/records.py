"""The TFRecord schema of detection data: written and parsed here and nowhere else.

The feature keys are those of the original's ``dataset/create_*_tfrecord.py``, so either code base
reads the other's records. Boxes are stored normalised to [0, 1]; classes count from 1; an image
without objects has no ``image/object/...`` keys. ``image/source_id`` stays a *string* from end to
end (the original turned it into float32 and so confused ids above 2^24).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from efficientvision.data.names import printable
from efficientvision.data.picture_files import header_size
from efficientvision.data.record_features import (
    AREA,
    BOX_SIDES,
    BOXES,
    DIFFICULT,
    ENCODED,
    FILE_NAME,
    HEIGHT,
    IS_CROWD,
    OBJECT_COLUMNS,
    OBJECT_LABEL,
    OBJECT_TEXT,
    SOURCE_ID,
    WIDTH,
    read_features,
    values_of,
)
from efficientvision.data.record_parsing import checked_classes, only_if, parsed_features
from efficientvision.errors import UserError


@dataclass(frozen=True)
class ImageExample:
    """The image of a record, whatever its task.

    Attributes:
        encoded: JPEG or PNG file, byte for byte.
        image_format: "jpeg" or "png".
        filename: For people; only reports read it back.
        source_id: Name of the image in reports and predictions, or its id in the COCO ground
            truth, as a string.
        height, width: Size in pixels.
    """

    encoded: bytes
    image_format: str
    filename: str
    source_id: str
    height: int
    width: int


@dataclass(frozen=True)
class DetectionExample(ImageExample):
    """One image with its objects, as it goes into a record.

    Attributes:
        boxes_yxyx: float [n, 4] in pixels of this image.
        classes: Class ids [n], 1..K.
        class_names: Names [n].
        areas: Areas [n]; pixels for COCO, a fraction of the image for PASCAL, as in the original.
        is_crowd: Flags [n] (COCO), or None.
        masks: PNG files [n] (COCO with masks), or None.
        captions: Sentences (COCO captions), or None.
        difficult, truncated: Flags [n] (PASCAL), or None.
        views: Poses [n] (PASCAL), or None.
    """

    boxes_yxyx: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    classes: Sequence[int] = ()
    class_names: Sequence[str] = ()
    areas: Sequence[float] = ()
    is_crowd: Sequence[int] | None = None
    masks: Sequence[bytes] | None = None
    captions: Sequence[str] | None = None
    difficult: Sequence[int] | None = None
    truncated: Sequence[int] | None = None
    views: Sequence[str] | None = None


def bytes_feature(values: Sequence[bytes | str]) -> tf.train.Feature:
    """A feature of byte strings; text becomes UTF-8."""
    encoded = [printable(v).encode("utf8") if isinstance(v, str) else v for v in values]
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))


def int_feature(values: Sequence[int]) -> tf.train.Feature:
    """A feature of whole numbers."""
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(v) for v in values]))


def float_feature(values: Sequence[float]) -> tf.train.Feature:
    """A feature of numbers."""
    return tf.train.Feature(float_list=tf.train.FloatList(value=[float(v) for v in values]))


def image_features(example: ImageExample) -> dict[str, tf.train.Feature]:
    """Features of the image, which records of every task have."""
    return {
        HEIGHT: int_feature([example.height]),
        WIDTH: int_feature([example.width]),
        FILE_NAME: bytes_feature([example.filename]),
        SOURCE_ID: bytes_feature([example.source_id]),
        "image/key/sha256": bytes_feature([hashlib.sha256(example.encoded).hexdigest()]),
        ENCODED: bytes_feature([example.encoded]),
        "image/format": bytes_feature([example.image_format]),
    }


def encode_example(example: DetectionExample) -> bytes:
    """Serialises one image as a ``tf.train.Example``."""
    features = image_features(example)
    if example.captions is not None:
        features["image/caption"] = bytes_feature(example.captions)
    if len(example.classes):
        size = np.array([example.height, example.width] * 2, np.float64)
        normalized = np.asarray(example.boxes_yxyx, np.float64) / size
        for column, side in enumerate(BOX_SIDES):
            features[f"image/object/bbox/{side}"] = float_feature(normalized[:, column])
        features["image/object/class/text"] = bytes_feature(example.class_names)
        features["image/object/class/label"] = int_feature(example.classes)
        features["image/object/area"] = float_feature(example.areas)
        for key, values, feature in (
            ("is_crowd", example.is_crowd, int_feature),
            ("mask", example.masks, bytes_feature),
            ("difficult", example.difficult, int_feature),
            ("truncated", example.truncated, int_feature),
            ("view", example.views, bytes_feature),
        ):
            if values is not None:
                features[f"image/object/{key}"] = feature(values)
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def parse_example(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Reads one record in the graph; every key but the image itself may be absent.

    Args:
        serialized: string [], one ``tf.train.Example``.

    Returns:
        A dict of
        ``encoded`` string [] (JPEG or PNG);
        ``source_id`` string [], "" if the record has none;
        ``stated_hw`` int64 [2], the image's size according to the record, -1 if not stated;
        ``boxes_normalized_yxyx`` float32 [n, 4], in [0, 1];
        ``classes`` int32 [n], 1..K;
        ``texts`` string [m], class names in the record;
        ``area`` float32 [n], pixels, or fractions of the image (PASCAL records, and the fallback);
        ``is_crowd`` bool [n].
    """
    raw = parsed_features(
        serialized,
        {
            OBJECT_LABEL: tf.int64,
            OBJECT_TEXT: tf.string,
            AREA: tf.float32,
            IS_CROWD: tf.int64,
            DIFFICULT: tf.int64,
            **dict.fromkeys(BOXES, tf.float32),
        },
    )
    boxes = tf.reshape(tf.stack([raw[key] for key in BOXES], axis=-1), [-1, 4])
    count = tf.size(raw[OBJECT_LABEL])
    counts = tf.stack([tf.size(raw[key]) for key in OBJECT_COLUMNS])
    fits = tf.reduce_all((counts == 0) | (counts == count)) & (tf.shape(boxes)[0] == count)
    boxes = only_if(fits, boxes)
    size = boxes[:, 2:] - boxes[:, :2]
    area, is_crowd = raw[AREA], raw[IS_CROWD]
    return {
        "encoded": raw["encoded"],
        "source_id": raw["source_id"],
        "stated_hw": raw["stated_hw"],
        "boxes_normalized_yxyx": boxes,
        "classes": checked_classes(raw[OBJECT_LABEL]),
        "texts": raw[OBJECT_TEXT],
        "area": tf.cond(
            tf.equal(tf.size(area), count), lambda: area, lambda: size[:, 0] * size[:, 1]
        ),
        "is_crowd": tf.cond(
            tf.equal(tf.size(is_crowd), count),
            lambda: tf.cast(is_crowd, tf.bool),
            lambda: tf.zeros([count], tf.bool),
        ),
    }


def decode_example(serialized: bytes) -> DetectionExample:
    """Reads one record in Python (slow but complete; for reports and ground truth).

    The size is the photo's own, from its header: boxes are stored as fractions of the photo, and
    records made elsewhere may state no size, or the size before a resize.

    Raises:
        UserError: There is no image inside, values have another type or number, or the lists of
            the objects differ in length.
    """
    features = read_features(serialized)

    def texts(key: str) -> list[str]:
        values = features[key].bytes_list.value if key in features else ()
        return [value.decode("utf8", "replace") for value in values]

    def text(key: str) -> str:
        return "".join(texts(key)[:1])

    source_id, filename = text(SOURCE_ID), text(FILE_NAME)
    photos = values_of(features, ENCODED)
    if not photos:
        raise UserError(f"the record of image {source_id!r} ({filename}) has no image/encoded.")
    sides = [values_of(features, key) for key in BOXES]
    classes = values_of(features, OBJECT_LABEL)
    if {len(side) for side in sides} != {len(classes)}:
        raise UserError(
            f"the record of image {source_id!r} ({filename}) has {len(classes)} classes for "
            f"{[len(side) for side in sides]} ymin, xmin, ymax, xmax."
        )
    size = header_size(photos[0]) or _stated_size(features)
    if size is None:
        raise UserError(
            f"the record of image {source_id!r} ({filename}) states no size, and its image cannot "
            "be decoded."
        )
    boxes = np.array(sides, np.float64).T.reshape(-1, 4) * [*size, *size]
    areas = values_of(features, AREA)
    if not areas:
        areas = [float(a) for a in (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])]
    return DetectionExample(
        encoded=photos[0],
        image_format=text("image/format"),
        filename=filename,
        source_id=source_id,
        height=size[0],
        width=size[1],
        boxes_yxyx=boxes,
        classes=classes,
        class_names=texts(OBJECT_TEXT),
        areas=areas,
        is_crowd=values_of(features, IS_CROWD) or None,
        masks=[*features["image/object/mask"].bytes_list.value] or None,
        captions=texts("image/caption") or None,
        difficult=values_of(features, DIFFICULT) or None,
        truncated=[*features["image/object/truncated"].int64_list.value] or None,
        views=texts("image/object/view") or None,
    )


def stated_size(serialized: bytes) -> tuple[int, int] | None:
    """(height, width) of the image as its record states them, right or wrong.

    Raises:
        UserError: As `decode_example`.
    """
    return _stated_size(read_features(serialized))


def _stated_size(features: Any) -> tuple[int, int] | None:
    sides = (*values_of(features, HEIGHT), *values_of(features, WIDTH))
    return sides if len(sides) == 2 and min(sides) > 0 else None
