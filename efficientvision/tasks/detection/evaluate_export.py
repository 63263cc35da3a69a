"""Runs an exported detector on the photos of records, for COCO metrics or results."""

from __future__ import annotations

import tensorflow as tf

from efficientvision.data.records import parse_example
from efficientvision.tasks.detection.coco import CocoEvaluator
from efficientvision.tasks.detection.predictor import Detector
from efficientvision.tasks.evaluate_export import record_examples
from efficientvision.tasks.serving import decode_image


def evaluate_export(
    detector: Detector, pattern: str, coco: CocoEvaluator, limit: int | None = None
) -> None:
    """Runs an export on the photos of records and collects its detections.

    Args:
        detector: The export, returning all of its detections.
        pattern: Glob of TFRecord files.
        coco: Evaluator that receives the detections.
        limit: Maximum number of photos.
    """
    for photo, source_id in record_examples(pattern, _read, limit):
        rows = detector.detect_batch(photo[None])[0]
        rows = rows[rows[:, 5] > 0]
        boxes, scores, classes = rows[None, :, 1:5], rows[None, :, 5], rows[None, :, 6]
        coco.update([source_id], boxes, scores, classes, [len(rows)])


def _read(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    parsed = parse_example(serialized)
    return decode_image(parsed["encoded"]), parsed["source_id"]
