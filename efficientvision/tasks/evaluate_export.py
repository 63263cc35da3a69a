"""Evaluates exported models on records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from efficientvision.configs.run_options import RunOptions
from efficientvision.data.checks import iterate
from efficientvision.data.record_files import match_files, num_records
from efficientvision.data.streams import read_in_order, without_autograph
from efficientvision.progress import tqdm
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.metadata import ModelMetadata
from efficientvision.tasks.portable import RunPhotos
from efficientvision.tasks.training_task import Evaluation

if TYPE_CHECKING:
    from efficientvision.tasks.base import Task


def evaluate_export(
    task: Task, run: RunPhotos, metadata: ModelMetadata, options: RunOptions
) -> Evaluation:
    """Runs an export on the images of records, resized to its input.

    For tasks whose `TrainingTask.decode` names predictions as their exports name results.

    Args:
        task: Task of the exported model.
        run, metadata: See `load_export`.
        options: Only `val_file_pattern` and `eval_samples` are used.

    Returns:
        An evaluation, not yet computed.
    """
    facts = {"image_size": list(metadata.image_hw), "num_classes": metadata.num_classes}
    config = get_config(metadata.model_name, facts, task=metadata.task)
    training_task = task.build_task(options.replace(mode="eval"), config, metadata.class_names)
    evaluation = training_task.new_evaluation()
    for batch in tqdm(
        iterate(training_task.evaluation_dataset(1), options.val_file_pattern),
        desc="evaluation",
        unit="image",
        total=training_task.num_evaluation_images,
    ):
        arrays = {name: value.numpy() for name, value in batch.items()}
        photos = np.repeat(arrays["images"], metadata.batch_size or 1, axis=0)
        evaluation.update({metadata.result_name: run(photos)[:1]}, arrays)
    return evaluation


def record_examples(
    pattern: str,
    read: Callable[[tf.Tensor], tuple[tf.Tensor, ...]],
    limit: int | None = None,
    *,
    of_masks: bool = False,
) -> Iterator[tuple]:
    """Reads records in order, with a progress bar.

    Args:
        pattern: Glob of TFRecord files.
        read: Serialised record -> tensors.
        limit: Maximum number of records.
        of_masks: See `data_errors`.

    Yields:
        What `read` returns for each record, as arrays.
    """
    total = num_records(pattern, limit)
    examples = read_in_order(match_files(pattern)).map(without_autograph(read), tf.data.AUTOTUNE)
    arrays = examples.take(total).prefetch(8).as_numpy_iterator()
    yield from tqdm(
        iterate(arrays, pattern, of_masks=of_masks), desc="evaluation", unit="image", total=total
    )
