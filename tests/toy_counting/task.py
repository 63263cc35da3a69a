"""The task itself: its network, and where its parts are."""

from __future__ import annotations

from collections.abc import Mapping

import keras

from efficientvision.configs.run_options import RunOptions
from efficientvision.tasks.base import Task
from efficientvision.tasks.records import record_options
from efficientvision.tasks.report_labels import ReportLabels
from tests.toy_counting.config import CountingConfig
from tests.toy_counting.metadata import CountingMetadata
from tests.toy_counting.predictor import Counter
from tests.toy_counting.training_task import CountingTrainingTask


class CountingTask(Task):
    """Counters of blobs."""

    noun = "a counter"
    default_model = "blob_counter"
    metadata_class = CountingMetadata
    predictor_class = Counter
    labels = ReportLabels(
        headline={"exact": "exact counts"},
        metrics=(("exact", "share of the pictures counted exactly"), ("val_loss", "mean error")),
        curves=("exact",),
        predictions_note="What was counted in some pictures.",
    )
    architecture = ("width",)

    def build(self, config: CountingConfig) -> keras.Model:
        images = keras.Input((*config.image_hw, 3), name="images")
        convolution = {"strides": 2, "padding": "same", "activation": "relu"}
        features = keras.layers.Conv2D(config.width, 3, name="stem", **convolution)(images)
        features = keras.layers.Conv2D(config.width, 3, name="body", **convolution)(features)
        pooled = keras.layers.GlobalAveragePooling2D(name="pool")(features)
        return keras.Model(images, keras.layers.Dense(1, name="count")(pooled), name=config.name)

    def trains_batch_norm(self, config: CountingConfig) -> bool:
        return False  # There is none.

    def build_task(
        self, options: RunOptions, config: CountingConfig, names: Mapping[int, str]
    ) -> CountingTrainingTask:
        return CountingTrainingTask(config, **record_options(options))


_TASK = CountingTask()


def task_for(model_name: str) -> CountingTask:
    """The task of a counter, whatever its name."""
    return _TASK
