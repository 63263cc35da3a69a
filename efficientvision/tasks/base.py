"""What the trainer asks of a task."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

Batch = dict[str, tf.Tensor]


class Task(abc.ABC):
    """Inputs, losses and metrics of one kind of network.

    The trainer calls `losses` and `predict` inside compiled functions, once per replica; all the
    rest runs in Python.

    Attributes:
        loss_names: Keys of what `losses` returns.
        best_metric: The metric by which the best checkpoint is chosen;
            larger is better.
    """

    loss_names: tuple[str, ...]
    best_metric: str

    @abc.abstractmethod
    def training_dataset(self, batch_size: int, *, start_step: int) -> tf.data.Dataset:
        """Endless batches (dicts) of `batch_size`, in an order that is a function of the seed.

        Args:
            batch_size: Images in the global batch.
            start_step: Batches that were seen before (a resumed run goes on after them).
        """

    @abc.abstractmethod
    def evaluation_dataset(self, batch_size: int) -> tf.data.Dataset:
        """Batches of the evaluation images, each image once; the last may be smaller."""

    @abc.abstractmethod
    def losses(
        self,
        model: keras.Model,
        batch: Batch,
        *,
        training: bool,
        reduce_sum: Callable[[tf.Tensor], tf.Tensor],
    ) -> dict[str, tf.Tensor]:
        """Losses of a replica's part of a batch; "loss" is what is minimised, without L2.

        Args:
            model: The network.
            batch: A replica's part of a batch.
            training: Whether layers run in training mode.
            reduce_sum: Sums a scalar over the replicas, for normalisers of the global batch.

        Returns:
            float32 scalars that *add up*, over the replicas, to the global batch's losses.
        """

    @abc.abstractmethod
    def predict(self, model: keras.Model, batch: Batch) -> dict[str, tf.Tensor]:
        """What the evaluation needs of a batch: tensors whose first axis is the batch."""

    @abc.abstractmethod
    def new_evaluation(self) -> Evaluation:
        """A fresh evaluation over the evaluation data set."""

    def images(self, batch: Batch) -> tf.Tensor | None:
        """uint8 pictures [N,H,W,3] of a training batch for TensorBoard, or None."""
        return None


class Evaluation(abc.ABC):
    """Collects predictions of a data set and turns them into metrics."""

    @abc.abstractmethod
    def update(self, predictions: dict[str, Any]) -> None:
        """Takes the predictions (numpy) of a batch."""

    @abc.abstractmethod
    def compute(self) -> dict[str, float]:
        """The metrics over all that was taken, by name."""

    def report(self, metrics: dict[str, float]) -> str:
        """A table of the metrics for people."""
        return "\n".join(f"{name:>24} {value:.4f}" for name, value in metrics.items())
