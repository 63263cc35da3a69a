"""Base class for training and evaluating detectors: records, predictions, metrics."""

from __future__ import annotations

import abc
import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from efficientvision.data.transforms.preprocess import normalize
from efficientvision.tasks.detection.augmentation import Augmentation, SsdAugmentation
from efficientvision.tasks.detection.base_config import DetectionConfig
from efficientvision.tasks.detection.coco import CocoEvaluator
from efficientvision.tasks.detection.coco_source import for_test_server, measuring
from efficientvision.tasks.detection.decoder import Decoder
from efficientvision.tasks.detection.evaluation import DetectionEvaluation, draw_training_examples
from efficientvision.tasks.detection.matching import AnchorTargets
from efficientvision.tasks.detection.pipeline import detection_dataset
from efficientvision.tasks.detection.tta import DetectionTTA
from efficientvision.tasks.detection.views import boxes_on_photo
from efficientvision.tasks.records import RecordTrainingTask
from efficientvision.tasks.training_task import Batch, Evaluation, losses_of_each
from efficientvision.visualize.sheet import Picture

TESTDEV_NAME = "detections_test-dev2017_test_results.json"


class DetectionTrainingTask(RecordTrainingTask):
    """Records, predictions and metrics of a detector; subclasses add targets and losses.

    Args:
        config: Hyper-parameters.
        ground_truth_json: COCO file to evaluate against; None uses the boxes in the records.
        class_names: Class number (1..K) -> name, for the report.
        testdev_dir: Write detections for the COCO test server to this folder; no metrics.
        testdev_info_file: COCO image info file that defines the categories of the results.
        tta: Test-time augmentation; None: one view, at the network's own size.
        **options: See `RecordTrainingTask`.

    Attributes:
        target_fields: What `losses_of` needs of a prepared batch.
        decoder_class: Decodes the network's outputs.
        augmentation_class: Options of the training augmentation.
        stretches: Whether photos are stretched to the network's input, not fitted into it.
    """

    config: DetectionConfig
    training_inputs = ("images", "valid_hw", "gt_boxes_yxyx", "gt_classes")
    best_metric = "AP"
    target_fields: tuple[str, ...] = AnchorTargets._fields
    decoder_class: ClassVar[type[Decoder]]
    augmentation_class: ClassVar[type[Augmentation | SsdAugmentation]]
    stretches: ClassVar[bool]

    def __init__(
        self,
        config: DetectionConfig,
        *,
        ground_truth_json: str | None = None,
        class_names: Mapping[int, str] | None = None,
        testdev_dir: str | None = None,
        testdev_info_file: str | None = None,
        tta: DetectionTTA | None = None,
        **options: Any,
    ):
        super().__init__(config, **options)
        self.ground_truth_json = ground_truth_json
        self.class_names = dict(class_names or {})
        self.decoder = self.decoder_class(config)
        self._tta = tta
        self.prediction_inputs = tta.inputs if tta else ("images", "valid_hw", "original_hw")
        if tta is None and testdev_dir is None:
            self.val_loss_inputs = ("gt_boxes_yxyx", "gt_classes")
        self._coco: CocoEvaluator | None = None
        self._results_path = testdev_dir and os.path.join(testdev_dir, TESTDEV_NAME)
        self._testdev_info_file = testdev_info_file

    def outputs(self, model: keras.Model, batch: Batch) -> list[tf.Tensor]:
        """The levels of the class head, then those of the box head, finest first; with test-time
        augmentation for each view.
        """
        if self._tta is not None:
            return self._tta.outputs(model, batch)
        return tf.nest.flatten(self._forward(model, batch, training=False)[:2])

    def decode(self, outputs: list[tf.Tensor], batch: Batch) -> dict[str, tf.Tensor]:
        """Detections in pixels of the photos: fields of `postprocess.Detections`."""
        if self._tta is not None:
            return self._tta.decode(outputs, batch)
        detections = self.decoder.detections(outputs, self.config.image_hw)
        boxes = boxes_on_photo(detections.boxes_yxyx, batch["valid_hw"], batch["original_hw"])
        return detections._replace(boxes_yxyx=boxes)._asdict()

    @property
    def mix_until(self) -> int | None:
        """Number of training examples after which they are no longer mixed; None: always."""
        return None

    def image_losses(self, outputs: list[tf.Tensor], batch: Batch) -> tf.Tensor:
        """`det_loss` times the divisor, and the number of positive anchors.

        The boxes are those of the records, crowds included.
        """
        classes = batch["gt_classes"]
        known = classes <= self.config.num_object_classes
        truth = {
            "gt_boxes_yxyx": batch["gt_boxes_yxyx"],
            "gt_classes": tf.where(known, classes, -1),
        }

        def losses_of(outputs: list[tf.Tensor], targets: Batch) -> tuple[tf.Tensor, tf.Tensor]:
            losses = self.losses_of(self._by_head(outputs), targets, normalizer=tf.ones([]))
            return losses["loss"], targets["num_positives"][0]

        targets = {k: v for k, v in self.prepare(truth).items() if k in self.target_fields}
        return losses_of_each(losses_of, outputs, targets)

    def new_evaluation(self) -> Evaluation:
        if self._coco is None:
            self._coco = self._new_coco_evaluator()
        return DetectionEvaluation(
            self._coco,
            self._results_path,
            self.num_evaluation_images,
            merge=self._tta.merge if self._tta else None,
            read_photos=self.evaluation_photos,
            voc=self.config.voc_metrics,
        )

    def training_pictures(self, batch: Mapping[str, np.ndarray], limit: int) -> list[Picture]:
        return draw_training_examples(batch, self.class_names, limit)

    @classmethod
    def augmentation(cls, config: DetectionConfig) -> Augmentation | SsdAugmentation:
        """Builds the augmentation from the hyper-parameters of the same names."""
        names = [field.name for field in dataclasses.fields(cls.augmentation_class)]
        return cls.augmentation_class(**{name: getattr(config, name) for name in names})

    def losses(
        self, model: keras.Model, batch: Batch, *, training: bool, normalizer: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Computes the losses of class and box heads.

        Args:
            model: The detector.
            batch: `images` uint8 [B,H,W,3], `valid_hw` int32 [B,2], and the fields from `prepare`.
            training: Whether layers run in training mode.
            normalizer: From `normalizer`.

        Returns:
            `loss` (= `det_loss`), `cls_loss`, `box_loss`, `det_loss`; of an EfficientDet optionally
            `box_iou_loss`, and with a teacher `distill_loss` and its parts.
        """
        outputs = self._forward(model, batch, training)
        losses = self.losses_of(outputs, batch, normalizer=normalizer)
        return self._with_teacher(losses, outputs, batch, normalizer)

    @abc.abstractmethod
    def losses_of(
        self, outputs: Sequence, batch: Batch, *, normalizer: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Computes `losses` from the network's outputs."""

    def _by_head(self, outputs: list[tf.Tensor]) -> Sequence:
        """The outputs as `losses_of` takes them, from the flat list of `outputs`."""
        return outputs

    def _forward(
        self,
        model: keras.Model,
        batch: Batch,
        training: bool,
        config: DetectionConfig | None = None,
    ):
        """Runs a network of `config` (None: the student's) on the images of a batch."""
        config = config or self.config
        images = normalize(batch["images"], batch["valid_hw"], config.mean_rgb, config.stddev_rgb)
        return model(images, training=training)

    def _new_coco_evaluator(self) -> CocoEvaluator:
        limit = self._evaluation_images
        if self._results_path is not None:
            return for_test_server(
                self.evaluation_files,
                self.class_names,
                self._testdev_info_file,
                max_examples=limit,
            )
        return measuring(
            self.evaluation_files,
            self.class_names,
            self.ground_truth_json,
            max_examples=limit,
            ids_are_regenerated=self.config.regenerate_source_id,
        )

    def _dataset(
        self, files: str | None, batch_size: int, *, training: bool, **options: Any
    ) -> tf.data.Dataset:
        config = self.config
        return detection_dataset(
            files,
            image_hw=config.image_hw,
            batch_size=batch_size,
            training=training,
            more_sizes=self._tta.sizes[1:] if self._tta and not training else (),
            max_instances_per_image=config.max_instances_per_image,
            skip_crowd_during_training=config.skip_crowd_during_training,
            regenerate_source_id=config.regenerate_source_id,
            stretch=self.stretches,
            augmentation=self.augmentation(config),
            mix_until=self.mix_until if training else None,
            **options,
        )
