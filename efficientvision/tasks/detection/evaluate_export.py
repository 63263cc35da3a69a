"""Detections of an exported model in the photos of records, for COCO metrics or results."""

from __future__ import annotations

import tensorflow as tf

from efficientvision.data.checks import iterate
from efficientvision.data.record_files import count_records, match_files
from efficientvision.data.records import parse_example
from efficientvision.data.streams import read_in_order, without_autograph
from efficientvision.progress import tqdm
from efficientvision.tasks.detection.coco import CocoEvaluator
from efficientvision.tasks.detection.predictor import Detector
from efficientvision.tasks.serving import decode_image


def evaluate_export(
    detector: Detector, pattern: str, coco: CocoEvaluator, limit: int | None = None
) -> None:
    """Runs an export on the photos of records.

    Args:
        detector: the export, with every detection it makes.
        pattern: glob of TFRecord files.
        coco: gets the detections.
        limit: at most so many photos.
    """
    paths = match_files(pattern)
    available = sum(count_records(paths))
    count = min(available, limit or available)
    photos = read_in_order(paths).map(_read, tf.data.AUTOTUNE).take(count).prefetch(8)
    progress = tqdm(
        iterate(photos.as_numpy_iterator(), pattern), desc="evaluation", unit="image", total=count
    )
    for photo, source_id in progress:
        rows = detector.detect_batch(photo[None])[0]
        rows = rows[rows[:, 5] > 0]
        boxes, scores, classes = rows[None, :, 1:5], rows[None, :, 5], rows[None, :, 6]
        coco.update([source_id], boxes, scores, classes, [len(rows)])


@without_autograph
def _read(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    parsed = parse_example(serialized)
    return decode_image(parsed["encoded"]), parsed["source_id"]
