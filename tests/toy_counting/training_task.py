"""What the trainer asks of a counter: pictures with their numbers, a loss, metrics."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from efficientvision.data.batches import RecordReader
from efficientvision.data.record_parsing import source_id
from efficientvision.data.records import parse_example
from efficientvision.evaluation.details import Details
from efficientvision.tasks.records import RecordTrainingTask
from efficientvision.tasks.serving import decode_image
from efficientvision.tasks.stretched import stretch_photos
from efficientvision.tasks.training_task import Batch, Evaluation
from efficientvision.visualize.sheet import Picture, fit, titled


class CountingTrainingTask(RecordTrainingTask):
    """Squared error of the count."""

    best_metric = "exact"

    def losses(
        self, model: keras.Model, batch: Batch, *, training: bool, normalizer: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        counts = model(self._normalized(batch["images"]), training=training)
        return {"loss": tf.reduce_sum((counts - batch["labels"]) ** 2) / normalizer}

    def decode(self, outputs: list[tf.Tensor], batch: Batch) -> dict[str, tf.Tensor]:
        return {"count": outputs[0]}

    def new_evaluation(self) -> Evaluation:
        return CountingEvaluation()

    def _dataset(
        self, files: str | None, batch_size: int, *, training: bool, **options: Any
    ) -> tf.data.Dataset:
        reader = RecordReader(files, batch_size=batch_size, training=training, **options)

        def load(position: tf.Tensor, record: tf.Tensor) -> dict[str, tf.Tensor]:
            example = parse_example(record[0] if training else record)
            return {
                "images": stretch_photos(decode_image(example["encoded"]), self.config.image_hw),
                "labels": tf.cast(tf.shape(example["classes"]), tf.float32),
                "source_id": source_id(example, self.config.regenerate_source_id),
            }

        return reader.batches(reader.examples(load))


class CountingEvaluation(Evaluation):
    """How often the number is right, and by how much it is wrong."""

    def __init__(self) -> None:
        self._errors: list[float] = []
        self._shown: list[Picture] = []

    def update(self, predictions: dict[str, np.ndarray], batch: dict[str, np.ndarray]) -> None:
        for count, label, image in zip(
            predictions["count"][:, 0], batch["labels"][:, 0], batch["images"], strict=True
        ):
            self._errors.append(abs(float(count - label)))
            text = f"{count:.1f} of {label:.0f} blobs"
            self._shown.append(Picture(titled(fit(image, 128), [text]), text))

    def compute(self) -> dict[str, float]:
        errors = np.array(self._errors)
        return {"exact": float(np.mean(errors < 0.5)), "val_loss": float(np.mean(errors))}

    def details(self) -> Details:
        return Details({"images": len(self._errors)}, {})

    def pictures(self) -> list[Picture]:
        return self._shown[:6]
