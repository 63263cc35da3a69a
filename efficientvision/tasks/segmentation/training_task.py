"""Semantic segmentation: every pixel's class; cross entropy of the pixels, mIoU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from efficientvision.tasks.records import RecordTrainingTask
from efficientvision.tasks.segmentation.config import SegmentationConfig
from efficientvision.tasks.segmentation.evaluation import (
    SegmentationEvaluation,
    draw_training_masks,
)
from efficientvision.tasks.segmentation.losses import (
    binary_cross_entropy,
    cross_entropy,
    cross_entropy_weight,
)
from efficientvision.tasks.segmentation.pipeline import MaskAugmentation, segmentation_dataset
from efficientvision.tasks.segmentation.tta import SegmentationTTA, logits_of, normalized
from efficientvision.tasks.training_task import Batch, Evaluation
from efficientvision.visualize.sheet import Picture


class SegmentationTrainingTask(RecordTrainingTask):
    """Training and evaluation of a network that gives every pixel its class.

    Args:
        config: Hyper-parameters.
        class_names: Class (from 0) of the network -> name.
        evaluation_names: Class (from 0) of the evaluation records -> name; None: the network's.
        class_weights: Weight of each class in the loss; None: all 1.
        tta: Test-time augmentation; None: one view, at the network's size.
        **options: As of `RecordTrainingTask`.
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
        if config.auxiliary:
            self.loss_names = ("loss", "seg_loss", "aux_loss")

    @property
    def view_sizes(self) -> list[tuple[int, int]]:
        """(height, width) of each of `prediction_inputs`."""
        return self._tta.sizes if self._tta else [self.config.image_hw]

    def normalizer(self, batch: Batch, reduce_sum: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """Of the global batch: the weights of its pixels, or (bce) its pixels times the classes."""
        if self.config.loss_type == "ce":
            return reduce_sum(cross_entropy_weight(batch["masks"], self.class_weights))
        pixels = tf.cast(tf.size(batch["masks"]), tf.float32)
        return reduce_sum(pixels * self.config.num_classes)

    def losses(
        self, model: keras.Model, batch: Batch, *, training: bool, normalizer: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Cross entropy of the pixels, or binary cross entropy of every class.

        Args:
            model: Images -> logits [B, H, W, C], or a dict with `logits`, and `auxiliary` alike.
            batch: `images` uint8 [B, H, W, 3] and `masks` uint8 [B, H, W], 255 ignored.
            training: Whether layers run in training mode.
            normalizer: Of the global batch.

        Returns:
            `loss`, the sum of the others: `seg_loss`, and with an auxiliary output `aux_loss`.
        """
        outputs = model(normalized(batch["images"], self.config), training=training)
        outputs = outputs if isinstance(outputs, dict) else {"logits": outputs}
        loss_of = cross_entropy if self.config.loss_type == "ce" else binary_cross_entropy
        named = {"seg_loss": "logits", "aux_loss": "auxiliary"}
        losses = {
            name: loss_of(
                outputs[named[name]],
                batch["masks"],
                normalizer=normalizer,
                class_weights=self.class_weights,
            )
            for name in self.loss_names[1:]
        }
        return {"loss": tf.add_n(list(losses.values())), **losses}

    def outputs(self, model: keras.Model, batch: Batch) -> list[tf.Tensor]:
        """Scores of the classes, float32 [B, H, W, C]: logits, or the views' mean probabilities."""
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


def mask_augmentation(config: SegmentationConfig) -> MaskAugmentation:
    """What a configuration says of augmentation, in the pipeline's terms."""
    return MaskAugmentation(
        scale=config.scale_range,
        horizontal_flip=config.input_rand_hflip,
        vertical_flip=config.input_rand_vflip,
        quarter_turns=config.input_rand_rot90,
    )


def all_names(names: Mapping[int, str], num_classes: int) -> dict[int, str]:
    """A name for every class (from 0): its number where it has none."""
    return {number: names.get(number, f"class {number}") for number in range(num_classes)}
