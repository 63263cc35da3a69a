"""Accuracies of an exported classifier on the photos of records."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from efficientvision.data.checks import iterate
from efficientvision.data.class_order import class_ids
from efficientvision.data.class_records import parse_class_example
from efficientvision.data.labels import find_labels
from efficientvision.data.record_files import count_records, match_files
from efficientvision.data.streams import read_in_order, without_autograph
from efficientvision.progress import tqdm
from efficientvision.tasks.classification.evaluation import (
    MultiLabelEvaluation,
    SingleLabelEvaluation,
)
from efficientvision.tasks.classification.metadata import ClassificationMetadata
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
        run, metadata: see `load_export`.
        pattern: glob of TFRecord files.
        limit: at most so many photos.

    Returns:
        An evaluation, to be computed.

    Raises:
        UserError: the records have classes that the export does not know.
    """
    paths = match_files(pattern)
    count = sum(count_records(paths))
    count = min(count, limit or count)
    known, number = metadata.class_names, metadata.num_classes
    ids = np.array(class_ids(known, find_labels(pattern) or {}, number, what=pattern))
    names = {i: known.get(i, str(i)) for i in range(1, number + 1)}
    evaluation = (MultiLabelEvaluation if metadata.multilabel else SingleLabelEvaluation)(
        names, count
    )
    photos = read_in_order(paths).map(_read, tf.data.AUTOTUNE).take(count).prefetch(8)
    for photo, classes, source_id in tqdm(
        iterate(photos.as_numpy_iterator(), pattern), desc="evaluation", unit="image", total=count
    ):
        batch = np.repeat(photo[np.newaxis], metadata.batch_size or 1, axis=0)
        has = np.isin(ids, classes)
        labels = has if metadata.multilabel else (has.argmax() if has.any() else -1)
        evaluation.update(
            {"logits": _logits(run(batch)[:1], metadata.multilabel)},
            {"labels": np.array([labels]), "images": photo[np.newaxis], "source_id": [source_id]},
        )
    return evaluation


@without_autograph
def _read(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    parsed = parse_class_example(serialized)
    return decode_image(parsed["encoded"]), parsed["classes"], parsed["source_id"]


def _logits(probabilities: np.ndarray, multilabel: bool) -> np.ndarray:
    """Logits that give these probabilities (of a softmax up to a constant)."""
    logits = np.log(np.maximum(probabilities, _TINY))
    if multilabel:
        logits -= np.log(np.maximum(1 - probabilities, _TINY))
    return logits
