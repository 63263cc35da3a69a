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
from efficientvision.data.transforms.random_crop import (
    draw_crop,
    evaluation_crop,
    resize_like_pillow,
)

# One RNG stream per purpose, so draws are independent.
_ORIENTATION, _CROP = range(2)


@dataclasses.dataclass(frozen=True)
class Cropping:
    """Crops of the training and evaluation photos.

    Attributes:
        scale: Training: range of the crop's share of the area.
        ratio: Training: range of its width / height.
        horizontal_flip, vertical_flip: Training: mirror half of the photos.
        quarter_turns: Training: rotate by a random multiple of 90 degrees.
        eval_share: Evaluation: share of the shorter side that the central crop shows.
        eval_squash: Evaluation: instead of cropping, resize the whole photo without keeping its
            shape.
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
    """Builds a data set of batches of images and classes.

    Args:
        file_pattern: See :func:`efficientvision.data.record_files.match_files`.
        image_hw: (height, width) of the network input.
        class_ids: The records' class ids in the order of the network's outputs. Other ids are an
            error for single-label data and are left out for multi-label data.
        multi_label: An image may have any number of classes.
        batch_size: Examples per batch.
        training: Shuffle, crop at random and repeat; otherwise read once, in order, unaugmented.
        cropping: Crops of the photos; None: the defaults.
        regenerate_source_id: Name images by a hash of their bytes, which unnamed images always get.
        **reading: Order, share and limits; see :class:`efficientvision.data.batches.RecordReader`.

    Returns:
        A dataset of dicts:
        ``images`` uint8 [B, H, W, 3];
        ``labels`` int32 [B], 0..K-1, or -1 if the record's class is not in ``class_ids``; with
        ``multi_label`` uint8 [B, K], 1 for the classes of the image;
        ``source_id`` string [B].

    Raises:
        UserError: There are no files or records, or an argument makes no sense.
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
    """Class ids of a record -> the network's target."""
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
    placement = draw_crop(
        fold(seed, _CROP),
        oriented_size(turned, stored_hw),
        image_hw,
        scale=cropping.scale,
        ratio=cropping.ratio,
    )
    stored = stored_crop(turned, placement.crop_yx, placement.crop_hw, stored_hw)
    part = decode.decode_crop(encoded, *stored, dct_method=decode.ACCURATE_DCT_METHOD)
    # Pillow resizes rows before columns, so the part is turned first.
    image = resize_like_pillow(orient_image(turned, part), image_hw)
    return tf.ensure_shape(image, [*image_hw, 3])
