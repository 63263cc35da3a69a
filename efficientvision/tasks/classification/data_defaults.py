"""A classifier's defaults from its data: input size, augmentation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from efficientvision.configs.run_options import RunOptions
from efficientvision.preflight.record_scan import scan_records
from efficientvision.tasks.classification.config import ClassificationConfig
from efficientvision.tasks.data_defaults import DataDefaults
from efficientvision.tasks.default_values import CHECKPOINT, SHORT_RUN, Choice, DataFacts, Machine

_STEP, _LEAST_SIDE = 32, 64
_MILD_CROP = (0.4, 1.0)


class ClassifierDefaults(DataDefaults):
    """Defaults from the data for classifiers."""

    adam_rate = (2e-3, 32)

    def num_classes(self, names: Mapping[int, str]) -> int:
        return len(names)

    def facts(self, options: RunOptions, config: ClassificationConfig) -> DataFacts:
        scan = scan_records(options.train_file_pattern or "", labels_only=True)
        return DataFacts(scan.num_records, scan.image_hw)

    def input_choices(
        self,
        facts: DataFacts,
        config: ClassificationConfig,
        names: Mapping[int, str],
        machine: Machine,
        start: str,
    ) -> list[Choice]:
        return classifier_input(facts, config.image_hw, start)

    def learning_choices(
        self, facts: DataFacts, config: ClassificationConfig, steps: int, start: str
    ) -> list[Choice]:
        return classifier_learning(steps)


def classifier_input(facts: DataFacts, published_hw: tuple[int, int], start: str) -> list[Choice]:
    """Chooses a classifier's input: the published size, or that of photos which are smaller.

    Args:
        facts: The training data.
        published_hw: The published input, pixels.
        start: See `default_values.passes_needed`.
    """
    side = min(published_hw)
    if start == CHECKPOINT or not len(facts.photo_hw):
        return []
    shorter = float(np.median(facts.photo_hw.min(axis=-1)))
    own = max(_LEAST_SIDE, int(np.ceil(shorter / _STEP)) * _STEP)
    if own >= side:
        return [Choice("image_size", str(side), f"as published; photos are {facts.size_text}")]
    return [Choice("image_size", str(own), f"photos are only {facts.size_text}")]


def classifier_learning(steps: int) -> list[Choice]:
    """Chooses the augmentation for the length of a run."""
    if steps >= SHORT_RUN:
        return []
    return [Choice("crop_scale", list(_MILD_CROP), f"{steps:,} steps are few for tiny crops")]
