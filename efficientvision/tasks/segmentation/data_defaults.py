"""A segmenter's defaults from its data: size of the crops, learning rate of the decoder."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from efficientvision.configs.run_options import RunOptions
from efficientvision.preflight.record_scan import scan_records
from efficientvision.tasks.data_defaults import DataDefaults
from efficientvision.tasks.default_values import (
    CHECKPOINT,
    RANDOM,
    Choice,
    DataFacts,
    Machine,
    Transfer,
    common_aspect,
    shaped,
    size_text,
)
from efficientvision.tasks.segmentation.config import SegmentationConfig

_STEP = 32
_LARGEST_SIDE = {"CPU": 384, "GPU": 768, "TPU": 768}


class SegmenterDefaults(DataDefaults):
    """Defaults from the data for segmenters."""

    adam_rate = (2e-3, 8)
    transfer = {CHECKPOINT: Transfer(rate=0.1)}

    def num_classes(self, names: Mapping[int, str]) -> int:
        return max(names) + 1  # Ids start at 0.

    def facts(self, options: RunOptions, config: SegmentationConfig) -> DataFacts:
        scan = scan_records(options.train_file_pattern or "", labels_only=True)
        return DataFacts(scan.num_records, scan.image_hw)

    def input_choices(
        self,
        facts: DataFacts,
        config: SegmentationConfig,
        names: Mapping[int, str],
        machine: Machine,
        start: str,
    ) -> list[Choice]:
        return segmenter_input(facts, machine.device)

    def learning_choices(
        self, facts: DataFacts, config: SegmentationConfig, steps: int, start: str
    ) -> list[Choice]:
        return segmenter_learning(start)


def segmenter_input(facts: DataFacts, device: str) -> list[Choice]:
    """Chooses the size of the crops: the photos' own size, up to a limit, in their shape.

    Args:
        facts: The training data.
        device: "CPU", "GPU" or "TPU".
    """
    if not len(facts.photo_hw):
        return []
    longer = float(np.median(facts.photo_hw.max(axis=-1)))
    side = min(max(_STEP, int(longer) // _STEP * _STEP), _LARGEST_SIDE[device])
    size = size_text(shaped(side, common_aspect(facts.photo_hw)))
    reason = f"photos are {facts.size_text}"
    if side < longer - _STEP:
        reason += f"; at most {side} pixels on a {device}"
    return [Choice("image_size", size, reason)]


def segmenter_learning(start: str) -> list[Choice]:
    """Chooses the learning rate of the decoder, relative to the backbone's."""
    return [Choice("lr_mult", 1.0, "nothing is pretrained")] if start == RANDOM else []
