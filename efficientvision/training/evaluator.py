"""One pass over the evaluation images: predict, collect, measure."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from efficientvision.progress import tqdm
from efficientvision.tasks.training_task import VAL_LOSS, Batch, Evaluation, TrainingTask
from efficientvision.training.averaging import WeightAverages
from efficientvision.training.distribution import local_replicas
from efficientvision.training.memory_errors import memory_errors

# The loss costs up to a quarter of the time of a prediction on a processor: of more images than
# these, it is measured on every second batch, every third ...
LOSS_IMAGES = 1000


class EvaluationCancelled(Exception):
    """The evaluation was cancelled before it had seen all images."""


class Evaluator:
    """Evaluates a network; the prediction function is compiled once for all evaluations.

    Every batch has the full size, so that shapes are static and replicas get equal parts: a smaller
    last batch is padded with its first image, and the surplus predictions are dropped. With several
    workers, only the chief evaluates, on its own replicas, while the others wait for it.

    Args:
        task: Provides data, predictions and metrics.
        model: The network.
        strategy: Distribution strategy.
        batch_size: Images per batch, over all replicas of this machine.
        averages: Weight averages to evaluate with, if given and enabled.
    """

    def __init__(
        self,
        task: TrainingTask,
        model: keras.Model,
        strategy: tf.distribute.Strategy,
        batch_size: int,
        averages: WeightAverages | None = None,
    ):
        self._task = task
        self._model = model
        self._strategy = strategy
        self._averages = averages
        self._replicas = local_replicas(strategy)
        self._batch_size = -(-batch_size // self._replicas) * self._replicas
        self.traces = 0
        self._on_host = isinstance(strategy, tf.distribute.TPUStrategy)
        self._inputs = (*task.prediction_inputs, *task.val_loss_inputs)
        self._run = tf.function(self._run_on_replicas, autograph=False)
        self._decode = tf.function(self._decoded, autograph=False)

    @property
    def strategy(self) -> tf.distribute.Strategy:
        """The distribution strategy."""
        return self._strategy

    @memory_errors("evaluation")
    def evaluate(
        self, is_cancelled: Callable[[], bool] = lambda: False
    ) -> tuple[dict[str, float], str, Evaluation]:
        """Evaluates on the whole evaluation data set.

        Args:
            is_cancelled: Called after every batch; True cancels the evaluation.

        Returns:
            The metrics by name, a readable table of them, and the evaluation that computed them.

        Raises:
            EvaluationCancelled: `is_cancelled` returned True.
            OutOfMemory: Memory ran out.
        """
        evaluation = self._task.new_evaluation()
        data = self._task.evaluation_dataset(self._batch_size).prefetch(tf.data.AUTOTUNE)
        averages = self._averages
        swap = averages.applied() if averages and averages.enabled else contextlib.nullcontext()
        total = self._task.num_evaluation_images
        stride = max(1, -(-(total or 0) // LOSS_IMAGES))
        losses = np.zeros(2)
        first = "" if self.traces else " (compiling)"
        with swap, tqdm(total=total, desc=f"evaluating{first}", unit="image", leave=False) as bar:
            for number, batch in enumerate(data):
                images = int(next(iter(batch.values())).shape[0])
                inputs = {name: batch[name] for name in self._inputs}
                predictions = self._predict_batch(inputs, images, number % stride == 0)
                if VAL_LOSS in predictions:
                    losses += predictions.pop(VAL_LOSS).sum(axis=0, dtype=np.float64)
                evaluation.update(predictions, {k: v.numpy() for k, v in batch.items()})
                bar.set_description("evaluating", refresh=False)
                bar.update(images)
                if is_cancelled():
                    raise EvaluationCancelled
        metrics = evaluation.compute()
        if metrics and losses[1] > 0:
            metrics[VAL_LOSS] = float(losses[0] / losses[1])
        return metrics, evaluation.report(metrics), evaluation

    def _predict_batch(self, batch: Batch, images: int, with_losses: bool) -> dict:
        missing = self._batch_size - images
        if missing:
            batch = {k: tf.concat([v, tf.repeat(v[:1], missing, 0)], 0) for k, v in batch.items()}
        wanted = tf.constant(with_losses)
        results = self._run(self._shares(batch), wanted)
        if self._on_host:
            results = self._decode([self._joined(value) for value in results], batch, wanted)
        return {name: self._joined(value)[:images].numpy() for name, value in results.items()}

    def _shares(self, batch: Batch) -> Batch:
        """Divides the batch among the replicas."""
        if self._replicas == 1:
            return batch
        parts = {name: tf.split(value, self._replicas) for name, value in batch.items()}
        return self._strategy.experimental_distribute_values_from_function(
            lambda context: {k: v[context.replica_id_in_sync_group] for k, v in parts.items()}
        )

    def _joined(self, value) -> tf.Tensor:
        """Joins the replicas' parts of a result."""
        return tf.concat(self._strategy.experimental_local_results(value), axis=0)

    def _run_on_replicas(self, batch: Batch, with_losses: tf.Tensor):
        self.traces += 1
        return self._strategy.run(self._run_on_replica, args=(batch, with_losses))

    def _run_on_replica(self, batch: Batch, with_losses: tf.Tensor):
        outputs = self._task.outputs(self._model, batch)
        return outputs if self._on_host else self._decoded(outputs, batch, with_losses)

    def _decoded(
        self, outputs: list[tf.Tensor], batch: Batch, with_losses: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        results = self._task.decode(outputs, batch)
        if not self._task.val_loss_inputs:
            return results
        images = tf.shape(next(iter(batch.values())))[0]
        losses = tf.cond(
            with_losses,
            lambda: self._task.image_losses(outputs, batch),
            lambda: tf.zeros([images, 2]),
        )
        return {**results, VAL_LOSS: losses}
