"""Measures an exported classifier on the photos of records."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from efficientvision.data.class_order import class_ids
from efficientvision.data.class_records import parse_class_example
from efficientvision.data.labels import find_labels
from efficientvision.data.record_files import num_records
from efficientvision.tasks.classification.evaluation import (
    MultiLabelEvaluation,
    SingleLabelEvaluation,
)
from efficientvision.tasks.classification.metadata import ClassificationMetadata
from efficientvision.tasks.evaluate_export import record_examples
from efficientvision.tasks.serving import decode_image
from efficientvision.tasks.training_task import Evaluation

_TINY = np.float32(1e-30)


def evaluate_classifier_export(
    run: Callable[[np.ndarray], np.ndarray],
    metadata: ClassificationMetadata,
    pattern: str,
    limit: int | None = None,
) -> Evaluation:
    """Runs an export on the photos of records.

    Args:
        run, metadata: See `load_export`.
        pattern: Glob of TFRecord files.
        limit: Maximum number of photos.

    Returns:
        An evaluation, not yet computed.

    Raises:
        UserError: The records have classes that the export does not know.
    """
    known, number = metadata.class_names, metadata.num_classes
    ids = np.array(class_ids(known, find_labels(pattern) or {}, number, what=pattern))
    names = {i: known.get(i, str(i)) for i in range(1, number + 1)}
    evaluation = (MultiLabelEvaluation if metadata.multilabel else SingleLabelEvaluation)(
        names, num_records(pattern, limit)
    )
    for photo, classes, source_id in record_examples(pattern, _read, limit):
        batch = np.repeat(photo[np.newaxis], metadata.batch_size or 1, axis=0)
        has = np.isin(ids, classes)
        labels = has if metadata.multilabel else (has.argmax() if has.any() else -1)
        evaluation.update(
            {"logits": _logits(run(batch)[:1], metadata.multilabel)},
            {"labels": np.array([labels]), "images": photo[np.newaxis], "source_id": [source_id]},
        )
    return evaluation


def _read(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    parsed = parse_class_example(serialized)
    return decode_image(parsed["encoded"]), parsed["classes"], parsed["source_id"]


def _logits(probabilities: np.ndarray, multilabel: bool) -> np.ndarray:
    """Inverts the probabilities to logits (for a softmax, up to a constant)."""
    logits = np.log(np.maximum(probabilities, _TINY))
    if multilabel:
        logits -= np.log(np.maximum(1 - probabilities, _TINY))
    return logits
