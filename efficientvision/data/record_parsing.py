"""Parses records of any task in a graph, which fails if a feature breaks a rule.

The counterpart of `record_features`, without its messages:
`efficientvision.data.checks.data_errors` finds the record and says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from efficientvision.data.record_features import ENCODED, HEIGHT, MOST_CLASS, SOURCE_ID, WIDTH


def parsed_features(
    serialized: tf.Tensor, lists: dict[str, tf.DType], required: Sequence[str] = ()
) -> dict[str, tf.Tensor]:
    """Reads features of a record in the graph, and the image features that all tasks share.

    Args:
        serialized: string [], one ``tf.train.Example``.
        lists: Features with any number of values, and their types.
        required: Further features with one string each, besides the image.

    Returns:
        A dict of the features, strings [] and lists, plus
        ``encoded`` string [] (JPEG or PNG);
        ``source_id`` string [], "" if the record has none;
        ``stated_hw`` int64 [2], the image's size according to the record, -1 if not stated.
    """
    listed = {SOURCE_ID: tf.string, HEIGHT: tf.int64, WIDTH: tf.int64, **lists}
    raw = tf.io.parse_single_example(
        serialized,
        {
            **{key: tf.io.FixedLenFeature([], tf.string) for key in (ENCODED, *required)},
            # An empty list counts as none here, but would be an error for `FixedLenFeature`.
            **{
                key: tf.io.FixedLenSequenceFeature([], kind, allow_missing=True)
                for key, kind in listed.items()
            },
        },
    )

    counts = tf.stack([tf.size(raw[key]) for key in (SOURCE_ID, HEIGHT, WIDTH)])

    def single(key: str, default: Any) -> tf.Tensor:
        return tf.concat([raw[key], [default]], axis=0)[0]

    name = single(SOURCE_ID, "")
    return {
        **raw,
        "encoded": only_if(tf.reduce_all(counts <= 1), raw[ENCODED]),
        # Fails if it is not UTF-8.
        "source_id": tf.strings.unicode_transcode(name, "UTF-8", "UTF-8", errors="strict"),
        "stated_hw": tf.stack([single(key, tf.constant(-1, tf.int64)) for key in (HEIGHT, WIDTH)]),
    }


def checked_classes(labels: tf.Tensor) -> tf.Tensor:
    """int64 labels -> int32; fails in the graph if they are not class numbers."""
    return only_if(tf.reduce_all((labels >= 0) & (labels <= MOST_CLASS)), tf.cast(labels, tf.int32))


def only_if(condition: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Returns the value, in a graph that fails if the condition does not hold."""
    check = tf.debugging.Assert(condition, ["a record is not what it must be"])
    with tf.control_dependencies([check] if check is not None else []):
        return tf.identity(value)


def source_id(example: dict[str, tf.Tensor], regenerate: bool) -> tf.Tensor:
    """string [], the photo's name; a hash of its bytes if it has none or on request."""
    hashed = tf.strings.as_string(tf.strings.to_hash_bucket_fast(example["encoded"], tf.int64.max))
    if regenerate:
        return hashed
    return tf.where(tf.equal(example["source_id"], ""), hashed, example["source_id"])
