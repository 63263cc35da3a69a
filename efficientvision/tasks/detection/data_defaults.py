"""A detector's defaults from its data: input size, anchors, augmentation, memory."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from efficientvision.configs.run_options import RunOptions
from efficientvision.data.transforms.mosaic import NUM_FRAMES
from efficientvision.preflight.record_scan import scan_records
from efficientvision.tasks.data_defaults import DataDefaults, scan_facts
from efficientvision.tasks.default_values import (
    CHECKPOINT,
    SHORT_RUN,
    Choice,
    DataFacts,
    Machine,
    common_aspect,
    detector_input,
    shaped,
    size_text,
)
from efficientvision.tasks.detection.anchor_coverage import (
    real_boxes,
    suggest_anchors,
    suggest_priors,
)
from efficientvision.tasks.detection.base_config import DetectionConfig
from efficientvision.tasks.detection.efficientdet_config import EfficientDetConfig
from efficientvision.tasks.detection.ssd_config import SsdConfig

_MODERATE_RUN = 3000  # Steps.
_MILD_JITTER, _MODERATE_JITTER = (0.8, 1.2), (0.5, 1.5)


class DetectorDefaults(DataDefaults):
    """Defaults from the data that all detectors share."""

    adam_rate = (2e-3, 8)

    def facts(self, options: RunOptions, config: DetectionConfig) -> DataFacts:
        return scan_facts(
            scan_records(
                options.train_file_pattern or "",
                regenerate_source_id=config.regenerate_source_id,
                description="scanning the training records",
            )
        )


class EfficientDetDefaults(DetectorDefaults):
    """Defaults from the data for EfficientDets."""

    published_recipe = "coco"

    def input_choices(
        self,
        facts: DataFacts,
        config: EfficientDetConfig,
        names: Mapping[int, str],
        machine: Machine,
        start: str,
    ) -> list[Choice]:
        return [efficientdet_input(facts, config, names, machine.device, start)]

    def learning_choices(
        self, facts: DataFacts, config: EfficientDetConfig, steps: int, start: str
    ) -> list[Choice]:
        # A trained network's boxes are relative to its own anchors.
        anchors = [] if start == CHECKPOINT else anchor_choices(facts, config)
        return anchors + efficientdet_learning(config, steps) + object_choices(facts, config)


class SsdDefaults(DetectorDefaults):
    """Defaults from the data for SSDs."""

    def num_classes(self, names: Mapping[int, str]) -> int:
        return max(names) + 1  # The background counts.

    def input_choices(
        self,
        facts: DataFacts,
        config: SsdConfig,
        names: Mapping[int, str],
        machine: Machine,
        start: str,
    ) -> list[Choice]:
        size = [] if start == CHECKPOINT else ssd_input(facts, config)
        return size + object_choices(facts, config)

    def learning_choices(
        self, facts: DataFacts, config: SsdConfig, steps: int, start: str
    ) -> list[Choice]:
        priors = [] if start == CHECKPOINT else prior_choices(facts, config)
        return priors + ssd_learning(steps)


def efficientdet_input(
    facts: DataFacts,
    config: EfficientDetConfig,
    names: Mapping[int, str],
    device: str,
    start: str,
) -> Choice:
    """Chooses the input size of an EfficientDet; a trained network keeps its own scale.

    Args:
        facts: The data.
        config: Published hyper-parameters, apart from those that the user set.
        names: Class id -> name.
        device: "CPU", "GPU" or "TPU".
        start: See `default_values.passes_needed`.
    """
    published = max(config.image_hw)
    if start == CHECKPOINT and len(facts.photo_hw):
        size = size_text(shaped(published, common_aspect(facts.photo_hw)))
        return Choice("image_size", size, f"as published, in the shape of {facts.size_text}")
    return detector_input(facts, published, device, names)


def ssd_input(facts: DataFacts, config: SsdConfig) -> list[Choice]:
    """Chooses the input of an SSD: about as many pixels as published, in the photos' shape."""
    if not len(facts.photo_hw):
        return []
    aspect = common_aspect(facts.photo_hw)
    if aspect == 1.0:
        return [Choice("image_size", size_text(config.image_hw), "as published")]
    side = round(max(config.image_hw) * max(aspect, 1 / aspect) ** 0.5 / 32) * 32
    reason = f"as many pixels as published, in the shape of the photos, {facts.size_text}"
    return [Choice("image_size", size_text(shaped(side, aspect)), reason)]


