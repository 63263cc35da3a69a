"""What the features of a record must hold, whoever wrote it: kinds, numbers of values, ranges.

The one table of them: what is refused here is refused by the graphs that parse records too, so that
training, evaluation, inspection and the check before training agree on which records are bad.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError

from efficientvision.errors import UserError

ENCODED = "image/encoded"
SOURCE_ID = "image/source_id"
HEIGHT, WIDTH = "image/height", "image/width"
BOX_SIDES = ("ymin", "xmin", "ymax", "xmax")
BOXES = tuple(f"image/object/bbox/{side}" for side in BOX_SIDES)
OBJECT_LABEL, OBJECT_TEXT = "image/object/class/label", "image/object/class/text"
AREA = "image/object/area"
IS_CROWD, DIFFICULT = "image/object/is_crowd", "image/object/difficult"
LABEL, TEXT = "image/class/label", "image/class/text"
MASK = "image/segmentation/class/encoded"

# Beside the boxes: one value for each object, or none at all.
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
    """The features of a record of any task, by their keys.

    Raises:
        UserError: it is not a ``tf.train.Example``, or a feature is not what it must be; the
            sentence names the feature, what it holds and what is needed.
    """
    features = unchecked_features(serialized)
    fault = _fault(features)
    if fault:
        raise UserError(fault)
    return features


def unchecked_features(serialized: bytes) -> Any:
    """The features of a record, whatever they hold.

    Raises:
        UserError: it is not a ``tf.train.Example``.
    """
    try:
        return tf.train.Example.FromString(serialized).features.feature
    except DecodeError as error:
        raise UserError("it is not a tf.train.Example, as records must be") from error


def values_of(features: Any, key: str) -> list[Any]:
    """The values of a feature that the table knows; empty where the record has none."""
    return list(getattr(features[key], _KINDS[key]).value) if key in features else []


def _fault(features: Any) -> str | None:
    for key, expected in _KINDS.items():
        # TensorFlow takes a feature without a list as absent, but no empty list of another kind.
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
        return None  # How many objects there are is in doubt: `decode_example` says so.
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
            # 0, the background, is left to the check before training, which knows why it is there.
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
