"""TFRecords -> batches for semantic segmentation, with tf.data.

Training: the order (:mod:`streams`) and every scale, window and flip depend only on (seed,
position), so a run that resumes at step n continues exactly. Evaluation: shards in order, no
randomness, and masks at their own size, at which the field computes metrics. The host sends uint8
either way; normalising happens on the device.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from efficientvision.data.batches import RecordReader
from efficientvision.data.mask_records import IGNORED, parse_mask_example
from efficientvision.data.record_files import FilePattern
from efficientvision.data.record_parsing import source_id
from efficientvision.data.transforms import decode
from efficientvision.data.transforms.orientation import (
    draw_orientation,
    orient_image,
    oriented_size,
)
from efficientvision.data.transforms.preprocess import Size
from efficientvision.data.transforms.random_crop import resize_like_pillow
from efficientvision.data.transforms.scale_crop import (
    draw_scale_crop,
    render_image,
    render_mask,
)
from efficientvision.errors import UserError

# Pillow's, and so the published code's.
_DCT_METHOD = "INTEGER_ACCURATE"
# One RNG stream per purpose, so draws are independent.
_ORIENTATION, _WINDOW = range(2)


@dataclasses.dataclass(frozen=True)
class MaskAugmentation:
    """Augmentation of photos and their masks.

    Attributes:
        scale: Range of the factor by which the photo's own size is multiplied.
        horizontal_flip, vertical_flip: Mirror half of the photos.
        quarter_turns: Rotate by a random multiple of 90 degrees.
    """

    scale: tuple[float, float] = (0.5, 2.0)
    horizontal_flip: bool = True
    vertical_flip: bool = False
    quarter_turns: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1]:
            raise UserError(
                "the scale of random windows needs 0 < smallest <= largest, got "
                f"{self.scale[0]:g} and {self.scale[1]:g}."
            )


def published_scale(dataset: str, width: int) -> tuple[float, float]:
    """Range of the random scale with which EdgeNets trains on a data set.

    Args:
        dataset: "city" for Cityscapes, whose photos have 2048 x 1024 pixels; others are treated
            like PASCAL VOC.
        width: Width of the network input in pixels; the published ones are 512, 1024 and 2048.
    """
    if dataset != "city":
        return (0.5, 2.0)
    if width <= 512:
        return (0.25, 0.5)
    return (0.35, 1.0) if width <= 1024 else (1.0, 2.0)


def segmentation_dataset(
    file_pattern: FilePattern,
    *,
    image_hw: Size,
    batch_size: int,
    training: bool,
    augmentation: MaskAugmentation | None = None,
    more_sizes: Sequence[Size] = (),
    class_map: Sequence[int] | None = None,
    regenerate_source_id: bool = False,
    **reading: Any,
) -> tf.data.Dataset:
    """Builds a data set of batches of images and masks. Photos may differ in size.

    Args:
        file_pattern: See :func:`efficientvision.data.record_files.match_files`.
        image_hw: (height, width) of the network input.
        batch_size: Examples per batch.
        training: Shuffle, scale and crop at random, and repeat; otherwise read once, in order,
            unaugmented.
        augmentation: Training: augmentation of the photos; None: the defaults.
        more_sizes: Evaluation: (height, width) of further inputs for each photo.
        class_map: 256 values, the new value for each value of the masks; None: no change.
        regenerate_source_id: Name images by a hash of their bytes, which unnamed images always get.
        **reading: Order, share and limits; see :class:`efficientvision.data.batches.RecordReader`.

    Returns:
        A dataset of dicts:
        ``images`` uint8 [B, H, W, 3];
        ``masks`` uint8, classes from 0, 255 ignored: training: [B, H, W]; evaluation: [B, h, w], at
        the masks' own sizes, padded with 255 to the largest of the batch;
        ``source_id`` string [B].
        Evaluation adds ``mask_sizes`` int32 [B, 2], height and width of each mask, and
        ``images_1``, ... for the first, ... of ``more_sizes``. Its images are the whole photos,
        resized to (H, W) as Pillow does (bilinear, antialiased, rounded).

    Raises:
        UserError: There are no files or records, or an argument makes no sense.
        tf.errors.InvalidArgumentError: When read: a mask and its image differ in size;
            :func:`efficientvision.data.checks.data_errors` names the record.
    """
    reader = RecordReader(file_pattern, batch_size=batch_size, training=training, **reading)
    augmentation = augmentation or MaskAugmentation()
    table = _table(class_map)

    def load(position: tf.Tensor, record: tf.Tensor) -> dict[str, tf.Tensor]:
        example = parse_mask_example(record[0] if training else record)
        photo, mask = _decoded(example, table)
        if training:
            number = tf.stack([tf.constant(reader.seed, tf.int64), position])
            pair = _training_pair(photo, mask, image_hw, augmentation, number)
        else:
            pair = _evaluation_pair(photo, mask, [image_hw, *more_sizes])
        return {**pair, "source_id": source_id(example, regenerate_source_id)}

    return reader.batches(reader.examples(load), fill={} if training else {"masks": IGNORED})


def _table(class_map: Sequence[int] | None) -> tf.Tensor | None:
    if class_map is None:
        return None
    values = list(class_map)
    if len(values) != 256 or not all(0 <= value <= 255 for value in values):
        raise UserError(f"a class map of masks needs 256 values from 0 to 255, got {values}.")
    return tf.constant(values, tf.uint8)


def _decoded(example: dict[str, tf.Tensor], table: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes photo, uint8 [h, w, 3], and mask, uint8 [h, w]."""
    photo = decode.decode_image(example["encoded"], dct_method=_DCT_METHOD)
    mask = tf.io.decode_png(example["mask_encoded"], channels=1)[..., 0]
    photo_hw, mask_hw = tf.shape(photo)[:2], tf.shape(mask)
    same = tf.debugging.Assert(
        tf.reduce_all(photo_hw == mask_hw),
        ["image", example["source_id"], "has size", photo_hw, "and its mask", mask_hw],
    )
    with tf.control_dependencies([same] if same is not None else []):
        mask = tf.identity(mask)
    if table is not None:
        mask = tf.gather(table, tf.cast(mask, tf.int32))
    return photo, mask


