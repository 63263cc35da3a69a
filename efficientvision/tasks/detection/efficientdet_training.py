"""Training task of EfficientDet: anchors, targets, losses of both heads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from efficientvision.data import boxes as box_ops
from efficientvision.errors import UserError
from efficientvision.tasks.detection.alignment import task_aligned_targets
from efficientvision.tasks.detection.anchors import anchor_strides, generate_anchors
from efficientvision.tasks.detection.augmentation import Augmentation
from efficientvision.tasks.detection.decoder import EfficientDetDecoder
from efficientvision.tasks.detection.distillation import check_teacher, distillation_losses
from efficientvision.tasks.detection.efficientdet_config import EfficientDetConfig
from efficientvision.tasks.detection.losses import all_levels, detection_losses
from efficientvision.tasks.detection.matching import AnchorTargets, assign_targets
from efficientvision.tasks.detection.training_task import DetectionTrainingTask
from efficientvision.tasks.teacher import Teacher
from efficientvision.tasks.training_task import Batch

# Hyper-parameter that weights a part of the loss against a teacher -> that part.
_DISTILLED = {
    "distill_class_weight": "distill_class_loss",
    "distill_box_weight": "distill_box_loss",
}


class EfficientDetTrainingTask(DetectionTrainingTask):
    """Training and evaluation of an EfficientDet.

    Args:
        config: Hyper-parameters.
        **options: See `DetectionTrainingTask`.
    """

    decoder_class = EfficientDetDecoder
    augmentation_class = Augmentation
    stretches = False
    config: EfficientDetConfig

    def __init__(self, config: EfficientDetConfig, **options: Any):
        if "object_detection" not in config.heads:
            raise UserError(
                "Training and evaluation need a detection head: heads must contain "
                f"object_detection, got {', '.join(config.heads)}."
            )
        super().__init__(config, **options)
        self.anchors = generate_anchors(**config.anchor_options)
        self._is_aligned = config.assignment == "task_aligned"
        if self._is_aligned:
            self._strides = anchor_strides(**config.anchor_options)
            self.target_fields = ("gt_boxes_yxyx", "gt_classes", "num_positives")
        self._positives: tf.Variable | None = None
        iou = ("box_iou_loss",) if config.iou_loss_type else ()
        self.loss_names = ("loss", "cls_loss", "box_loss", *iou, "det_loss")

    @property
    def mix_until(self) -> int | None:
        """See `mix_end`; None: always.

        Raises:
            UserError: The length of the training is unknown.
        """
        config = self.config
        if config.mix_end >= 1.0 or not self._mixes:
            return None
        if self.examples_per_epoch is None:
            raise UserError(
                f"mix_end={config.mix_end:g} is a share of a training of unknown length: set "
                "`examples_per_epoch` of the task, or mix_end=1."
            )
        return int(config.mix_end * config.num_epochs * self.examples_per_epoch)

    @property
    def _mixes(self) -> list[str]:
        """Names of the augmentations that combine several photos."""
        probs = {"mosaic": self.config.mosaic_prob, "MixUp": self.config.mixup_prob}
        return [name for name, prob in probs.items() if prob > 0]

    def plan_message(self, batch_size: int, total_steps: int) -> str:
        """Says at which step `mix_end` begins; empty without one."""
        if self.config.mix_end >= 1.0:
            return ""
        told = f"mix_end={self.config.mix_end:g}"
        if (until := self.mix_until) is None:
            return f"Warning: {told} has no effect, because mosaic_prob and mixup_prob are 0."
        # In the step at the border, some images may be mixed.
        last = math.ceil(until / batch_size)
        mixes = " and ".join(self._mixes)
        return f"Augmentation: no {mixes} after step {last:,} of {total_steps:,} ({told})."

    def prepare(self, batch: Batch) -> Batch:
        """Adds the targets of each anchor to a batch: the fields of `AnchorTargets`.

        With `assignment=task_aligned` they depend on the network's outputs: here only
        `num_positives` is added, the number of objects in each image.

        Args:
            batch: `gt_boxes_yxyx` float32 [B,M,4] in pixels of the network input (-1 padded),
                `gt_classes` int32 [B,M], and the other inputs of `losses`.
        """
        if self._is_aligned:
            objects = tf.cast(batch["gt_classes"] > 0, tf.float32)
            return {**batch, "num_positives": tf.reduce_sum(objects, axis=1)}
        targets = assign_targets(self.anchors, batch["gt_boxes_yxyx"], batch["gt_classes"])
        return {**batch, **targets._asdict()}

    def normalizer(self, batch: Batch, reduce_sum: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """Number of positive anchors (task_aligned: objects) in the global batch plus one, or its
        moving average.

        The average starts at the first batch's value.
        """
        positives = reduce_sum(tf.reduce_sum(batch["num_positives"])) + 1.0
        if self._positives is None:
            return positives
        momentum = tf.where(self._positives > 0.0, self.config.positives_momentum, 0.0)
        return momentum * self._positives + (1.0 - momentum) * positives

    def losses_of(
        self, outputs: Sequence, batch: Batch, *, normalizer: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """See `detection.losses.detection_losses`."""
        config = self.config
        class_outputs, box_outputs = outputs[:2]
        if self._is_aligned:
            labels, quality = self._aligned(class_outputs, box_outputs, batch)
            box_weights = quality
        else:
            labels = AnchorTargets(**{name: batch[name] for name in AnchorTargets._fields})
            quality = self._overlaps(box_outputs, labels) if self._has_quality else None
            box_weights = None
        losses = detection_losses(
            class_outputs,
            box_outputs,
            labels,
            num_classes=config.num_classes,
            anchors=self.anchors,
            alpha=config.alpha,
            gamma=config.gamma,
            label_smoothing=config.label_smoothing,
            delta=config.delta,
            box_loss_weight=config.box_loss_weight,
            iou_loss_type=config.iou_loss_type,
            iou_loss_weight=config.iou_loss_weight,
            quality=quality if self._has_quality else None,
            box_weights=box_weights,
            normalizer=normalizer,
        )
        return {"loss": losses["det_loss"], **losses}

    def check_teacher(self, teacher: Teacher) -> None:
        check_teacher(self.config, teacher)

    @property
    def teacher_weights(self) -> dict[str, float]:
        return {name: getattr(self.config, name) for name in _DISTILLED}

    @property
    def teacher_parts(self) -> tuple[str, ...]:
        weights = self.teacher_weights
        return tuple(part for name, part in _DISTILLED.items() if weights[name])

    def teacher_losses(
        self, outputs: Any, batch: Batch, *, normalizer: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """See `detection.distillation.distillation_losses`."""
        teacher = self.teacher
        theirs = self._forward(teacher.model, batch, False, teacher.config)
        losses = distillation_losses(
            outputs[:2],
            theirs[:2],
            teacher,
            anchors=self.anchors,
            teacher_anchors=generate_anchors(**teacher.config.anchor_options),
            parts=self.teacher_parts,
            normalizer=normalizer,
        )
        weights = self.teacher_weights
        weighted = [
            weights[name] * losses[part] for name, part in _DISTILLED.items() if part in losses
        ]
        return {"distill_loss": tf.add_n(weighted), **losses}

    @property
    def _has_quality(self) -> bool:
        return self.config.class_loss == "quality_focal"

    def _aligned(
        self, class_outputs: Sequence, box_outputs: Sequence, batch: Batch
    ) -> tuple[AnchorTargets, tf.Tensor]:
        """The targets of `task_aligned_targets`, and the quality of each anchor."""
        targets = task_aligned_targets(
            all_levels(class_outputs, self.config.num_classes),
            box_ops.decode(all_levels(box_outputs, 4), self.anchors),
            self.anchors,
            self._strides,
            batch["gt_boxes_yxyx"],
            batch["gt_classes"],
        )
        deltas = box_ops.encode(targets.boxes_yxyx, self.anchors[np.newaxis])
        # The box losses leave out exact zeros, as of an object in the middle of an anchor.
        deltas = tf.where(deltas == 0.0, box_ops.EPSILON, deltas)
        matched = targets.class_targets[..., tf.newaxis] >= 0
        labels = AnchorTargets(
            targets.class_targets, tf.where(matched, deltas, 0.0), batch["num_positives"]
        )
        return labels, targets.quality

    def _overlaps(self, box_outputs: Sequence, labels: AnchorTargets) -> tf.Tensor:
        """IoU of the predicted box of each matched anchor with its object; 0 for others."""
        matched = labels.class_targets >= 0
        deltas = tf.stop_gradient(all_levels(box_outputs, 4))
        deltas = tf.where(matched[..., tf.newaxis], deltas, 0.0)
        predicted = box_ops.decode(deltas, self.anchors)
        objects = box_ops.decode(labels.box_targets, self.anchors)
        return tf.where(matched, box_ops.iou(predicted, objects), 0.0)

    def _by_head(self, outputs: list[tf.Tensor]) -> Sequence:
        levels = len(outputs) // 2
        return outputs[:levels], outputs[levels:]

    def step_done(self, normalizer: tf.Tensor) -> None:
        if self._positives is not None:
            self._positives.assign(normalizer)

    def snapshot(self) -> dict[str, Any]:
        if self._positives is None:
            return super().snapshot()
        return {**super().snapshot(), "positives": float(self._positives.numpy())}

    def restore(self, values: Mapping[str, Any]) -> None:
        if self.config.positives_momentum and "positives" in values:
            self.create_variables()
            self._positives.assign(values["positives"])
        super().restore({name: value for name, value in values.items() if name != "positives"})

    def create_variables(self) -> None:
        """Creates the variable of `positives_momentum`; call in the strategy's scope."""
        if self.config.positives_momentum and self._positives is None:
            self._positives = tf.Variable(
                0.0, trainable=False, aggregation=tf.VariableAggregation.NONE
            )
