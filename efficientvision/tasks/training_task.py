"""Interface between the trainer and a task."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.evaluation.confidence import (
    INTERVALS_NAME,
    Intervals,
    PerImage,
    confidence_intervals,
)
from efficientvision.evaluation.details import Details
from efficientvision.evaluation.shown import shown_metric
from efficientvision.evaluation.thresholds import THRESHOLDS_NAME, thresholds_text
from efficientvision.tasks.teacher import Teacher
from efficientvision.visualize.sheet import Picture

Batch = dict[str, tf.Tensor]

# Metric of an evaluation: the loss on its images.
VAL_LOSS = "val_loss"


class TrainingTask(abc.ABC):
    """Inputs, losses and metrics of a task.

    The trainer calls `losses`, `outputs` and `decode` in compiled functions, once per replica (on a
    TPU, which has no dynamic shapes, `decode` runs on the host); everything else runs in Python.

    Attributes:
        prediction_inputs: Batch keys that `outputs` and `decode` need.
        val_loss_inputs: Further batch keys that `image_losses` needs; empty: the task has no such
            loss, or its `Evaluation` computes it.
        loss_names: Keys that `losses` returns.
        best_metric: Metric that selects the best checkpoint; larger is better.
        training_files: Pattern of the training records, or None.
        evaluation_files: Pattern of the evaluation records, or None.
    """

    prediction_inputs: tuple[str, ...] = ("images",)
    val_loss_inputs: tuple[str, ...] = ()
    loss_names: tuple[str, ...] = ("loss",)
    best_metric: str
    training_files: str | None = None
    evaluation_files: str | None = None

    @abc.abstractmethod
    def training_dataset(
        self, batch_size: int, *, start_step: int, input_shard: tuple[int, int] = (0, 1)
    ) -> tf.data.Dataset:
        """Returns endless batches (dicts) of `batch_size`, in an order that depends on the seed.

        Args:
            batch_size: Images per batch.
            start_step: Number of batches to skip, for a resumed run.
            input_shard: (index, count): take every count-th example, starting at `index`;
                `batch_size` and `start_step` refer to this shard.
        """

    def source_ids(self, batch_size: int, *, step: int) -> list[str]:
        """Returns the image ids of a training batch; empty if the data order is not fixed.

        Args:
            batch_size: Images per batch.
            step: Number of batches before it.
        """
        return []

    def plan_message(self, batch_size: int, total_steps: int) -> str:
        """Says at which step the training data changes; empty if it never does.

        Args:
            batch_size: Images per batch, over all replicas.
            total_steps: Length of the run.
        """
        return ""

    @abc.abstractmethod
    def evaluation_dataset(self, batch_size: int) -> tf.data.Dataset:
        """Returns batches of the evaluation images, each once; the last may be smaller."""

    def prepare(self, batch: Batch) -> Batch:
        """Adds values that need no network, such as targets, to a replica's part of a batch.

        The first axis of every value is the batch, so it can be split into micro-batches.
        """
        return batch

    def normalizer(self, batch: Batch, reduce_sum: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """Divisor of the losses of the global batch (float32 scalar).

        Args:
            batch: A replica's prepared part of the batch.
            reduce_sum: Sums a scalar over the replicas.
        """
        return tf.ones([])

    @abc.abstractmethod
    def losses(
        self, model: keras.Model, batch: Batch, *, training: bool, normalizer: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Computes the losses of a part of a batch; "loss" is minimised (L2 is added elsewhere).

        Args:
            model: The network.
            batch: A prepared part of a batch.
            training: Whether layers run in training mode.
            normalizer: `normalizer` of the global batch.

        Returns:
            float32 scalars that *add up* over the parts to the losses of the global batch.
        """

    def learn_from(self, teacher: Teacher) -> None:
        """Adds a loss against a teacher's outputs to `losses`; call it before training.

        Raises:
            UserError: The teacher does not fit, or networks of this kind cannot be distilled.
        """
        raise UserError(
            f"`distill_from={teacher.path}` does not apply to {teacher.config.name}: "
            "EfficientDets, classifiers and segmentation networks can learn from a teacher. "
            "Remove it."
        )

    def step_done(self, normalizer: tf.Tensor) -> None:  # noqa: B027
        """Updates the task's own state after a step, in replica context."""

    @abc.abstractmethod
    def outputs(self, model: keras.Model, batch: Batch) -> list[tf.Tensor]:
        """Runs the network on a batch (its `prediction_inputs`); static shapes only."""

    @abc.abstractmethod
    def decode(self, outputs: list[tf.Tensor], batch: Batch) -> dict[str, tf.Tensor]:
        """Decodes the network's outputs into predictions: tensors whose first axis is the batch."""

    def predict(self, model: keras.Model, batch: Batch) -> dict[str, tf.Tensor]:
        """Predicts a batch: `decode` of `outputs`."""
        return self.decode(self.outputs(model, batch), batch)

    def image_losses(self, outputs: list[tf.Tensor], batch: Batch) -> tf.Tensor:
        """Computes the losses of evaluation images from the outputs of their prediction.

        Called if there are `val_loss_inputs`.

        Args:
            outputs: Result of `outputs`.
            batch: `prediction_inputs` and `val_loss_inputs`.

        Returns:
            float32 [B, 2]: the loss of each image and its part of the divisor, so that the sum of
            the losses divided by the sum of the parts is the metric `VAL_LOSS`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no loss of images")

    @abc.abstractmethod
    def new_evaluation(self) -> Evaluation:
        """Starts a new evaluation on the evaluation data set."""

    @property
    def num_evaluation_images(self) -> int | None:
        """Returns the number of evaluation images, or None if unknown."""
        return None

    def training_pictures(self, batch: Mapping[str, np.ndarray], limit: int) -> list[Picture]:
        """Draws the first `limit` images of a training batch as the network sees them, labelled."""
        return []

    def create_variables(self) -> None:  # noqa: B027
        """Creates the task's own variables; called once, in the strategy's scope."""

    def snapshot(self) -> dict[str, Any]:
        """Returns the task's own state, for the checkpoint (JSON values)."""
        return {}

    def restore(self, values: Mapping[str, Any]) -> None:
        """Restores the state from `snapshot`."""
        if values:
            raise ValueError(f"{type(self).__name__} has no state; got {sorted(values)}")


