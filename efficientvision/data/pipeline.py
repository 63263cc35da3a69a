"""TFRecords -> padded batches for detection, with tf.data.

Training: the order and every augmentation are functions of (seed, epoch), so a run that starts
again at step n continues exactly: whole epochs are skipped by counting, the rest before decoding.
The host sends uint8 (a quarter of the bytes); ``transforms.preprocess.normalize`` with
``valid_hw`` runs on the device. Evaluation: shards in order, no randomness, and float32 pixels as
the bilinear resize gives them, unrounded: that is what the original's numbers are computed from.
"""

from __future__ import annotations

import random

import tensorflow as tf

from efficientvision.data.record_files import FilePattern, count_records, match_files
from efficientvision.data.records import parse_example
from efficientvision.data.transforms import decode, detection, preprocess
from efficientvision.data.transforms.preprocess import Size
from efficientvision.errors import UserError

AUTOTUNE = tf.data.AUTOTUNE


def detection_dataset(
    file_pattern: FilePattern,
    *,
    image_hw: Size,
    batch_size: int,
    training: bool,
    max_instances_per_image: int = 100,
    input_rand_hflip: bool = True,
    jitter_min: float = 0.1,
    jitter_max: float = 2.0,
    skip_crowd_during_training: bool = True,
    regenerate_source_id: bool = False,
    seed: int | None = None,
    deterministic: bool | None = None,
    start_step: int = 0,
    num_epochs: int | None = None,
    max_examples: int | None = None,
    drop_remainder: bool | None = None,
    pad_last_batch: bool = False,
    shuffle_buffer: int = 1024,
    input_shard: tuple[int, int] = (0, 1),
    num_parallel_calls: int | None = None,
) -> tf.data.Dataset:
    """Batches of images and boxes.

    Args:
        file_pattern: see :func:`efficientvision.data.record_files.match_files`.
        image_hw: (height, width) of the network input.
        batch_size: examples a batch.
        training: shuffle, augment, repeat; or read once, in order, as it is.
        max_instances_per_image: M; of more boxes the first M are kept (the ground truth for
            evaluation loses them too: better take it from ``ground_truth.coco_ground_truth``).
        input_rand_hflip: training: mirror half of the images.
        jitter_min, jitter_max: training: range of the scale factor; 1 fits the image to the input.
        skip_crowd_during_training: training: leave out crowd boxes.
        regenerate_source_id: name images by a hash of their bytes, as is done if they have no name.
        seed: of order and augmentation; None: another one each time.
        deterministic: keep the order in spite of parallel reading; None: yes if a seed is given.
        start_step: training: begin with this batch of the endless sequence (resume).
        num_epochs: training: stop after so many; None: never.
        max_examples: use only the first so many records (in shard order).
        drop_remainder: drop an incomplete last batch; None: when training.
        pad_last_batch: fill up an incomplete last batch with examples whose ``source_id`` is ""
            and that have no boxes, for callers who need one static shape.
        shuffle_buffer: records held (encoded) to draw from.
        input_shard: (index, count): this reader's share of the examples, every count-th one;
            ``batch_size`` and ``start_step`` then count that share.
        num_parallel_calls: parallel decoders; None: tuned by tf.data.

    Returns:
        A dataset of dicts:
        ``images`` [B, H, W, 3], uint8 (training) or float32 (evaluation), values 0..255, padding 0;
        ``valid_hw`` int32 [B, 2], the part of the canvas that is image;
        ``image_scale`` float32 [B], multiplies pixels of the input into pixels of the photo (sizes,
        where training has cropped);
        ``gt_boxes_yxyx`` float32 [B, M, 4], pixels of the network input, -1 padded;
        ``gt_classes`` int32 [B, M], 1..K, -1 padded;
        ``source_id`` string [B].
        Evaluation adds the ground truth as it stands in the records, crowds included:
        ``original_hw`` int32 [B, 2]; ``gt_boxes_original_yxyx`` float32 [B, M, 4], pixels of the
        photo, ``gt_classes_original`` int32 [B, M] and ``gt_area`` float32 [B, M], square pixels,
        all three -1 padded; ``gt_is_crowd`` bool [B, M].

    Raises:
        UserError: no files, no records, or arguments that make no sense.
    """
    files = match_files(file_pattern)
    counts = count_records(files)
    num_records = sum(counts)
    if max_examples is not None:
        num_records = min(num_records, max_examples)
    _check(file_pattern, num_records, batch_size, jitter_min, jitter_max, max_instances_per_image)
    if deterministic is None:
        deterministic = seed is not None
    if seed is None:
        seed = random.SystemRandom().randrange(2**31)
    if drop_remainder is None:
        drop_remainder = training
    parallel = num_parallel_calls or AUTOTUNE
    index, num_readers = input_shard
    if training:
        first = start_step * batch_size * num_readers
        stream = _endless_stream(
            files, counts, num_records, seed, first, num_epochs, shuffle_buffer, max_examples
        )
    else:
        stream = _read_in_order(files).take(num_records).enumerate()
    if num_readers > 1:
        stream = stream.shard(num_readers, index)

    def load_for_training(position: tf.Tensor, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        example = parse_example(serialized)
        augmentation_seed = tf.stack([tf.constant(seed, tf.int64), position])
        return _training_example(
            example,
            augmentation_seed,
            image_hw=image_hw,
            random_flip=input_rand_hflip,
            jitter_min=jitter_min,
            jitter_max=jitter_max,
            skip_crowd=skip_crowd_during_training,
            max_instances=max_instances_per_image,
            regenerate_source_id=regenerate_source_id,
        )

    def load_for_evaluation(_: tf.Tensor, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        return _evaluation_example(
            parse_example(serialized), image_hw, max_instances_per_image, regenerate_source_id
        )

    load = load_for_training if training else load_for_evaluation
    dataset = stream.map(
        load, num_parallel_calls=parallel, deterministic=deterministic or not training
    )
    if pad_last_batch and not training:
        share = len(range(index, num_records, num_readers))
        if missing := -share % batch_size:
            dataset = dataset.concatenate(_empty_examples(dataset.element_spec, missing))
    dataset = dataset.batch(batch_size, drop_remainder=drop_remainder or pad_last_batch)
    options = tf.data.Options()
    options.deterministic = deterministic or not training
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options).prefetch(2)


def _check(
    file_pattern: FilePattern,
    num_records: int,
    batch_size: int,
    jitter_min: float,
    jitter_max: float,
    max_instances: int,
) -> None:
    if num_records < 1:
        raise UserError(f"The files of {file_pattern!r} hold no records.")
    if batch_size < 1 or max_instances < 1:
        raise UserError(
            "batch size and max_instances_per_image must be at least 1, "
            f"got {batch_size} and {max_instances}."
        )
    if not 0 < jitter_min <= jitter_max:
        raise UserError(
            f"scale jitter needs 0 < jitter_min <= jitter_max, got {jitter_min} and {jitter_max}."
        )


def _read_in_order(files: list[str]) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(files, buffer_size=1 << 20)


def _endless_stream(
    files: list[str],
    counts: list[int],
    num_records: int,
    seed: int,
    first: int,
    num_epochs: int | None,
    shuffle_buffer: int,
    max_examples: int | None,
) -> tf.data.Dataset:
    """(position, serialized record), epoch after epoch, from position ``first`` on."""
    first_epoch, skipped = divmod(first, num_records)
    first_epoch, skipped = tf.constant(first_epoch, tf.int64), tf.constant(skipped, tf.int64)
    paths = [path for path, count in zip(files, counts, strict=True) if count]

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        epoch_seed = tf.random.stateless_uniform(
            [2], tf.stack([tf.constant(seed, tf.int64), epoch]), maxval=2**31 - 1, dtype=tf.int64
        )
        if max_examples is None:
            order = tf.random.experimental.stateless_shuffle(paths, epoch_seed)
            records = tf.data.Dataset.from_tensor_slices(order).interleave(
                tf.data.TFRecordDataset,
                cycle_length=min(len(paths), 8),
                num_parallel_calls=AUTOTUNE,
                deterministic=True,
            )
        else:
            records = _read_in_order(paths).take(num_records)
        records = records.shuffle(
            min(num_records, shuffle_buffer), seed=epoch_seed[0], reshuffle_each_iteration=False
        )
        records = records.enumerate(epoch * num_records)
        return records.skip(tf.where(tf.equal(epoch, first_epoch), skipped, 0))

    last = tf.int64.max if num_epochs is None else num_epochs
    return tf.data.Dataset.range(first_epoch, last).flat_map(one_epoch)


def _source_id(example: dict[str, tf.Tensor], regenerate: bool) -> tf.Tensor:
    hashed = tf.strings.as_string(tf.strings.to_hash_bucket_fast(example["encoded"], tf.int64.max))
    if regenerate:
        return hashed
    return tf.where(tf.equal(example["source_id"], ""), hashed, example["source_id"])


def _training_example(
    example: dict[str, tf.Tensor],
    seed: tf.Tensor,
    *,
    image_hw: Size,
    random_flip: bool,
    jitter_min: float,
    jitter_max: float,
    skip_crowd: bool,
    max_instances: int,
    regenerate_source_id: bool,
) -> dict[str, tf.Tensor]:
    source_hw = decode.image_size(example["encoded"])
    flip, plan = detection.draw_plan(
        seed,
        source_hw,
        image_hw,
        random_flip=random_flip,
        jitter_min=jitter_min,
        jitter_max=jitter_max,
    )
    crop = decode.decode_crop(
        example["encoded"], detection.mirrored_crop(flip, plan, source_hw), plan.crop_hw
    )
    boxes, classes = example["boxes_normalized_yxyx"], example["classes"]
    if skip_crowd:
        boxes, classes = (tf.boolean_mask(v, ~example["is_crowd"]) for v in (boxes, classes))
    boxes = tf.where(flip, detection.flip_boxes(boxes), boxes)
    boxes = detection.place_boxes(boxes, source_hw, plan, image_hw)
    seen = detection.has_area(boxes)
    return {
        "images": detection.render(crop, flip, plan, image_hw),
        "valid_hw": plan.valid_hw,
        "image_scale": plan.image_scale,
        "gt_boxes_yxyx": detection.pad_rows(tf.boolean_mask(boxes, seen), max_instances, -1.0),
        "gt_classes": detection.pad_rows(tf.boolean_mask(classes, seen), max_instances, -1),
        "source_id": _source_id(example, regenerate_source_id),
    }


def _evaluation_example(
    example: dict[str, tf.Tensor], image_hw: Size, max_instances: int, regenerate_source_id: bool
) -> dict[str, tf.Tensor]:
    photo = decode.decode_image(example["encoded"])
    source_hw = tf.shape(photo)[:2]
    image, image_scale, valid_hw = preprocess.resize_and_pad(photo, image_hw)
    normalized, classes = example["boxes_normalized_yxyx"], example["classes"]
    boxes = normalized * tf.cast(tf.tile(valid_hw, [2]), tf.float32)
    boxes = detection.clip_boxes(boxes, image_hw)
    seen = detection.has_area(boxes)
    source = tf.cast(tf.tile(source_hw, [2]), tf.float32)
    # PASCAL records (and the fallback) store fractions of the image; COCO's areas are pixels.
    fraction = example["area"] <= 1.0
    area = tf.where(fraction, example["area"] * source[0] * source[1], example["area"])
    return {
        "images": image,
        "valid_hw": valid_hw,
        "image_scale": image_scale,
        "gt_boxes_yxyx": detection.pad_rows(tf.boolean_mask(boxes, seen), max_instances, -1.0),
        "gt_classes": detection.pad_rows(tf.boolean_mask(classes, seen), max_instances, -1),
        "source_id": _source_id(example, regenerate_source_id),
        "original_hw": source_hw,
        "gt_boxes_original_yxyx": detection.pad_rows(normalized * source, max_instances, -1.0),
        "gt_classes_original": detection.pad_rows(classes, max_instances, -1),
        "gt_area": detection.pad_rows(area, max_instances, -1.0),
        "gt_is_crowd": detection.pad_rows(example["is_crowd"], max_instances, False),
    }


def _empty_examples(spec: dict[str, tf.TensorSpec], count: int) -> tf.data.Dataset:
    """Examples of nothing: black, 1x1 photos without boxes and without a name."""
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
        else tf.cast(tf.fill(tensor.shape, fills.get(name, 0)), tensor.dtype)
        for name, tensor in spec.items()
    }
    return tf.data.Dataset.from_tensors(empty).repeat(count)
