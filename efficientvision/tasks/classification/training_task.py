"""Image classification with one or several classes per image: crops, losses, accuracies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from efficientvision.errors import UserError
from efficientvision.tasks.classification.config import ClassificationConfig
from efficientvision.tasks.classification.evaluation import (
    MultiLabelEvaluation,
    SingleLabelEvaluation,
    draw_training_images,
)
from efficientvision.tasks.classification.losses import binary_cross_entropy, cross_entropy
from efficientvision.tasks.classification.pipeline import Cropping, classification_dataset
from efficientvision.tasks.records import RecordTrainingTask
from efficientvision.tasks.teacher import Teacher, check_exclusive_classes, soft_class_loss
from efficientvision.tasks.training_task import Batch, Evaluation
from efficientvision.visualize.sheet import Picture


def cropping_of(config: ClassificationConfig) -> Cropping:
    """Builds the `Cropping` that the hyper-parameters describe."""
    return Cropping(
        scale=config.crop_scale,
        ratio=config.crop_ratio,
        horizontal_flip=config.input_rand_hflip,
        vertical_flip=config.input_rand_vflip,
        quarter_turns=config.input_rand_rot90,
        eval_share=config.eval_share,
        eval_squash=config.multi_label and config.eval_share == 1.0,
    )


class ClassificationTrainingTask(RecordTrainingTask):
    """Training and evaluation of a classifier.

    Args:
        config: Hyper-parameters.
        class_names: Class number (1..K) of the network -> name.
        training_ids: Class ids of the training records, in the order of the network's outputs;
            None: 1..K.
        evaluation_ids: The same for the evaluation records.
        **options: See `RecordTrainingTask`.
    """

    config: ClassificationConfig
    loss_names = ("loss", "cls_loss")

    def __init__(
        self,
        config: ClassificationConfig,
        *,
        class_names: Mapping[int, str] | None = None,
        training_ids: Sequence[int] | None = None,
        evaluation_ids: Sequence[int] | None = None,
        **options: Any,
    ):
        super().__init__(config, **options)
        numbers = range(1, config.num_classes + 1)
        self.class_names = {i: (class_names or {}).get(i, str(i)) for i in numbers}
        self.best_metric = "F_O" if config.multi_label else "top1"
        self._training_ids = list(training_ids or numbers)
        self._evaluation_ids = list(evaluation_ids or numbers)

    def losses(
        self, model: keras.Model, batch: Batch, *, training: bool, normalizer: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Cross entropy, or binary cross entropy summed over the classes.

        Args:
            model: Images -> logits [B, K].
            batch: `images` uint8 [B, H, W, 3] and `labels`, see `classification_dataset`.
            training: Whether layers run in training mode.
            normalizer: Number of images in the global batch.

        Returns:
            `loss` (= `cls_loss`) and `cls_loss`; with a teacher also `distill_loss`.
        """
        loss_of = binary_cross_entropy if self.config.multi_label else cross_entropy
        logits = model(self._normalized(batch["images"]), training=training)
        loss = loss_of(
            logits,
            batch["labels"],
            normalizer=normalizer,
            label_smoothing=self.config.label_smoothing,
        )
        return self._with_teacher({"loss": loss, "cls_loss": loss}, logits, batch, normalizer)

    def check_teacher(self, teacher: Teacher) -> None:
        if teacher.config.multi_label != self.config.multi_label:
            kinds = {True: "several classes per image", False: "one class per image"}
            raise UserError(
                f"`distill_from={teacher.path}` was trained with "
                f"{kinds[teacher.config.multi_label]}, but this run has "
                f"{kinds[self.config.multi_label]}: use a teacher trained with "
                f"multi_label={str(self.config.multi_label).lower()}."
            )
        if not self.config.multi_label:
            check_exclusive_classes(teacher)

    def teacher_losses(
        self, outputs: tf.Tensor, batch: Batch, *, normalizer: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Sum of `soft_class_loss` over the images, divided by `normalizer`."""
        teacher, config = self.teacher, self.config
        images = self._normalized(batch["images"], teacher.config)
        losses = soft_class_loss(
            teacher.of_student(outputs),
            teacher.of_teacher(teacher.model(images, training=False)),
            temperature=config.distill_temperature,
            exclusive=not config.multi_label,
        )
        return {"distill_loss": config.distill_class_weight * tf.reduce_sum(losses) / normalizer}

    def decode(self, outputs: list[tf.Tensor], batch: Batch) -> dict[str, tf.Tensor]:
        """`logits` float32 [B, K]."""
        return {"logits": outputs[0]}

    def new_evaluation(self) -> Evaluation:
        kind = MultiLabelEvaluation if self.config.multi_label else SingleLabelEvaluation
        return kind(self.class_names, self.num_evaluation_images)

    def training_pictures(self, batch: Mapping[str, np.ndarray], limit: int) -> list[Picture]:
        return draw_training_images(batch, self.class_names, limit)

    def _dataset(
        self, files: str | None, batch_size: int, *, training: bool, **options: Any
    ) -> tf.data.Dataset:
        config = self.config
        return classification_dataset(
            files,
            image_hw=config.image_hw,
            class_ids=self._training_ids if training else self._evaluation_ids,
            multi_label=config.multi_label,
            batch_size=batch_size,
            training=training,
            cropping=cropping_of(config),
            regenerate_source_id=config.regenerate_source_id,
            **options,
        )
