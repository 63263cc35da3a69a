"""TFRecords -> padded batches for detection, with tf.data.

Training: the order (:mod:`streams`) and every augmentation (:mod:`training_examples`) depend only
on (seed, epoch), so a run that resumes at step n continues exactly. The host sends uint8 (a quarter
of the bytes); ``transforms.preprocess.normalize`` with ``valid_hw`` runs on the device. Evaluation:
shards in order, no randomness, and float32 pixels straight from the bilinear resize, unrounded: the
original's numbers are computed from these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from efficientvision.data.batches import RecordReader
from efficientvision.data.record_files import FilePattern
from efficientvision.data.record_parsing import source_id
from efficientvision.data.records import parse_example
from efficientvision.data.transforms import decode, preprocess
from efficientvision.data.transforms.boxes import clip_to_last_pixel, has_area, pad_rows
from efficientvision.data.transforms.preprocess import Size
from efficientvision.errors import UserError
from efficientvision.tasks.detection.augmentation import Augmentation, SsdAugmentation
from efficientvision.tasks.detection.ssd_examples import SsdExamples
from efficientvision.tasks.detection.training_examples import TrainingExamples


def detection_dataset(
    file_pattern: FilePattern,
    *,
    image_hw: Size,
    batch_size: int,
    training: bool,
    more_sizes: Sequence[tuple[Size, Size]] = (),
    stretch: bool = False,
    max_instances_per_image: int = 100,
    augmentation: Augmentation | SsdAugmentation | None = None,
    mix_until: int | None = None,
    skip_crowd_during_training: bool = True,
    regenerate_source_id: bool = False,
    drop_remainder: bool | None = None,
    pad_last_batch: bool = False,
    **reading: Any,
) -> tf.data.Dataset:
    """Builds a data set of batches of images and boxes.

    Args:
        file_pattern: See :func:`efficientvision.data.record_files.match_files`.
        image_hw: (height, width) of the network input.
        batch_size: Examples per batch.
        training: Shuffle, augment and repeat; otherwise read once, in order, unaugmented.
        more_sizes: Evaluation: (image_hw, fit_hw) of further inputs for each photo: see
            :func:`efficientvision.data.transforms.preprocess.resize_and_pad`.
        stretch: Resize photos to the input without keeping their shape, as SSD does; otherwise they
            are fitted into it.
        max_instances_per_image: M; boxes beyond the first M are dropped (also from the ground truth
            for evaluation, so prefer ``ground_truth.coco_ground_truth`` for that).
        augmentation: Training: augmentation of the photos, an `SsdAugmentation` with `stretch`;
            None: the defaults.
        mix_until: Training: number of examples, from the first of the run, that mosaic and MixUp
            may make of several photos; None: all.
        skip_crowd_during_training: Training: leave out crowd boxes.
        regenerate_source_id: Name images by a hash of their bytes, which unnamed images always get.
        drop_remainder: Drop an incomplete last batch; None: only when training.
        pad_last_batch: Pad an incomplete last batch with examples that have no boxes and whose
            ``source_id`` is "", for callers that need one static shape.
        **reading: Order, share and limits; see :class:`efficientvision.data.batches.RecordReader`.

    Returns:
        A dataset of dicts:
        ``images`` [B, H, W, 3], uint8 (training, or with ``stretch``) or float32 (evaluation),
        values 0..255, padding 0;
        ``valid_hw`` int32 [B, 2], the part of the canvas that shows the photo;
        ``image_scale`` float32 [B], converts pixels of the input to pixels of the photo (only
        sizes, if training has cropped) by multiplication; not with ``stretch``, which scales each
        axis differently;
        ``gt_boxes_yxyx`` float32 [B, M, 4], pixels of the network input, -1 padded;
        ``gt_classes`` int32 [B, M], 1..K, -1 padded;
        ``source_id`` string [B].
        Evaluation adds the ground truth as stored in the records, including crowds:
        ``original_hw`` int32 [B, 2]; ``gt_boxes_original_yxyx`` float32 [B, M, 4], pixels of the
        photo, ``gt_classes_original`` int32 [B, M] and ``gt_area`` float32 [B, M], square pixels,
        all three -1 padded; ``gt_is_crowd`` bool [B, M]; and ``images_1``, ``valid_hw_1``, ... for
        the first, ... of ``more_sizes``.

    Raises:
        UserError: There are no files or records, or an argument makes no sense.
    """
    reader = RecordReader(file_pattern, batch_size=batch_size, training=training, **reading)
    if max_instances_per_image < 1:
        raise UserError(
            f"max_instances_per_image must be at least 1, got {max_instances_per_image}."
        )
    num_mix_candidates = 0
    if training:
        examples, default = (
            (SsdExamples, SsdAugmentation) if stretch else (TrainingExamples, Augmentation)
        )
        load = examples(
            image_hw=image_hw,
            max_instances=max_instances_per_image,
            skip_crowd=skip_crowd_during_training,
            regenerate_source_id=regenerate_source_id,
            augmentation=augmentation or default(),
            seed=reader.seed,
            mix_until=mix_until,
        )
        num_mix_candidates = load.augmentation.num_mix_candidates
    else:

        def load(_: tf.Tensor, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
            return _evaluation_example(
                parse_example(serialized),
                image_hw,
                more_sizes,
                stretch,
                max_instances_per_image,
                regenerate_source_id,
            )

    dataset = reader.examples(load, num_mix_candidates, mix_until if num_mix_candidates else None)
    if pad_last_batch:
        missing = 0 if training else -reader.share % batch_size
        if missing:
            dataset = dataset.concatenate(_empty_examples(dataset.element_spec, missing))
        drop_remainder = True
    return reader.batches(dataset, drop_remainder=drop_remainder)


def _evaluation_example(
    example: dict[str, tf.Tensor],
    image_hw: Size,
    more_sizes: Sequence[tuple[Size, Size]],
    stretch: bool,
    max_instances: int,
    regenerate_source_id: bool,
) -> dict[str, tf.Tensor]:
    dct_method = decode.ACCURATE_DCT_METHOD if stretch else decode.DCT_METHOD
    photo = decode.decode_image(example["encoded"], dct_method=dct_method)
    source_hw = tf.shape(photo)[:2]
    if stretch:
        fitted = {"images": preprocess.stretch(photo, image_hw)}
        valid_hw = tf.constant(image_hw, tf.int32)
    else:
        image, image_scale, valid_hw = preprocess.resize_and_pad(photo, image_hw)
        fitted = {"images": image, "image_scale": image_scale}
    normalized, classes = example["boxes_normalized_yxyx"], example["classes"]
    boxes = normalized * tf.cast(tf.tile(valid_hw, [2]), tf.float32)
    boxes = clip_to_last_pixel(boxes, image_hw)
    seen = has_area(boxes)
    source = tf.cast(tf.tile(source_hw, [2]), tf.float32)
    # PASCAL records (and the fallback) store areas as fractions; COCO records as pixels.
    fraction = example["area"] <= 1.0
    area = tf.where(fraction, example["area"] * source[0] * source[1], example["area"])
    further = {}
    for number, sizes in enumerate(more_sizes, start=1):
        other, _, other_valid_hw = preprocess.resize_and_pad(photo, *sizes)
        further |= {f"images_{number}": other, f"valid_hw_{number}": other_valid_hw}
    return {
        **fitted,
        **further,
        "valid_hw": valid_hw,
        "gt_boxes_yxyx": pad_rows(tf.boolean_mask(boxes, seen), max_instances, -1.0),
        "gt_classes": pad_rows(tf.boolean_mask(classes, seen), max_instances, -1),
        "source_id": source_id(example, regenerate_source_id),
        "original_hw": source_hw,
        "gt_boxes_original_yxyx": pad_rows(normalized * source, max_instances, -1.0),
        "gt_classes_original": pad_rows(classes, max_instances, -1),
        "gt_area": pad_rows(area, max_instances, -1.0),
        "gt_is_crowd": pad_rows(example["is_crowd"], max_instances, False),
    }


def _empty_examples(spec: dict[str, tf.TensorSpec], count: int) -> tf.data.Dataset:
    """Padding examples: black 1x1 photos without boxes and without a name."""
    fills = {
        "gt_boxes_yxyx": -1,
        "gt_classes": -1,
        "gt_boxes_original_yxyx": -1,
        "gt_classes_original": -1,
        "gt_area": -1,
        "valid_hw": 1,
        "original_hw": 1,
        "image_scale": 1,
    }
    empty = {
        name: tf.constant("")
        if tensor.dtype == tf.string
        else tf.cast(tf.fill(tensor.shape, fills.get(name.rstrip("_0123456789"), 0)), tensor.dtype)
        for name, tensor in spec.items()
    }
    return tf.data.Dataset.from_tensors(empty).repeat(count)
