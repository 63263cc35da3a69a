"""What the trainer asks of a task."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf

from efficientvision.evaluation.details import Details
from efficientvision.visualize.sheet import Picture

Batch = dict[str, tf.Tensor]


class TrainingTask(abc.ABC):
    """Inputs, losses and metrics of one kind of network.

    The trainer calls `losses`, `outputs` and `decode` inside compiled functions, once per replica
    (`decode` on the host where the replicas are a TPU's, which has no dynamic shapes); all the
    rest runs in Python.

    Attributes:
        prediction_inputs: What `outputs` and `decode` need of a batch, by key.
        loss_names: Keys of what `losses` returns.
        best_metric: The metric by which the best checkpoint is chosen;
            larger is better.
        training_files: Pattern of the training records, or None.
        evaluation_files: Pattern of the evaluation records, or None.
    """

    prediction_inputs: tuple[str, ...] = ("images",)
    loss_names: tuple[str, ...] = ("loss",)
    best_metric: str
    training_files: str | None = None
    evaluation_files: str | None = None

    @abc.abstractmethod
    def training_dataset(
        self, batch_size: int, *, start_step: int, input_shard: tuple[int, int] = (0, 1)
    ) -> tf.data.Dataset:
        """Endless batches (dicts) of `batch_size`, in an order that is a function of the seed.

        Args:
            batch_size: Images in a batch.
            start_step: Batches that were seen before (a resumed run goes on after them).
            input_shard: (index, count): every count-th example of the one order, from the
                index-th on; `batch_size` and `start_step` count this share.
        """

    def source_ids(self, batch_size: int, *, step: int) -> list[str]:
        """The images of a training batch; empty where the order of the data is not fixed.

        Args:
            batch_size: Images in a batch.
            step: How many batches come before it.
        """
        return []

    @abc.abstractmethod
    def evaluation_dataset(self, batch_size: int) -> tf.data.Dataset:
        """Batches of the evaluation images, each image once; the last may be smaller."""

    def prepare(self, batch: Batch) -> Batch:
        """Adds to a replica's part of a batch what needs no network, such as targets.

        The first axis of everything in it is the batch: it may be cut into micro-batches.
        """
        return batch

    def normalizer(self, batch: Batch, reduce_sum: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """What the losses of the whole global batch are divided by (float32 scalar).

        Args:
            batch: A replica's part of the batch, prepared.
            reduce_sum: Sums a scalar over the replicas.
        """
        return tf.ones([])

    @abc.abstractmethod
    def losses(
        self, model: keras.Model, batch: Batch, *, training: bool, normalizer: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Losses of a part of a batch; "loss" is what is minimised, without L2.

        Args:
            model: The network.
            batch: A part of a batch, prepared.
            training: Whether layers run in training mode.
            normalizer: Of the global batch.

        Returns:
            float32 scalars that *add up*, over the parts, to the global batch's losses.
        """

    def step_done(self, normalizer: tf.Tensor) -> None:  # noqa: B027
        """After a step that changed the network, in replica context: keeps what a task carries."""

    @abc.abstractmethod
    def outputs(self, model: keras.Model, batch: Batch) -> list[tf.Tensor]:
        """What the network makes of a batch (its `prediction_inputs`); static shapes only."""

    @abc.abstractmethod
    def decode(self, outputs: list[tf.Tensor], batch: Batch) -> dict[str, tf.Tensor]:
        """Predictions from the network's outputs: tensors, first axis the batch."""

    def predict(self, model: keras.Model, batch: Batch) -> dict[str, tf.Tensor]:
        """Predictions for a batch: `decode` of `outputs`."""
        return self.decode(self.outputs(model, batch), batch)

    @abc.abstractmethod
    def new_evaluation(self) -> Evaluation:
        """A fresh evaluation over the evaluation data set."""

    @property
    def num_evaluation_images(self) -> int | None:
        """Length of the evaluation data set in images, None if unknown."""
        return None

    def training_pictures(self, batch: Mapping[str, np.ndarray], limit: int) -> list[Picture]:
        """The first `limit` images of a training batch as the network gets them, with labels."""
        return []

    def create_variables(self) -> None:  # noqa: B027
        """Makes variables that a task may need; called once, under the strategy's scope."""

    def snapshot(self) -> dict[str, float]:
        """What a task itself carries from step to step, for the checkpoint."""
        return {}

    def restore(self, values: dict[str, float]) -> None:
        """Sets what `snapshot` gave."""
        if values:
            raise ValueError(f"{type(self).__name__} has no state; got {sorted(values)}")


class Evaluation(abc.ABC):
    """Collects predictions of a data set and turns them into metrics."""

    @abc.abstractmethod
    def update(self, predictions: dict[str, np.ndarray], batch: dict[str, np.ndarray]) -> None:
        """Takes the predictions for a batch."""

    @abc.abstractmethod
    def compute(self) -> dict[str, float]:
        """The metrics over all that was taken, by name."""

    def report(self, metrics: dict[str, float]) -> str:
        """A table of the metrics for people."""
        return "\n".join(f"{name:>24} {value:.4f}" for name, value in metrics.items())

    def details(self) -> Details | None:
        """What stands behind the metrics, once they are computed; None if there is no more.

        Without it a run's folder shows the metrics alone, and no `pictures`.
        """
        return None

    def pictures(self) -> list[Picture]:
        """A fixed handful of images with truth and prediction, once metrics are computed."""
        return []