def anchor_choices(facts: DataFacts, config: EfficientDetConfig) -> list[Choice]:
    """Chooses anchors that cover the boxes, if the published ones do not."""
    if not len(facts.photo_hw):
        return []
    scale = np.min(np.array(config.image_hw) / facts.photo_hw, axis=-1)
    boxes, classes = real_boxes(*_labels(facts), facts.photo_hw * scale[:, None])
    if not len(boxes):
        return []
    changes, shares = suggest_anchors(boxes, classes, **config.anchor_options)
    if "aspect_ratios" in changes and config.is_decided("aspect_ratios"):
        changes = {}
    covered = f"an anchor fits {_average(shares):.0%} of a class's boxes, on average"
    values = {"anchor_scale": config.anchor_scale, **changes}
    return [Choice(name, value, covered) for name, value in values.items()]


def prior_choices(facts: DataFacts, config: SsdConfig) -> list[Choice]:
    """Chooses SSD priors that cover the boxes, if the published ones do not."""
    if not len(facts.photo_hw):
        return []
    fitted = np.broadcast_to(config.image_hw, facts.photo_hw.shape)
    boxes, classes = real_boxes(*_labels(facts), fitted)
    if not len(boxes):
        return []
    if any(map(config.is_decided, ("prior_min_scale", "prior_max_scale"))):
        return []
    changes, shares = suggest_priors(boxes, classes, **config.anchor_options)
    covered = f"a prior fits {_average(shares):.0%} of a class's boxes, on average"
    return [Choice(name, value, covered) for name, value in changes.items()]


def _labels(facts: DataFacts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return facts.boxes_normalized_yxyx, facts.classes, facts.image_of


def _average(shares: Mapping[int, float]) -> float:
    return float(np.mean(list(shares.values())))


def object_choices(facts: DataFacts, config: DetectionConfig) -> list[Choice]:
    """Makes room for all objects of a photo, and of those that mosaic and MixUp put together."""
    most = facts.most_objects
    photos = NUM_FRAMES if getattr(config, "mosaic_prob", 0.0) > 0 else 1
    photos += getattr(config, "mixup_prob", 0.0) > 0
    if most * photos <= config.max_instances_per_image:
        return []
    reason = f"a photo has {most:,} objects"
    reason += f", an example up to {photos} photos" if photos > 1 else ""
    return [Choice("max_instances_per_image", most * photos, reason)]


def efficientdet_learning(config: EfficientDetConfig, steps: int) -> list[Choice]:
    """Chooses augmentation and box loss for the length of a run."""
    if steps >= SHORT_RUN:
        return []
    jitter = _MILD_JITTER if steps < _MODERATE_RUN else _MODERATE_JITTER
    reason = f"mild for {steps:,} steps"
    boxes = Choice("iou_loss_type", "ciou", "tighter boxes in a short run")
    bounds = ("jitter_min", "jitter_max")
    if any(map(config.is_decided, bounds)):
        return [boxes]
    return [
        *(Choice(name, value, reason) for name, value in zip(bounds, jitter, strict=True)),
        boxes,
    ]


def ssd_learning(steps: int) -> list[Choice]:
    """Chooses augmentation and weight decay for the length of a run."""
    if steps >= SHORT_RUN:
        return []
    reason = f"objects keep their size: {steps:,} steps are few"
    return [
        Choice("expand_prob", 0.0, reason),
        Choice("sample_crop", False, reason),
        Choice("weight_decay", 4e-5, "adam, a short run"),
        Choice("clip_gradients_norm", 10.0, "adam, a short run"),
    ]
