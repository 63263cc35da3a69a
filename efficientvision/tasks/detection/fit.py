"""Detectors for `keras.Model.compile` and `fit`, with built-in targets and losses."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from efficientvision.api import build_from_config
from efficientvision.errors import UserError
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.detection.efficientdet_training import EfficientDetTrainingTask
from efficientvision.tasks.detection.ssd_config import SsdConfig
from efficientvision.tasks.detection.ssd_training import SsdTrainingTask


class FitDetector(keras.Model):
    """A detector with built-in targets and losses, to be trained by `fit` on one device.

    `fit` takes a data set of `(images, (boxes, classes))`: images uint8 [B, H, W, 3] at the
    network's input size; boxes float32 [B, M, 4], ymin, xmin, ymax, xmax in pixels of these
    images, padded with -1; classes int32 [B, M], 1..K, padded with -1. The losses are those of
    `main.py`, without weight decay and without averaged weights.

    Args:
        name: name of an EfficientDet, or of an SSD's backbone with `task="detection"`.
        task: None: inferred from the name.
        **hyper_parameters: hyper-parameters as in `build_model`.

    Attributes:
        network: the detector itself, for `network.save`, or `Detector.from_loaded` to predict.

    Raises:
        UserError: the name or a hyper-parameter is unknown, a value is invalid, or the network has
            no detection head.

    Example:
        >>> model = FitDetector("efficientdet-d0", num_classes=3, image_size=256)
        >>> model.compile(optimizer=keras.optimizers.Adam(1e-3))
        >>> model.fit(dataset, epochs=10)
    """

    def __init__(self, name: str, task: str | None = None, **hyper_parameters: Any):
        super().__init__(name=f"fit_{name}")
        self.config = get_config(name, hyper_parameters, task=task)
        config: Any = self.config
        if config.task != "detection":
            raise UserError(
                f"{name} is a model for {config.task} and has no detection head: set "
                "task='detection'"
            )
        is_ssd = isinstance(config, SsdConfig)
        self._task = SsdTrainingTask(config) if is_ssd else EfficientDetTrainingTask(config)
        self.network = build_from_config(self.config)

    def call(self, images: tf.Tensor, training: bool | None = None) -> Any:
        """Maps uint8 or float images in 0..255, [B, H, W, 3], to the network's outputs."""
        mean, stddev = (
            tf.constant(values, tf.float32)
            for values in (self.config.mean_rgb, self.config.stddev_rgb)
        )
        return self.network((tf.cast(images, tf.float32) - mean) / stddev, training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """Returns the detector's total loss, see `detection.losses` and `detection.multibox`.

        Args:
            x: Ignored.
            y: (boxes, classes) as described for the class.
            y_pred: Outputs of `call`.
            sample_weight: Ignored.
            training: Ignored.

        Returns:
            float32 scalar, a mean over the batch's positive anchors.
        """
        del x, sample_weight, training
        boxes, classes = y
        batch = self._task.prepare(
            {"gt_boxes_yxyx": tf.cast(boxes, tf.float32), "gt_classes": tf.cast(classes, tf.int32)}
        )
        normalizer = self._task.normalizer(batch, lambda total: total)
        return self._task.losses_of(y_pred, batch, normalizer=normalizer)["loss"]
