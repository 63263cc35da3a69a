"""Training task of SSD: priors, targets, the multibox loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from efficientvision.tasks.detection.augmentation import SsdAugmentation
from efficientvision.tasks.detection.decoder import SsdDecoder
from efficientvision.tasks.detection.matching import AnchorTargets
from efficientvision.tasks.detection.multibox import assign_priors, multibox_losses
from efficientvision.tasks.detection.priors import generate_priors
from efficientvision.tasks.detection.ssd_config import SsdConfig
from efficientvision.tasks.detection.training_task import DetectionTrainingTask
from efficientvision.tasks.training_task import Batch


class SsdTrainingTask(DetectionTrainingTask):
    """Training and evaluation of an SSD.

    Args:
        config: Hyper-parameters.
        **options: See `DetectionTrainingTask`.
    """

    decoder_class = SsdDecoder
    augmentation_class = SsdAugmentation
    stretches = True
    loss_names = ("loss", "cls_loss", "box_loss", "det_loss")
    config: SsdConfig

    def __init__(self, config: SsdConfig, **options: Any):
        super().__init__(config, **options)
        self.priors = generate_priors(**config.anchor_options)

    def prepare(self, batch: Batch) -> Batch:
        """Adds the targets of each prior to a batch: the fields of `AnchorTargets`.

        Args:
            batch: `gt_boxes_yxyx` float32 [B,M,4] in pixels of the network input (-1 padded),
                `gt_classes` int32 [B,M], and the other inputs of `losses`.
        """
        sides = tf.constant([*self.config.image_hw, *self.config.image_hw], tf.float32)
        boxes = batch["gt_boxes_yxyx"] / sides
        return {**batch, **assign_priors(self.priors, boxes, batch["gt_classes"])._asdict()}

    def normalizer(self, batch: Batch, reduce_sum: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """Number of positive priors in the global batch."""
        return reduce_sum(tf.reduce_sum(batch["num_positives"]))

    def losses_of(
        self, outputs: Sequence, batch: Batch, *, normalizer: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """See `detection.multibox.multibox_losses`."""
        confidences, locations = outputs
        targets = AnchorTargets(**{name: batch[name] for name in AnchorTargets._fields})
        losses = multibox_losses(confidences, locations, targets, normalizer=normalizer)
        return {"loss": losses["det_loss"], **losses}
