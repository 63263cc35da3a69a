"""Counts the pixels of each class in the masks of records; derives loss weights from them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from efficientvision.data.checks import data_errors
from efficientvision.data.mask_records import IGNORED, parse_mask_example
from efficientvision.data.record_files import FilePattern, count_records, match_files
from efficientvision.data.streams import without_autograph
from efficientvision.progress import tqdm

_VALUES = 256
_BATCH = 32
_SECONDS_WITHOUT_BAR = 2.0
# Keeps the weight of a rare class finite. ENet (Paszke et al., 2016, section 5.2) uses 1.02;
# EdgeNets' weights for Cityscapes follow from 1.10 with ignored pixels counted in the total.
_LEAST = 1.10


def mask_pixels(
    file_pattern: FilePattern, *, each: int | None = None, description: str = "counting pixels"
) -> Iterator[dict[str, np.ndarray]]:
    """Reads masks without their images, in the order of files and records.

    Args:
        file_pattern: Pattern of the records.
        each: Number of records to read of each file; None: all.
        description: Label of the progress bar, which appears after two seconds.

    Yields:
        Batches of ``file`` int64 [B], index of the record's file in sorted order; ``mask_hw`` int32
        [B, 2]; ``pixels`` int32 [B, 256], the number of pixels of each value.

    Raises:
        UserError: Nothing matches, or a record is damaged or has no mask; the error names it.
    """
    paths = match_files(file_pattern)
    counts = [count if each is None else min(count, each) for count in count_records(paths)]
    records = tf.data.Dataset.from_tensor_slices((tf.range(len(paths), dtype=tf.int64), paths))

    @without_autograph
    def one_file(index: tf.Tensor, path: tf.Tensor) -> tf.data.Dataset:
        records = tf.data.TFRecordDataset(path, buffer_size=1 << 20)
        return tf.data.Dataset.zip(
            tf.data.Dataset.from_tensors(index).repeat(),
            records.take(-1 if each is None else each),
        )

    batches = records.flat_map(one_file).map(
        _pixels, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    bar = tqdm(total=sum(counts), desc=description, unit="img", delay=_SECONDS_WITHOUT_BAR)
    with data_errors(file_pattern, of_masks=True), bar:
        for batch in batches.batch(_BATCH).prefetch(1).as_numpy_iterator():
            yield batch
            bar.update(len(batch["file"]))


@without_autograph
def _pixels(file: tf.Tensor, record: tf.Tensor) -> dict[str, tf.Tensor]:
    mask = tf.io.decode_png(parse_mask_example(record)["mask_encoded"], channels=1)[..., 0]
    values = tf.reshape(tf.cast(mask, tf.int32), [-1])
    pixels = tf.math.bincount(values, minlength=_VALUES, maxlength=_VALUES)
    return {
        "file": file,
        "mask_hw": tf.shape(mask),
        "pixels": tf.ensure_shape(pixels, [_VALUES]),
    }


def count_class_pixels(file_pattern: FilePattern) -> np.ndarray:
    """Counts the pixels of each value in all masks, int64 [256]; raises as `mask_pixels`."""
    total = np.zeros(_VALUES, np.int64)
    for batch in mask_pixels(file_pattern):
        total += batch["pixels"].sum(axis=0, dtype=np.int64)
    return total


def balanced_weights(pixels: np.ndarray, num_classes: int) -> tuple[float, ...]:
    """Class weights that make up for rarity, as EdgeNets weights Cityscapes' classes.

    1 / ln(1.10 + the class's share of all pixels, including ignored ones), so from 1.35 to 10.5;
    0 for a class without pixels.

    Args:
        pixels: int [256], number of pixels of each value.
        num_classes: Number of weights.
    """
    total = max(int(pixels.sum()), 1)
    return tuple(
        1 / math.log(_LEAST + count / total) if count else 0.0
        for count in pixels[: min(num_classes, IGNORED)].tolist()
    )