def losses_of_each(
    losses_of: Callable[..., tuple[tf.Tensor, tf.Tensor]], *tensors: Any
) -> tf.Tensor:
    """Computes `TrainingTask.image_losses` one image at a time.

    Args:
        losses_of: The tensors for one image, a batch of 1 -> its loss and its part of the divisor.
        *tensors: Nested structures of tensors whose first axis is the batch.
    """

    def of_one(parts: Any) -> tf.Tensor:
        alone = tf.nest.map_structure(lambda part: part[tf.newaxis], parts)
        return tf.stack([tf.cast(value, tf.float32) for value in losses_of(*alone)])

    return tf.map_fn(of_one, tensors, fn_output_signature=tf.TensorSpec([2], tf.float32))


class Mistake(NamedTuple):
    """One of the worst predictions of an evaluation.

    Attributes:
        picture: Ground truth and prediction, drawn.
        facts: Kind, image, classes, scores 0..1 by name, for `mistakes.json`.
    """

    picture: Picture
    facts: dict[str, Any]


class Evaluation(abc.ABC):
    """Collects predictions on a data set and computes metrics."""

    @abc.abstractmethod
    def update(self, predictions: dict[str, np.ndarray], batch: dict[str, np.ndarray]) -> None:
        """Adds the predictions of a batch."""

    @abc.abstractmethod
    def compute(self) -> dict[str, float]:
        """Computes the metrics by name over all predictions."""

    def report(self, metrics: dict[str, float]) -> str:
        """Formats the metrics as a readable table."""
        return "\n".join(
            f"{name:>24} {shown_metric(name, value):>6}" for name, value in metrics.items()
        )

    def details(self) -> Details | None:
        """Returns the details behind the metrics, once computed; None if there are none."""
        return None

    def side_files(self, step: int) -> dict[str, str]:
        """Returns files that belong to the evaluated checkpoint: name -> text."""
        details = self.details()
        text = None if details is None else thresholds_text(details, step)
        return {} if text is None else {THRESHOLDS_NAME: text}

    def per_image(self) -> PerImage | None:
        """Returns the results of each image, once metrics are computed, for `intervals` and
        comparisons of models; None if metrics cannot be computed for a selection of the images.
        """
        return None

    @functools.cached_property
    def intervals(self) -> Intervals | None:
        """Confidence intervals of the metrics; None without `per_image`."""
        results = self.per_image()
        return None if results is None else confidence_intervals(results)

    def archived_files(self, step: int) -> dict[str, str]:
        """Returns files to archive with the best checkpoint: `side_files` and `intervals.json`."""
        found = self.intervals
        return self.side_files(step) | (
            {} if found is None else {INTERVALS_NAME: found.file_text()}
        )

    def full_report(self, metrics: dict[str, float]) -> str:
        """`report` with the confidence intervals of the metrics, without those of each class."""
        names = [name for name in metrics if "_/" not in name]
        found = self.intervals if metrics else None
        return "\n\n".join(
            [self.report(metrics), *([] if found is None else [found.report(names)])]
        )

    def pictures(self) -> list[Picture]:
        """Returns a fixed few images with truth and prediction, once metrics are computed."""
        return []

    def mistakes(self, limit: int) -> list[Mistake]:
        """Returns up to `limit` of the worst mistakes, worst first, once metrics are computed."""
        return []
