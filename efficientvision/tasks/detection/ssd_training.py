"""SSD: priors, targets, the multibox loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from efficientvision.tasks.detection.augmentation import SsdAugmentation
from efficientvision.tasks.detection.decoder import SsdDecoder
from efficientvision.tasks.detection.matching import AnchorTargets
from efficientvision.tasks.detection.multibox import assign_priors, multibox_losses
from efficientvision.tasks.detection.priors import generate_priors
from efficientvision.tasks.detection.ssd_config import SsdConfig
from efficientvision.tasks.detection.training_task import DetectionTrainingTask
from efficientvision.tasks.training_task import Batch


def ssd_augmentation(config: SsdConfig) -> SsdAugmentation:
    """The augmentation that the hyper-parameters of the same names ask for."""
    names = [field.name for field in dataclasses.fields(SsdAugmentation)]
    return SsdAugmentation(**{name: getattr(config, name) for name in names})


class SsdTrainingTask(DetectionTrainingTask):
    """Training and evaluation of an SSD.

    Args:
        config: Hyper-parameters.
        **options: As of `DetectionTrainingTask`.
    """

    decoder_class = SsdDecoder
    loss_names = ("loss", "cls_loss", "box_loss", "det_loss")
    config: SsdConfig

    def __init__(self, config: SsdConfig, **options: Any):
        super().__init__(config, **options)
        self.priors = generate_priors(**config.anchor_options)

    def prepare(self, batch: Batch) -> Batch:
        """Adds to a batch what each prior is to predict: the fields of `AnchorTargets`.

        Args:
            batch: `gt_boxes_yxyx` float32 [B,M,4] in pixels of the network input (-1 padded),
                `gt_classes` int32 [B,M], and what `losses` needs besides.
        """
        sides = tf.constant([*self.config.image_hw, *self.config.image_hw], tf.float32)
        boxes = batch["gt_boxes_yxyx"] / sides
        return {**batch, **assign_priors(self.priors, boxes, batch["gt_classes"])._asdict()}

    def normalizer(self, batch: Batch, reduce_sum: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """Positive priors of the global batch."""
        return reduce_sum(tf.reduce_sum(batch["num_positives"]))

    def losses(
        self, model: keras.Model, batch: Batch, *, training: bool, normalizer: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The multibox loss; see `detection.multibox.multibox_losses`.

        Args:
            model: SSD.
            batch: `images` uint8 [B,H,W,3], `valid_hw` int32 [B,2], and what `prepare` added.
            training: Whether layers run in training mode.
            normalizer: From `normalizer`.

        Returns:
            `loss` (= `det_loss`), `cls_loss`, `box_loss`, `det_loss`.
        """
        outputs = self._forward(model, batch, training)
        return self.losses_of(outputs, batch, normalizer=normalizer)

    def losses_of(
        self, outputs: Sequence, batch: Batch, *, normalizer: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """`losses` of the network's outputs."""
        confidences, locations = outputs
        targets = AnchorTargets(**{name: batch[name] for name in AnchorTargets._fields})
        losses = multibox_losses(confidences, locations, targets, normalizer=normalizer)
        return {"loss": losses["det_loss"], **losses}

    def _pipeline_options(self) -> dict[str, Any]:
        return {"augmentation": ssd_augmentation(self.config), "stretch": True}
