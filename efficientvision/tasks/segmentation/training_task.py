"""Training task of semantic segmentation: masks, cross entropy per pixel, mIoU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from efficientvision.data.streams import without_autograph
from efficientvision.tasks.records import RecordTrainingTask
from efficientvision.tasks.segmentation.config import SegmentationConfig
from efficientvision.tasks.segmentation.evaluation import (
    SegmentationEvaluation,
    draw_training_masks,
)
from efficientvision.tasks.segmentation.losses import (
    IGNORED,
    binary_cross_entropy,
    cross_entropy,
    cross_entropy_weight,
    distillation_loss,
)
from efficientvision.tasks.segmentation.pipeline import MaskAugmentation, segmentation_dataset
from efficientvision.tasks.segmentation.tta import SegmentationTTA, logits_of, normalized
from efficientvision.tasks.teacher import Teacher, check_exclusive_classes
from efficientvision.tasks.training_task import Batch, Evaluation, losses_of_each
from efficientvision.visualize.sheet import Picture

# Batch key of the masks at the network's size.
_INPUT_MASKS = "input_masks"


class SegmentationTrainingTask(RecordTrainingTask):
    """Training and evaluation of a segmentation network.

    Args:
        config: Hyper-parameters.
        class_names: Class (from 0) of the network -> name.
        evaluation_names: Class (from 0) of the evaluation records -> name; None if the same.
        class_weights: Weight of each class in the loss; None means all 1.
        tta: Test-time augmentation; None: one view, at the network's size.
        **options: See `RecordTrainingTask`.
    """

    config: SegmentationConfig
    training_inputs = ("images", "masks")
    loss_names = ("loss", "seg_loss")
    best_metric = "miou"

    def __init__(
        self,
        config: SegmentationConfig,
        *,
        class_names: Mapping[int, str] | None = None,
        evaluation_names: Mapping[int, str] | None = None,
        class_weights: Sequence[float] | None = None,
        tta: SegmentationTTA | None = None,
        **options: Any,
    ):
        super().__init__(config, **options)
        self.class_names = all_names(class_names or {}, config.num_classes)
        self.evaluation_names = dict(evaluation_names or self.class_names)
        self.class_weights = class_weights
        self._tta = tta
        self.prediction_inputs = tta.inputs if tta else ("images",)
        if tta is None and not config.class_map:
            self.val_loss_inputs = (_INPUT_MASKS,)
        if config.auxiliary:
            self.loss_names = ("loss", "seg_loss", "aux_loss")

    @property
    def view_sizes(self) -> list[tuple[int, int]]:
        """(height, width) of each of `prediction_inputs`."""
        return self._tta.sizes if self._tta else [self.config.image_hw]

    def normalizer(self, batch: Batch, reduce_sum: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """Sum of the pixel weights in the global batch, or (bce) its pixels times classes."""
        if self.config.loss_type == "ce":
            return reduce_sum(cross_entropy_weight(batch["masks"], self.class_weights))
        pixels = tf.cast(tf.size(batch["masks"]), tf.float32)
        return reduce_sum(pixels * self.config.num_classes)

    def losses(
        self, model: keras.Model, batch: Batch, *, training: bool, normalizer: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Computes cross entropy per pixel, or binary cross entropy per class.

        Args:
            model: Images -> logits [B, H, W, C], or a dict with `logits`, and `auxiliary` alike.
            batch: `images` uint8 [B, H, W, 3] and `masks` uint8 [B, H, W], 255 ignored.
            training: Whether layers run in training mode.
            normalizer: `normalizer` of the global batch.

        Returns:
            `loss`, the sum of `seg_loss` and, with an auxiliary output, `aux_loss`; with a teacher
            also `distill_loss`, which is added.
        """
        outputs = model(normalized(batch["images"], self.config), training=training)
        outputs = outputs if isinstance(outputs, dict) else {"logits": outputs}
        named = {"seg_loss": "logits", "aux_loss": "auxiliary"}
        losses = {
            name: self._loss(outputs[named[name]], batch["masks"], normalizer)
            for name in named
            if name in self.loss_names
        }
        losses = {"loss": tf.add_n(list(losses.values())), **losses}
        return self._with_teacher(losses, outputs["logits"], batch, normalizer)

    def check_teacher(self, teacher: Teacher) -> None:
        if self.config.loss_type == "ce":
            check_exclusive_classes(teacher)

    def teacher_losses(
        self, outputs: tf.Tensor, batch: Batch, *, normalizer: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """See `segmentation.losses.distillation_loss`."""
        teacher, config = self.teacher, self.config
        images = normalized(batch["images"], teacher.config)
        loss = distillation_loss(
            teacher.of_student(outputs),
            teacher.of_teacher(logits_of(teacher.model(images, training=False))),
            batch["masks"],
            normalizer=normalizer,
            temperature=config.distill_temperature,
            exclusive=config.loss_type == "ce",
            class_weights=self.class_weights,
        )
        return {"distill_loss": config.distill_class_weight * loss}

    def _loss(self, logits: tf.Tensor, masks: tf.Tensor, normalizer: tf.Tensor) -> tf.Tensor:
        loss_of = cross_entropy if self.config.loss_type == "ce" else binary_cross_entropy
        return loss_of(logits, masks, normalizer=normalizer, class_weights=self.class_weights)

    def image_losses(self, outputs: list[tf.Tensor], batch: Batch) -> tf.Tensor:
        """`seg_loss` times the divisor, and the divisor (see `normalizer`)."""

        def losses_of(logits: tf.Tensor, masks: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            divisor = self.normalizer({"masks": masks}, lambda x: x)
            return self._loss(logits, masks, tf.ones([])), divisor

        masks = batch[_INPUT_MASKS]
        masks = tf.where(masks < self.config.num_classes, masks, tf.constant(IGNORED, tf.uint8))
        return losses_of_each(losses_of, outputs[0], masks)

    def evaluation_dataset(self, batch_size: int) -> tf.data.Dataset:
        """Adds the masks at the network's size, for the loss, to the batches."""
        data = super().evaluation_dataset(batch_size)
        if not self.val_loss_inputs:
            return data
        add = without_autograph(
            lambda batch: {**batch, _INPUT_MASKS: input_masks(batch, self.config.image_hw)}
        )
        return data.map(add, tf.data.AUTOTUNE)

    def outputs(self, model: keras.Model, batch: Batch) -> list[tf.Tensor]:
        """Class scores, float32 [B, H, W, C]: logits, or mean probabilities of several views."""
        if self._tta is not None:
            return [self._tta.scores(model, batch)]
        return [logits_of(model(normalized(batch["images"], self.config), training=False))]

    def decode(self, outputs: list[tf.Tensor], batch: Batch) -> dict[str, tf.Tensor]:
        """`classes` uint8 [B, H, W] at the network's size."""
        return {"classes": tf.cast(tf.argmax(outputs[0], axis=-1), tf.uint8)}

    def new_evaluation(self) -> Evaluation:
        return SegmentationEvaluation(
            self.evaluation_names, self.config.class_map, self.num_evaluation_images
        )

    def training_pictures(self, batch: Mapping[str, np.ndarray], limit: int) -> list[Picture]:
        return draw_training_masks(batch, self.class_names, limit)

    def _dataset(
        self, files: str | None, batch_size: int, *, training: bool, **options: Any
    ) -> tf.data.Dataset:
        config = self.config
        return segmentation_dataset(
            files,
            image_hw=config.image_hw,
            batch_size=batch_size,
            training=training,
            augmentation=mask_augmentation(config),
            more_sizes=() if training else self.view_sizes[1:],
            regenerate_source_id=config.regenerate_source_id,
            **options,
        )


def input_masks(batch: Batch, image_hw: tuple[int, int]) -> tf.Tensor:
    """Resizes the masks of an evaluation batch to the network's input, by the nearest pixel.

    Args:
        batch: `masks` uint8 [B, h, w], and `mask_sizes` int32 [B, 2], their parts without padding.
        image_hw: (H, W) of the network input.

    Returns:
        uint8 [B, H, W].
    """
    masks = batch["masks"]
    for axis, length in enumerate(image_hw):
        own = tf.cast(batch["mask_sizes"][:, axis, tf.newaxis], tf.float32)
        middles = (tf.range(length, dtype=tf.float32) + 0.5) / length
        chosen = tf.cast(tf.floor(middles * own), tf.int32)
        masks = tf.gather(masks, chosen, axis=axis + 1, batch_dims=1)
    return tf.ensure_shape(masks, [None, *image_hw])


def mask_augmentation(config: SegmentationConfig) -> MaskAugmentation:
    """Builds the augmentation from the hyper-parameters."""
    return MaskAugmentation(
        scale=config.scale_range,
        horizontal_flip=config.input_rand_hflip,
        vertical_flip=config.input_rand_vflip,
        quarter_turns=config.input_rand_rot90,
    )


def all_names(names: Mapping[int, str], num_classes: int) -> dict[int, str]:
    """Returns a name for every class (from 0); unnamed ones are called by their number."""
    return {number: names.get(number, f"class {number}") for number in range(num_classes)}
