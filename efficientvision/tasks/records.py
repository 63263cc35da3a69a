"""Base class for training tasks that read TFRecords."""

from __future__ import annotations

import abc
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from efficientvision.configs import TrainingConfig
from efficientvision.configs.run_options import RunOptions
from efficientvision.data.record_features import FILE_NAME
from efficientvision.data.record_files import match_files, num_records
from efficientvision.data.record_parsing import parsed_features
from efficientvision.data.streams import read_in_order, without_autograph
from efficientvision.data.transforms.decode import decode_image
from efficientvision.tasks.teacher import TEACHER, Teacher, log_changed_teacher
from efficientvision.tasks.training_task import Batch, TrainingTask

log = logging.getLogger(__name__)


def record_options(options: RunOptions) -> dict[str, Any]:
    """The arguments of `RecordTrainingTask` that the options of a run say."""
    return {
        "training_files": options.train_file_pattern,
        "evaluation_files": options.val_file_pattern,
        "evaluation_images": options.eval_samples,
        "fake_data": options.use_fake_data,
        "data_service": options.tf_data_service or None,
        "examples_per_epoch": options.num_examples_per_epoch,
    }


class RecordTrainingTask(TrainingTask):
    """A training task that reads TFRecords in an order fixed by a seed.

    Args:
        config: Hyper-parameters.
        training_files: Pattern of the training records, or None.
        evaluation_files: Pattern of the evaluation records, or None.
        evaluation_images: Evaluate only the first N images; None evaluates all.
        fake_data: Train on the first batch repeatedly.
        data_service: `grpc://host:port` of a tf.data service that prepares training batches; None
            prepares them in this process.
        examples_per_epoch: Training examples per epoch; None: unknown.

    Attributes:
        training_inputs: Batch keys that a training step needs.
        teacher: Network from whose outputs the student learns, or None.
    """

    training_inputs: tuple[str, ...] = ("images", "labels")
    teacher: Teacher | None = None

    def __init__(
        self,
        config: TrainingConfig,
        *,
        training_files: str | None = None,
        evaluation_files: str | None = None,
        evaluation_images: int | None = None,
        fake_data: bool = False,
        data_service: str | None = None,
        examples_per_epoch: int | None = None,
    ):
        self.config = config
        self.examples_per_epoch = examples_per_epoch
        self.training_files = training_files
        self.evaluation_files = evaluation_files
        self.fake_data = fake_data
        self._evaluation_images = evaluation_images
        self._data_service = data_service

    def learn_from(self, teacher: Teacher) -> None:
        self.check_teacher(teacher)
        weights = self.teacher_weights
        if not any(weights.values()):
            names = " and ".join(weights)
            log.warning(
                f"Warning: `distill_from` has no effect, because {names} "
                f"{'is' if len(weights) == 1 else 'are'} 0."
            )
            return
        self.teacher = teacher
        self.loss_names = (*self.loss_names, "distill_loss", *self.teacher_parts)

    def check_teacher(self, teacher: Teacher) -> None:
        """Raises UserError if a teacher's outputs cannot be compared with the student's."""
        super().learn_from(teacher)

    @property
    def teacher_weights(self) -> dict[str, float]:
        """Weights of the parts of the loss against the teacher, by hyper-parameter."""
        return {"distill_class_weight": self.config.distill_class_weight}

    @property
    def teacher_parts(self) -> tuple[str, ...]:
        """Further losses that `teacher_losses` returns."""
        return ()

    def teacher_losses(
        self, outputs: Any, batch: Batch, *, normalizer: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Computes the losses of the student's outputs against the teacher's.

        Args:
            outputs: The student's outputs in training mode.
            batch: As in `losses`; the teacher sees the same images.
            normalizer: As in `losses`.

        Returns:
            float32 scalars that add up over parts of a batch: `distill_loss`, the weighted sum
            that is added to `loss`, and `teacher_parts`.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot be distilled")

    def _with_teacher(
        self, losses: dict[str, tf.Tensor], outputs: Any, batch: Batch, normalizer: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Adds the losses against the teacher, if there is one, to those of the labels."""
        if self.teacher is None:
            return losses
        added = self.teacher_losses(outputs, batch, normalizer=normalizer)
        return {**losses, **added, "loss": losses["loss"] + added["distill_loss"]}

    def snapshot(self) -> dict[str, Any]:
        return {} if self.teacher is None else {TEACHER: self.teacher.noted()}

    def restore(self, values: Mapping[str, Any]) -> None:
        log_changed_teacher(values.get(TEACHER), self.teacher)
        super().restore({name: value for name, value in values.items() if name != TEACHER})

    def normalizer(self, batch: Batch, reduce_sum: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """Images of the global batch."""
        return reduce_sum(tf.cast(tf.shape(batch["images"])[0], tf.float32))

    def outputs(self, model: keras.Model, batch: Batch) -> list[tf.Tensor]:
        """The network's one output, float32."""
        return [tf.cast(model(self._normalized(batch["images"]), training=False), tf.float32)]

    def _normalized(self, images: tf.Tensor, config: TrainingConfig | None = None) -> tf.Tensor:
        """uint8 images [B, H, W, 3] as the network (or one of another configuration) takes them."""
        config = config or self.config
        mean, stddev = config.mean_rgb, config.stddev_rgb
        return (tf.cast(images, tf.float32) - tf.constant(mean)) / tf.constant(stddev)

    @abc.abstractmethod
    def _dataset(
        self, files: str | None, batch_size: int, *, training: bool, **options: Any
    ) -> tf.data.Dataset:
        """Builds the input pipeline for these records from the hyper-parameters.

        Args:
            files: Record file pattern.
            batch_size: Images per batch.
            training: Whether to shuffle, augment and repeat.
            **options: Options common to all pipelines: seed, position, share, limit.
        """

    def training_dataset(
        self, batch_size: int, *, start_step: int, input_shard: tuple[int, int] = (0, 1)
    ) -> tf.data.Dataset:
        data = self._training_data(batch_size, start_step, input_shard)
        chosen = without_autograph(
            lambda batch: {name: batch[name] for name in self.training_inputs}
        )
        data = data.map(chosen)
        return data.take(1).cache().repeat() if self.fake_data else data

    def source_ids(self, batch_size: int, *, step: int) -> list[str]:
        if self._data_service is not None:
            return []
        data = self._training_data(batch_size, 0 if self.fake_data else step)
        batch = next(iter(data.take(1)))
        return [name.decode() for name in batch["source_id"].numpy()]

    def evaluation_dataset(self, batch_size: int) -> tf.data.Dataset:
        return self._dataset(
            self.evaluation_files, batch_size, training=False, max_examples=self._evaluation_images
        )

    @property
    def num_evaluation_images(self) -> int | None:
        return num_records(self.evaluation_files, self._evaluation_images)

    def evaluation_photos(self, positions: Sequence[int]) -> dict[int, tuple[np.ndarray, str]]:
        """Reads photos of the evaluation data set again; only these are decoded.

        Args:
            positions: At least one position in the order of `evaluation_dataset`, from 0.

        Returns:
            Position -> photo, uint8 [h, w, 3] at its own size, and the name of its file, "" if the
            record has none.
        """
        wanted = tf.constant(sorted(positions), tf.int64)
        is_wanted = without_autograph(lambda position, _: tf.reduce_any(position == wanted))

        def decoded(position: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, ...]:
            raw = parsed_features(record, {FILE_NAME: tf.string})
            name = tf.concat([raw[FILE_NAME], [""]], axis=0)[0]
            return position, decode_image(raw["encoded"]), name

        records = read_in_order(match_files(self.evaluation_files)).take(max(positions) + 1)
        chosen = records.enumerate().filter(is_wanted).map(without_autograph(decoded))
        return {
            int(position): (photo, name.decode("utf8", "replace"))
            for position, photo, name in chosen.as_numpy_iterator()
        }

    def _training_data(
        self, batch_size: int, start_step: int, input_shard: tuple[int, int] = (0, 1)
    ) -> tf.data.Dataset:
        return self._dataset(
            self.training_files,
            batch_size,
            training=True,
            seed=self.config.seed,
            deterministic=self._data_service is None,
            start_step=start_step,
            input_shard=input_shard,
            data_service=self._data_service,
        )
