"""Losses and metrics of a run as TensorBoard files."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf
from tensorflow.core.framework import summary_pb2

from efficientvision import files
from efficientvision.tasks.training_task import Evaluation
from efficientvision.training.callbacks import Callback, TrainerView


class TensorBoardLog(Callback):
    """Writes losses to `train/` and metrics to `eval/` in the run's folder.

    Args:
        eval_name: Name of the evaluation's subfolder; None: `eval`.
    """

    def __init__(self, eval_name: str | None = None):
        self._eval_name = eval_name or "eval"
        self._writers: list[tf.summary.SummaryWriter] = []

    def begin(self, trainer: TrainerView) -> None:
        """Opens the files."""
        folder = trainer.model_dir
        self._batch_size = trainer.plan.batch_size
        self._train = tf.summary.create_file_writer(files.join(folder, "train"))
        self._eval = tf.summary.create_file_writer(files.join(folder, self._eval_name))
        self._writers = [self._train, self._eval]

    def trained(self, step: int, steps: int, seconds: float, losses: Mapping[str, float]) -> None:
        """Writes the means of the last `steps` steps, which took `seconds`."""
        rate = steps * self._batch_size / seconds
        write_scalars(self._train, step, {**losses, "images_per_second": rate})

    def evaluated(
        self,
        step: int,
        metrics: Mapping[str, float],
        evaluation: Evaluation,
        *,
        report: str,
        best: bool,
    ) -> None:
        """Writes the metrics of a step."""
        write_scalars(self._eval, step, metrics)
        self._eval.flush()

    def epoch_ended(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Flushes the losses."""
        self._train.flush()

    def end(self) -> None:
        """Closes the files."""
        for writer in self._writers:
            writer.close()


def write_scalars(writer: tf.summary.SummaryWriter, step: int, values: Mapping[str, float]) -> None:
    """Writes numbers by name.

    `tf.summary.scalar` would require the tensorboard package, which is only needed to read the
    files.
    """
    plugin = summary_pb2.SummaryMetadata.PluginData(plugin_name="scalars")
    metadata = summary_pb2.SummaryMetadata(
        plugin_data=plugin, data_class=summary_pb2.DATA_CLASS_SCALAR
    )
    with writer.as_default(step=step):
        for name, value in values.items():
            tf.summary.write(name, tf.constant(value, tf.float32), metadata=metadata)
