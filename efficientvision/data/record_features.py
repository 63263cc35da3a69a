"""Rules for the features of a record, whoever wrote it: types, numbers of values, ranges.

This is their only table. Graphs that parse records refuse the same things, so that training,
evaluation, inspection and preflight agree on which records are bad.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError

from efficientvision.errors import UserError

ENCODED = "image/encoded"
SOURCE_ID = "image/source_id"
FILE_NAME = "image/filename"
HEIGHT, WIDTH = "image/height", "image/width"
BOX_SIDES = ("ymin", "xmin", "ymax", "xmax")
BOXES = tuple(f"image/object/bbox/{side}" for side in BOX_SIDES)
OBJECT_LABEL, OBJECT_TEXT = "image/object/class/label", "image/object/class/text"
AREA = "image/object/area"
IS_CROWD, DIFFICULT = "image/object/is_crowd", "image/object/difficult"
LABEL, TEXT = "image/class/label", "image/class/text"
MASK = "image/segmentation/class/encoded"

# Besides the boxes: one value for each object, or none at all.
OBJECT_COLUMNS = (AREA, IS_CROWD, DIFFICULT)
MOST_CLASS = 2**31 - 1

_KINDS = {
    ENCODED: "bytes_list",
    SOURCE_ID: "bytes_list",
    HEIGHT: "int64_list",
    WIDTH: "int64_list",
    OBJECT_LABEL: "int64_list",
    OBJECT_TEXT: "bytes_list",
    AREA: "float_list",
    IS_CROWD: "int64_list",
    DIFFICULT: "int64_list",
    **dict.fromkeys(BOXES, "float_list"),
    LABEL: "int64_list",
    TEXT: "bytes_list",
    MASK: "bytes_list",
}
_KIND_NAMES = {"int64_list": "integers", "float_list": "floats", "bytes_list": "bytes"}
_SINGLE = (ENCODED, SOURCE_ID, HEIGHT, WIDTH, MASK)


def read_features(serialized: bytes) -> Any:
    """Returns the features of a record of any task, by key.

    Raises:
        UserError: It is not a ``tf.train.Example``, or a feature breaks a rule; the sentence names
            the feature, its content and what is needed.
    """
    features = unchecked_features(serialized)
    fault = _fault(features)
    if fault:
        raise UserError(fault)
    return features


def unchecked_features(serialized: bytes) -> Any:
    """Returns the features of a record without checking their content.

    Raises:
        UserError: It is not a ``tf.train.Example``.
    """
    try:
        return tf.train.Example.FromString(serialized).features.feature
    except DecodeError as error:
        raise UserError("it is not a tf.train.Example, as records must be") from error


def values_of(features: Any, key: str) -> list[Any]:
    """Returns the values of a feature in the table; empty if the record has none."""
    return list(getattr(features[key], _KINDS[key]).value) if key in features else []


def _fault(features: Any) -> str | None:
    for key, expected in _KINDS.items():
        # For TensorFlow a feature without a list is absent; an empty list of another type is not.
        kind = features[key].WhichOneof("kind") if key in features else None
        if kind not in (None, expected):
            empty = "" if getattr(features[key], kind).value else "an empty list of "
            return (
                f"its {key} holds {empty}{_KIND_NAMES[kind]}, and must hold {_KIND_NAMES[expected]}"
            )
    for key in _SINGLE:
        count = len(values_of(features, key))
        if count > 1:
            return f"its {key} holds {count} values, and must hold one"
    return _object_fault(features) or _class_fault(features) or _name_fault(features)


def _object_fault(features: Any) -> str | None:
    objects = len(values_of(features, OBJECT_LABEL))
    if any(len(values_of(features, key)) != objects for key in BOXES):
        return None  # The number of objects is in doubt: `decode_example` reports that.
    for key in OBJECT_COLUMNS:
        count = len(values_of(features, key))
        if count not in (0, objects):
            return (
                f"its {key} holds {count} value{'s' * (count != 1)} for {objects} "
                f"object{'s' * (objects != 1)}, and must hold one for each, or none"
            )
    return None


def _class_fault(features: Any) -> str | None:
    for key in (OBJECT_LABEL, LABEL):
        for value in values_of(features, key):
            # 0, the background, is left to preflight, which can tell where it comes from.
            if not 0 <= value <= MOST_CLASS:
                return (
                    f"its {key} holds {value}, and must hold class numbers from 1 to {MOST_CLASS}"
                )
    return None


def _name_fault(features: Any) -> str | None:
    for name in values_of(features, SOURCE_ID):
        try:
            name.decode("utf8")
        except UnicodeDecodeError:
            return f"its {SOURCE_ID} holds {name!r}, and must hold UTF-8 text"
    return None
