"""COCO metrics of an exported model, photo by photo."""

from __future__ import annotations

import tensorflow as tf
from tqdm import tqdm

from efficientvision.data.record_files import match_files
from efficientvision.data.records import parse_example
from efficientvision.data.streams import read_in_order
from efficientvision.detector import Detector
from efficientvision.evaluation.coco import CocoEvaluator
from efficientvision.export.serving import decode_image


def evaluate_export(
    detector: Detector,
    pattern: str,
    ground_truth_json: str | None = None,
    limit: int | None = None,
) -> CocoEvaluator:
    """Runs an export on the photos of records.

    Args:
        detector: the export, with every detection it makes.
        pattern: glob of TFRecord files.
        ground_truth_json: COCO annotation file; None: what the records say.
        limit: at most so many photos.

    Returns:
        The evaluator, whose `compute` gives the metrics.
    """
    names = detector.class_names
    coco = CocoEvaluator(ground_truth_json, names or None, records=pattern)
    data = read_in_order(match_files(pattern)).map(_read, tf.data.AUTOTUNE).prefetch(8)
    if limit:
        data = data.take(limit)
    for example in tqdm(data.as_numpy_iterator(), desc="evaluation", unit="image", total=limit):
        rows = detector.detect_batch(example.pop("photo")[None])[0]
        rows = rows[rows[:, 5] > 0]
        coco.update(
            [example.pop("source_id")],
            rows[None, :, 1:5],
            rows[None, :, 5],
            rows[None, :, 6],
            [len(rows)],
            {name: value[None] for name, value in example.items()},
        )
    return coco


def _read(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    parsed = parse_example(serialized)
    photo = decode_image(parsed["encoded"])
    height_width = tf.cast(tf.shape(photo)[:2], tf.float32)
    return {
        "photo": photo,
        "source_id": parsed["source_id"],
        "gt_boxes_original_yxyx": parsed["boxes_normalized_yxyx"] * tf.tile(height_width, [2]),
        "gt_classes_original": parsed["classes"],
        "gt_is_crowd": parsed["is_crowd"],
    }
