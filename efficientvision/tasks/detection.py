"""Object detection: anchors, targets, the two heads' losses, COCO metrics."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf

from efficientvision.configs import DetectionConfig
from efficientvision.data.augmentation import Augmentation
from efficientvision.data.pipeline import detection_dataset
from efficientvision.data.record_files import count_records, match_files
from efficientvision.data.transforms.preprocess import normalize
from efficientvision.detection.anchors import generate_anchors
from efficientvision.detection.losses import detection_losses
from efficientvision.detection.matching import AnchorTargets, assign_targets
from efficientvision.errors import UserError
from efficientvision.evaluation.coco import CocoEvaluator
from efficientvision.evaluation.coco_source import for_test_server, measuring
from efficientvision.tasks.base import Batch, Evaluation, Task
from efficientvision.tasks.detection_evaluation import (
    DetectionEvaluation,
    draw_training_examples,
)
from efficientvision.tasks.detection_views import DetectionViews
from efficientvision.visualize.sheet import Picture

TESTDEV_NAME = "detections_test-dev2017_test_results.json"
_TRAINING_INPUTS = ("images", "valid_hw", "gt_boxes_yxyx", "gt_classes")


def training_augmentation(config: DetectionConfig) -> Augmentation:
    """The augmentation that the hyper-parameters of the same names ask for."""
    names = [field.name for field in dataclasses.fields(Augmentation)]
    return Augmentation(**{name: getattr(config, name) for name in names})


class DetectionTask(Task):
    """Training and evaluation of a detector.

    Args:
        config: Hyper-parameters.
        training_files: Pattern of the training records, or None.
        evaluation_files: Pattern of the evaluation records, or None.
        ground_truth_json: COCO file to evaluate against; None: the boxes in the records.
        class_names: Class number (1..K) -> name, for the report.
        evaluation_images: How many images to evaluate on, from the first; None: all.
        fake_data: Train on the first batch over and over.
        testdev_dir: Write the detections for the COCO test server there instead of measuring.
        testdev_info_file: COCO's image info file: its categories are those of the results.
        views: How an evaluation looks at each photo; None: once, at the network's own size.
        data_service: `grpc://host:port` of a tf.data service that prepares training batches; None:
            this process does.
    """

    best_metric = "AP"

    def __init__(
        self,
        config: DetectionConfig,
        *,
        training_files: str | None = None,
        evaluation_files: str | None = None,
        ground_truth_json: str | None = None,
        class_names: Mapping[int, str] | None = None,
        evaluation_images: int | None = None,
        fake_data: bool = False,
        testdev_dir: str | None = None,
        testdev_info_file: str | None = None,
        views: DetectionViews | None = None,
        data_service: str | None = None,
    ):
        if "object_detection" not in config.heads:
            raise UserError(
                "main.py trains and evaluates detectors: heads must contain object_detection, "
                f"got {', '.join(config.heads)}."
            )
        self.config = config
        self.training_files = training_files
        self.evaluation_files = evaluation_files
        self.ground_truth_json = ground_truth_json
        self.class_names = dict(class_names or {})
        self.fake_data = fake_data
        self._evaluation_images = evaluation_images
        self._data_service = data_service
        self.anchors = generate_anchors(**config.anchor_options)
        self._views = views or DetectionViews(config)
        self.prediction_inputs = self._views.inputs
        self._positives: tf.Variable | None = None
        self._coco: CocoEvaluator | None = None
        self._results_path = testdev_dir and os.path.join(testdev_dir, TESTDEV_NAME)
        self._testdev_info_file = testdev_info_file
        iou = ("box_iou_loss",) if config.iou_loss_type else ()
        self.loss_names = ("loss", "cls_loss", "box_loss", *iou, "det_loss")

    def training_dataset(
        self, batch_size: int, *, start_step: int, input_shard: tuple[int, int] = (0, 1)
    ) -> tf.data.Dataset:
        data = self._dataset(
            self.training_files,
            batch_size,
            training=True,
            start_step=start_step,
            input_shard=input_shard,
        ).map(lambda batch: {name: batch[name] for name in _TRAINING_INPUTS})
        return data.take(1).cache().repeat() if self.fake_data else data

    def source_ids(self, batch_size: int, *, step: int) -> list[str]:
        if self._data_service is not None:
            return []
        step = 0 if self.fake_data else step
        data = self._dataset(self.training_files, batch_size, training=True, start_step=step)
        batch = next(iter(data.take(1)))
        return [name.decode() for name in batch["source_id"].numpy()]

    def evaluation_dataset(self, batch_size: int) -> tf.data.Dataset:
        return self._dataset(self.evaluation_files, batch_size, training=False)

    def prepare(self, batch: Batch) -> Batch:
        """Adds to a batch what each anchor is to predict: the fields of `AnchorTargets`.

        Args:
            batch: `gt_boxes_yxyx` float32 [B,M,4] in pixels of the network input (-1 padded),
                `gt_classes` int32 [B,M], and what `losses` needs besides.
        """
        targets = assign_targets(self.anchors, batch["gt_boxes_yxyx"], batch["gt_classes"])
        return {**batch, **targets._asdict()}

    def normalizer(self, batch: Batch, reduce_sum: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """Positive anchors of the global batch, plus one, or their moving average.

        The average begins with the first batch.
        """
        positives = reduce_sum(tf.reduce_sum(batch["num_positives"])) + 1.0
        if self._positives is None:
            return positives
        momentum = tf.where(self._positives > 0.0, self.config.positives_momentum, 0.0)
        return momentum * self._positives + (1.0 - momentum) * positives

    def losses(
        self, model: keras.Model, batch: Batch, *, training: bool, normalizer: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Losses of the class and box heads; see `detection.losses.detection_losses`.

        Args:
            model: EfficientDet.
            batch: `images` uint8 [B,H,W,3], `valid_hw` int32 [B,2], and what `prepare` added.
            training: Whether layers run in training mode.
            normalizer: From `normalizer`.

        Returns:
            `loss` (= `det_loss`), `cls_loss`, `box_loss`, `det_loss`, perhaps `box_iou_loss`.
        """
        config = self.config
        class_outputs, box_outputs = self._forward(model, batch, training)[:2]
        losses = detection_losses(
            class_outputs,
            box_outputs,
            AnchorTargets(**{name: batch[name] for name in AnchorTargets._fields}),
            num_classes=config.num_classes,
            anchors=self.anchors,
            alpha=config.alpha,
            gamma=config.gamma,
            label_smoothing=config.label_smoothing,
            delta=config.delta,
            box_loss_weight=config.box_loss_weight,
            iou_loss_type=config.iou_loss_type,
            iou_loss_weight=config.iou_loss_weight,
            normalizer=normalizer,
        )
        return {"loss": losses["det_loss"], **losses}

    def step_done(self, normalizer: tf.Tensor) -> None:
        if self._positives is not None:
            self._positives.assign(normalizer)

    def outputs(self, model: keras.Model, batch: Batch) -> list[tf.Tensor]:
        """For each view the levels of the class head, then those of the box head, finest first."""
        return self._views.outputs(model, batch)

    def decode(self, outputs: list[tf.Tensor], batch: Batch) -> dict[str, tf.Tensor]:
        """Detections in pixels of the photos: see `tasks.detection_views.DetectionViews`."""
        return self._views.decode(outputs, batch)

    def new_evaluation(self) -> Evaluation:
        if self._coco is None:
            self._coco = self._new_coco_evaluator()
        return DetectionEvaluation(
            self._coco, self._results_path, self.num_evaluation_images, merge=self._views.merge
        )

    def training_pictures(self, batch: Mapping[str, np.ndarray], limit: int) -> list[Picture]:
        return draw_training_examples(batch, self.class_names, limit)

    @property
    def num_evaluation_images(self) -> int | None:
        available = sum(count_records(match_files(self.evaluation_files)))
        return min(available, self._evaluation_images or available)

    def snapshot(self) -> dict[str, float]:
        return {} if self._positives is None else {"positives": float(self._positives.numpy())}

    def restore(self, values: dict[str, float]) -> None:
        if self.config.positives_momentum and "positives" in values:
            self.create_variables()
            self._positives.assign(values["positives"])

    def create_variables(self) -> None:
        """Makes what `positives_momentum` needs; call under the strategy's scope."""
        if self.config.positives_momentum and self._positives is None:
            self._positives = tf.Variable(
                0.0, trainable=False, aggregation=tf.VariableAggregation.NONE
            )

    def _forward(self, model: keras.Model, batch: Batch, training: bool):
        images = normalize(
            batch["images"], batch["valid_hw"], self.config.mean_rgb, self.config.stddev_rgb
        )
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
        self, files, batch_size, *, training, start_step=0, input_shard=(0, 1)
    ) -> tf.data.Dataset:
        config = self.config
        return detection_dataset(
            files,
            image_hw=config.image_hw,
            batch_size=batch_size,
            training=training,
            more_sizes=() if training else self._views.sizes[1:],
            max_instances_per_image=config.max_instances_per_image,
            augmentation=training_augmentation(config),
            skip_crowd_during_training=config.skip_crowd_during_training,
            regenerate_source_id=config.regenerate_source_id,
            seed=config.seed,
            deterministic=self._data_service is None or not training,
            start_step=start_step,
            input_shard=input_shard,
            max_examples=None if training else self._evaluation_images,
            data_service=self._data_service if training else None,
        )
