"""Measures the mIoU of an exported segmenter on the photos of records."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from efficientvision.data.labels import find_labels
from efficientvision.data.mask_records import decode_mask, parse_mask_example
from efficientvision.tasks.evaluate_export import record_examples
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
        segmenter: The export.
        pattern: Glob of TFRecord files with masks.
        class_map: Class of the network -> class of the records; None if they are the same.
        limit: Maximum number of photos.

    Returns:
        The confusion matrix at the masks' own size.

    Raises:
        UserError: A record has no readable mask.
    """
    names = find_labels(pattern, of_masks=True)
    counts = PixelCounts(max(names) + 1 if names else segmenter.metadata.num_classes, class_map)
    for photo, mask in record_examples(pattern, _read, limit, of_masks=True):
        counts.add(decode_mask(mask), segmenter.predict(photo))
    return counts


def _read(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    parsed = parse_mask_example(serialized)
    return decode_image(parsed["encoded"]), parsed["mask_encoded"]
