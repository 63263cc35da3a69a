"""The TFRecord schema of images with classes: written and parsed here and nowhere else.

Feature keys are the usual ones (`image/class/label`, counted from 1; `image/class/text`); those of
the image are shared with detection records. Detection records can be read as well: the classes of
an image are then those of its objects, including crowds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf

from efficientvision.data.record_features import LABEL, OBJECT_LABEL, OBJECT_TEXT, TEXT
from efficientvision.data.record_parsing import checked_classes, parsed_features
from efficientvision.data.records import ImageExample, bytes_feature, image_features, int_feature


@dataclass(frozen=True)
class ClassExample(ImageExample):
    """One image with its classes, as it goes into a record.

    Attributes:
        classes: Class ids, 1..K: exactly one for single-label data, any number for multi-label.
        class_names: Names of these classes.
    """

    classes: Sequence[int]
    class_names: Sequence[str]


def encode_class_example(example: ClassExample) -> bytes:
    """Serialises one image as a ``tf.train.Example``."""
    features = {
        **image_features(example),
        LABEL: int_feature(example.classes),
        TEXT: bytes_feature(example.class_names),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def parse_class_example(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Reads one record in the graph.

    Args:
        serialized: string [], one ``tf.train.Example`` of this schema or of the detection schema.

    Returns:
        A dict of
        ``encoded`` string [] (JPEG or PNG);
        ``source_id`` string [], "" if the record has none;
        ``stated_hw`` int64 [2], the image's size according to the record, -1 if not stated;
        ``classes`` int32 [n], ids as stored, without repetitions, in order of appearance;
        ``texts`` string [m], their names in the record; m is n or 0.
    """
    raw = parsed_features(
        serialized,
        {LABEL: tf.int64, TEXT: tf.string, OBJECT_LABEL: tf.int64, OBJECT_TEXT: tf.string},
    )
    # At most one of the two schemas has values.
    labels = checked_classes(tf.concat([raw[LABEL], raw[OBJECT_LABEL]], axis=0))
    texts = tf.concat([raw[TEXT], raw[OBJECT_TEXT]], axis=0)
    classes, class_of = tf.unique(labels)
    # A class takes the text of its first appearance.
    places = tf.range(tf.size(labels))
    first = tf.math.unsorted_segment_min(places, class_of, tf.size(classes))
    return {
        "encoded": raw["encoded"],
        "source_id": raw["source_id"],
        "stated_hw": raw["stated_hw"],
        "classes": classes,
        "texts": tf.cond(
            tf.equal(tf.size(texts), tf.size(labels)),
            lambda: tf.gather(texts, first),
            lambda: tf.zeros([0], tf.string),
        ),
    }
