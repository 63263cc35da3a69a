"""TFRecords -> batches for classification, with tf.data.

Training: the order (:mod:`streams`) and every crop and flip are functions of (seed, position), so a
run that starts again at step n continues exactly. Evaluation: shards in order, no randomness. The
host sends uint8 either way; normalising happens on the device.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from efficientvision.data.batches import RecordReader
from efficientvision.data.class_records import parse_class_example
from efficientvision.data.record_files import FilePattern
from efficientvision.data.record_parsing import source_id
from efficientvision.data.transforms import decode
from efficientvision.data.transforms.orientation import (
    draw_orientation,
    orient_image,
    oriented_size,
    stored_crop,
)
from efficientvision.data.transforms.preprocess import Size
from efficientvision.data.transforms.random_crop import evaluation_crop, training_crop

# What a random number is for.
_ORIENTATION, _CROP = range(2)


@dataclasses.dataclass(frozen=True)
class Cropping:
    """What of a photo the network sees.

    Attributes:
        scale: training: bounds of the crop's share of the area.
        ratio: training: bounds of its width / height.
        horizontal_flip, vertical_flip: training: mirror half of the photos.
        quarter_turns: training: turn them by quarters.
        eval_share: evaluation: share of the shorter side that is cut out of the middle.
        eval_squash: evaluation: resize the whole photo instead, whatever its shape.
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    horizontal_flip: bool = True
    vertical_flip: bool = False
    quarter_turns: bool = False
    eval_share: float = 0.875
    eval_squash: bool = False


def classification_dataset(
    file_pattern: FilePattern,
    *,
    image_hw: Size,
    class_ids: Sequence[int],
    multi_label: bool = False,
    batch_size: int,
    training: bool,
    cropping: Cropping | None = None,
    regenerate_source_id: bool = False,
    **reading: Any,
) -> tf.data.Dataset:
    """Batches of images and classes.

    Args:
        file_pattern: see :func:`efficientvision.data.record_files.match_files`.
        image_hw: (height, width) of the network input.
        class_ids: the records' class ids in the order of the network's outputs; other ids are an
            error where there is one class an image, and left out otherwise.
        multi_label: an image may have any number of classes.
        batch_size: examples a batch.
        training: shuffle, crop at random, repeat; or read once, in order, as it is.
        cropping: what of a photo is seen; None: its defaults.
        regenerate_source_id: name images by a hash of their bytes, as is done if they have no name.
        **reading: order, share and limits: see :class:`efficientvision.data.batches.RecordReader`.

    Returns:
        A dataset of dicts:
        ``images`` uint8 [B, H, W, 3];
        ``labels`` int32 [B], 0..K-1, and -1 where the record's class is none of ``class_ids``; with
        ``multi_label`` uint8 [B, K], 1 for the classes that the image has;
        ``source_id`` string [B].

    Raises:
        UserError: no files, no records, or arguments that make no sense.
    """
    reader = RecordReader(file_pattern, batch_size=batch_size, training=training, **reading)
    cropping = cropping or Cropping()
    ids = tf.constant(list(class_ids), tf.int32)

    def load(position: tf.Tensor, record: tf.Tensor) -> dict[str, tf.Tensor]:
        example = parse_class_example(record[0] if training else record)
        if training:
            number = tf.stack([tf.constant(reader.seed, tf.int64), position])
            image = _training_image(example["encoded"], image_hw, cropping, number)
        else:
            image = evaluation_crop(
                decode.decode_image(example["encoded"], dct_method=decode.ACCURATE_DCT_METHOD),
                image_hw,
                cropping.eval_share,
                squash=cropping.eval_squash,
            )
        return {
            "images": image,
            "labels": _labels(example["classes"], ids, multi_label),
            "source_id": source_id(example, regenerate_source_id),
        }

    return reader.batches(reader.examples(load))


def _labels(classes: tf.Tensor, ids: tf.Tensor, multi_label: bool) -> tf.Tensor:
    """Class ids of a record -> what the network is to say."""
    has = tf.reduce_any(tf.equal(classes[:, tf.newaxis], ids), axis=0)
    if multi_label:
        return tf.cast(has, tf.uint8)
    index = tf.argmax(has, output_type=tf.int32)
    return tf.where(tf.reduce_any(has), index, -1)


def _training_image(
    encoded: tf.Tensor, image_hw: Size, cropping: Cropping, seed: tf.Tensor
) -> tf.Tensor:
    fold = tf.random.experimental.stateless_fold_in
    turned = draw_orientation(
        fold(seed, _ORIENTATION),
        horizontal_flip=cropping.horizontal_flip,
        vertical_flip=cropping.vertical_flip,
        quarter_turns=cropping.quarter_turns,
    )
    stored_hw = decode.image_size(encoded)

    def decode_part(yx: tf.Tensor, hw: tf.Tensor) -> tf.Tensor:
        part = stored_crop(turned, yx, hw, stored_hw)
        return orient_image(
            turned, decode.decode_crop(encoded, *part, dct_method=decode.ACCURATE_DCT_METHOD)
        )

    return training_crop(
        decode_part,
        oriented_size(turned, stored_hw),
        image_hw,
        fold(seed, _CROP),
        scale=cropping.scale,
        ratio=cropping.ratio,
    )