def _training_pair(
    photo: tf.Tensor,
    mask: tf.Tensor,
    image_hw: Size,
    augmentation: MaskAugmentation,
    seed: tf.Tensor,
) -> dict[str, tf.Tensor]:
    fold = tf.random.experimental.stateless_fold_in
    turned = draw_orientation(
        fold(seed, _ORIENTATION),
        horizontal_flip=augmentation.horizontal_flip,
        vertical_flip=augmentation.vertical_flip,
        quarter_turns=augmentation.quarter_turns,
    )
    plan = draw_scale_crop(
        fold(seed, _WINDOW),
        tf.shape(mask),
        oriented_size(turned, tf.constant(image_hw, tf.int32)),
        augmentation.scale,
    )
    image = orient_image(turned, render_image(photo, plan))
    labels = orient_image(turned, render_mask(mask, plan, IGNORED)[..., tf.newaxis])
    return {
        "images": tf.ensure_shape(image, [*image_hw, 3]),
        "masks": tf.ensure_shape(labels[..., 0], image_hw),
    }


def _evaluation_pair(
    photo: tf.Tensor, mask: tf.Tensor, sizes: Sequence[Size]
) -> dict[str, tf.Tensor]:
    images = {
        f"images_{number}" if number else "images": tf.ensure_shape(
            resize_like_pillow(photo, size), [*size, 3]
        )
        for number, size in enumerate(sizes)
    }
    return {**images, "masks": mask, "mask_sizes": tf.shape(mask)}
