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
from google.protobuf.message import DecodeError

from efficientvision.data.names import printable
from efficientvision.errors import UserError

ENCODED = "image/encoded"
SOURCE_ID = "image/source_id"
BOX_SIDES = ("ymin", "xmin", "ymax", "xmax")


@dataclass(frozen=True)
class DetectionExample:
    """One image with its objects, as it goes into a record.

    Attributes:
        encoded: the JPEG or PNG file, byte for byte.
        image_format: "jpeg" or "png".
        filename: for people; nothing reads it back but reports.
        source_id: the image's id in the COCO ground truth, as a string.
        height, width: pixels.
        boxes_yxyx: float [n, 4] in pixels of this image.
        classes: n class ids, 1..K.
        class_names: n names.
        areas: n areas; pixels for COCO, a fraction of the image for PASCAL, as in the original.
        is_crowd: n flags (COCO), or None.
        masks: n PNG files (COCO with masks), or None.
        captions: sentences (COCO captions), or None.
        difficult, truncated: n flags (PASCAL), or None.
        views: n poses (PASCAL), or None.
    """

    encoded: bytes
    image_format: str
    filename: str
    source_id: str
    height: int
    width: int
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


def image_features(example: Any) -> dict[str, tf.train.Feature]:
    """What a record of any task says of its image.

    Args:
        example: has `height`, `width` (pixels), `filename`, `source_id`, `encoded` and
            `image_format`.
    """
    return {
        "image/height": int_feature([example.height]),
        "image/width": int_feature([example.width]),
        "image/filename": bytes_feature([example.filename]),
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
        ``boxes_normalized_yxyx`` float32 [n, 4], in [0, 1];
        ``classes`` int32 [n], 1..K;
        ``area`` float32 [n], pixels, or fractions of the image (PASCAL records, and the fallback);
        ``is_crowd`` bool [n].
    """
    floats, ints = (tf.io.VarLenFeature(t) for t in (tf.float32, tf.int64))
    features = {
        ENCODED: tf.io.FixedLenFeature([], tf.string),
        SOURCE_ID: tf.io.FixedLenFeature([], tf.string, ""),
        "image/object/class/label": ints,
        "image/object/area": floats,
        "image/object/is_crowd": ints,
        **{f"image/object/bbox/{side}": floats for side in BOX_SIDES},
    }
    raw = tf.io.parse_single_example(serialized, features)
    boxes = tf.stack([raw[f"image/object/bbox/{side}"].values for side in BOX_SIDES], axis=-1)
    boxes = tf.reshape(boxes, [-1, 4])
    classes = tf.cast(raw["image/object/class/label"].values, tf.int32)
    count = tf.shape(classes)[0]
    area = raw["image/object/area"].values
    size = boxes[:, 2:] - boxes[:, :2]
    is_crowd = raw["image/object/is_crowd"].values
    return {
        "encoded": raw[ENCODED],
        "source_id": raw[SOURCE_ID],
        "boxes_normalized_yxyx": boxes,
        "classes": classes,
        "area": tf.cond(
            tf.equal(tf.shape(area)[0], count), lambda: area, lambda: size[:, 0] * size[:, 1]
        ),
        "is_crowd": tf.cond(
            tf.equal(tf.shape(is_crowd)[0], count),
            lambda: tf.cast(is_crowd, tf.bool),
            lambda: tf.zeros([count], tf.bool),
        ),
    }


# What the pipelines ask for, beside the strings: a record of another maker may hold other kinds.
_KINDS = {
    "image/object/class/label": "int64_list",
    "image/object/area": "float_list",
    "image/object/is_crowd": "int64_list",
    **{f"image/object/bbox/{side}": "float_list" for side in BOX_SIDES},
    "image/class/label": "int64_list",
    ENCODED: "bytes_list",
    SOURCE_ID: "bytes_list",
}
_KIND_NAMES = {"int64_list": "integers", "float_list": "floats", "bytes_list": "bytes"}


def _wrong_kind(features: Any) -> str | None:
    """A sentence on the first feature that holds values of another kind than it must."""
    for key, expected in _KINDS.items():
        kind = features[key].WhichOneof("kind") if key in features else None
        if kind not in (None, expected) and getattr(features[key], kind).value:
            return (
                f"its {key} holds {_KIND_NAMES[kind]}, and must hold {_KIND_NAMES[expected]}: "
                "write the records with that type, or convert the data with dataset/create_*.py"
            )
    return None


def decode_example(serialized: bytes) -> DetectionExample:
    """Reads one record in Python (for reports and ground truth; slow and complete).

    Raises:
        UserError: no image inside, values of another type, or the lists of the objects differ in
            length.
    """
    try:
        features = tf.train.Example.FromString(serialized).features.feature
    except DecodeError as error:
        raise UserError(f"a record is not a tf.train.Example: {error}.") from error

    wrong = _wrong_kind(features)
    if wrong:
        raise UserError(wrong)

    def strings(key: str) -> list[bytes]:
        return list(features[key].bytes_list.value) if key in features else []

    def numbers(key: str) -> list[float]:
        if key not in features:
            return []
        return list(features[key].float_list.value or features[key].int64_list.value)

    def text(key: str) -> str:
        return b"".join(strings(key)[:1]).decode("utf8", "replace")

    source_id, filename = text(SOURCE_ID), text("image/filename")
    if not strings(ENCODED):
        raise UserError(f"the record of image {source_id!r} ({filename}) has no image/encoded.")
    height, width = (int((numbers(f"image/{side}") or [-1])[0]) for side in ("height", "width"))
    sides = [numbers(f"image/object/bbox/{side}") for side in BOX_SIDES]
    classes = [int(c) for c in numbers("image/object/class/label")]
    if {len(side) for side in sides} != {len(classes)}:
        raise UserError(
            f"the record of image {source_id!r} ({filename}) has {len(classes)} classes for "
            f"{[len(side) for side in sides]} ymin, xmin, ymax, xmax."
        )
    boxes = np.array(sides, np.float64).T.reshape(-1, 4) * [height, width, height, width]
    areas = numbers("image/object/area")
    if len(areas) != len(classes):
        areas = [float(a) for a in (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])]
    return DetectionExample(
        encoded=strings(ENCODED)[0],
        image_format=text("image/format"),
        filename=filename,
        source_id=source_id,
        height=height,
        width=width,
        boxes_yxyx=boxes,
        classes=classes,
        class_names=[t.decode("utf8", "replace") for t in strings("image/object/class/text")],
        areas=areas,
        is_crowd=[int(c) for c in numbers("image/object/is_crowd")] or None,
        masks=strings("image/object/mask") or None,
        captions=[c.decode("utf8", "replace") for c in strings("image/caption")] or None,
        difficult=[int(d) for d in numbers("image/object/difficult")] or None,
        truncated=[int(t) for t in numbers("image/object/truncated")] or None,
        views=[v.decode("utf8", "replace") for v in strings("image/object/view")] or None,
    )
