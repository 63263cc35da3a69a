"""Evaluates an exported model on the images that the training task evaluates on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from efficientvision.configs.run_options import RunOptions
from efficientvision.data.checks import iterate
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
        task: Task of the export.
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
