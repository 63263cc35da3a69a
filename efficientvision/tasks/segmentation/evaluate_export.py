"""mIoU of an exported segmenter on the photos of records."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import tensorflow as tf

from efficientvision.data.checks import iterate
from efficientvision.data.labels import find_labels
from efficientvision.data.mask_records import decode_mask, parse_mask_example
from efficientvision.data.record_files import count_records, match_files
from efficientvision.data.streams import read_in_order, without_autograph
from efficientvision.progress import tqdm
from efficientvision.tasks.segmentation.metrics import PixelCounts
from efficientvision.tasks.segmentation.predictor import Segmenter
from efficientvision.tasks.serving import decode_image


def evaluate_segmenter_export(
    segmenter: Segmenter,
    pattern: str,
    class_map: Mapping[int, int] | None = None,
    limit: int | None = None,
) -> PixelCounts:
    """Runs an export on the photos of records.

    Args:
        segmenter: the export.
        pattern: glob of TFRecord files with masks.
        class_map: class of the network -> class of the records; None: they are the same.
        limit: at most so many photos.

    Returns:
        The confusion matrix at the masks' own size.

    Raises:
        UserError: a record has no mask that can be read.
    """
    paths = match_files(pattern)
    names = find_labels(pattern, of_masks=True)
    counts = PixelCounts(max(names) + 1 if names else segmenter.metadata.num_classes, class_map)
    total = min(sum(count_records(paths)), limit or sys.maxsize)
    examples = read_in_order(paths).map(_read, tf.data.AUTOTUNE).take(total).prefetch(8)
    for photo, mask in tqdm(
        iterate(examples.as_numpy_iterator(), pattern, of_masks=True),
        desc="evaluation",
        unit="image",
        total=total,
    ):
        counts.add(decode_mask(mask), segmenter.predict(photo))
    return counts


@without_autograph
def _read(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    parsed = parse_mask_example(serialized)
    return decode_image(parsed["encoded"]), parsed["mask_encoded"]
