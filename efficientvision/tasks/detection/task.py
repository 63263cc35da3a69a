"""The detection tasks: EfficientDet, and SSD on any backbone."""

from __future__ import annotations

import logging
import types
from collections.abc import Callable, Mapping
from typing import Any

import keras

from efficientvision.configs.run_options import MODERN_RECIPE, RunOptions
from efficientvision.data.class_order import network_names
from efficientvision.data.labels import BUILTIN
from efficientvision.errors import UserError
from efficientvision.preflight.findings import Finding
from efficientvision.preflight.record_scan import RecordScan
from efficientvision.registry import SSD_IMAGE_SIZE, is_ssd
from efficientvision.tasks import tta_options
from efficientvision.tasks.build import build_by_name
from efficientvision.tasks.default_values import size_text
from efficientvision.tasks.detection.anchor_checks import anchor_findings, prior_findings
from efficientvision.tasks.detection.build import build_configured_ssd, build_efficientdet
from efficientvision.tasks.detection.data_defaults import EfficientDetDefaults, SsdDefaults
from efficientvision.tasks.detection.detection_task import DetectionTask
from efficientvision.tasks.detection.efficientdet_config import EfficientDetConfig
from efficientvision.tasks.detection.efficientdet_training import EfficientDetTrainingTask
from efficientvision.tasks.detection.modern_recipe import modern_choices
from efficientvision.tasks.detection.multi_scale import STEPS_PER_DRAW, check_sizes
from efficientvision.tasks.detection.ssd import build_ssd
from efficientvision.tasks.detection.ssd_config import SsdConfig
from efficientvision.tasks.detection.ssd_training import SsdTrainingTask
from efficientvision.tasks.loaded_model import LoadedModel
from efficientvision.tasks.setup import (
    apply_published_size,
    check_freeze,
    count_images,
    factor_beside_backbone,
    take_from_run,
    take_num_classes,
)
from efficientvision.weights.identify import Identified, apply_checkpoint_architecture, identify

log = logging.getLogger(__name__)

# Option `dataset` of an SSD -> hyper-parameters. COCO records use COCO's ids, 1 to 90.
DATASETS = {
    "pascal": {"num_classes": 21, "label_map": "voc"},
    "coco": {"num_classes": 91, "label_map": "coco", "voc_metrics": False},
}
# Classes of networks for these data sets: EdgeNets' number COCO's classes without gaps.
_NUM_CLASSES = {"pascal": (21,), "coco": (91, 81)}
# Classes of the published detectors, recognised by their number.
COCO_CLASSES = 90
_PUBLISHED_NAMES = {20: BUILTIN["voc"], 80: network_names(BUILTIN["coco"])}


class EfficientDetTask(DetectionTask):
    """EfficientDet."""

    family = "efficientdet"
    data_defaults = EfficientDetDefaults()
    num_classes_from_data = False  # Defaults to the published 90, as the original commands expect.
    training_class = EfficientDetTrainingTask
    recipes = types.MappingProxyType({MODERN_RECIPE: modern_choices})
    parts = {
        "efficientnet": "backbone",
        "resample_p": "extra levels",
        "fpn_cells": "feature fusion",
        "class_net": "class head",
        "box_net": "box head",
        "segmentation_head": "segmentation head",
    }
    rest_is_backbone = False
    counted_in_summary = "backbone+fpn+box params/flops"
    architecture = (
        "fpn_name",
        "fpn_weight_method",
        "fpn_cell_repeats",
        "fpn_num_filters",
        "box_class_repeats",
        "num_classes",
        "num_scales",
        "aspect_ratios",
        "padding",
        "fpn_resizing",
    )

    def build(self, config: EfficientDetConfig) -> keras.Model:
        return build_efficientdet(config)

    def follow_checkpoint(
        self, config: EfficientDetConfig, found: Identified, path: str
    ) -> list[str]:
        return [
            *apply_published_size(config, path),
            *apply_checkpoint_architecture(config, found),
        ]

    def backbone_name(self, config: EfficientDetConfig) -> str:
        return config.backbone_name

    def is_whole(self, config: EfficientDetConfig, found: Identified) -> bool:
        if found.fpn_name is None or found.backbone_name != config.backbone_name:
            return False
        return config.name in found.candidates or not found.candidates

    def published_names(
        self, config: EfficientDetConfig, named: dict[int, str] | None, *, in_run: bool
    ) -> dict[int, str]:
        if named is not None:
            return named
        return dict(BUILTIN["coco"]) if config.num_classes == COCO_CLASSES else {}

    def head_names(self, found: Identified) -> dict[int, str]:
        return dict(BUILTIN["coco"]) if found.num_classes == COCO_CLASSES else {}

    def summary(self, config: EfficientDetConfig) -> str:
        return f"fusion {config.fpn_name or 'bifpn'}"

    def check_options(self, options: RunOptions) -> None:
        super().check_options(options)
        if options.dataset:
            raise UserError(
                f"`dataset={options.dataset}` does not apply to EfficientDet. Remove it, or set "
                "`task=classification` and a classifier's `model_name`, or for an SSD "
                "`task=detection` and a backbone's."
            )

    def check_config(self, options: RunOptions, config: EfficientDetConfig) -> None:
        if "segmentation" in config.heads:
            raise UserError(
                "A detector's segmentation head can be built, loaded and run, but not trained: "
                "train with heads=object_detection."
            )

    def build_task(
        self, options: RunOptions, config: EfficientDetConfig, names: Mapping[int, str]
    ) -> EfficientDetTrainingTask:
        if options.mode != "eval" and config.multi_scale:
            check_sizes(config.image_hw, config.multi_scale)
            sizes = ", ".join(map(size_text, config.training_sizes))
            log.info(
                f"Input sizes of the training steps (multi_scale={config.multi_scale:g}): {sizes}. "
                f"One is drawn every {STEPS_PER_DRAW} steps, and compiled when it is first drawn."
            )
        return super().build_task(options, config, names)

    def fit_to_checkpoint(self, config: EfficientDetConfig, ckpt: str) -> list[str]:
        lines = apply_published_size(config, ckpt)
        lines += apply_checkpoint_architecture(config, identify(ckpt))
        return [*lines, *take_from_run(config, ckpt, "anchor_scale")]

    def fit_to_data(self, options: RunOptions, config: EfficientDetConfig | None) -> RunOptions:
        return options  # The published program has numbers of its own, and counts nothing.

    def anchor_findings(
        self, scan: RecordScan, config: EfficientDetConfig, names: Mapping[int, str]
    ) -> list[Finding]:
        return anchor_findings(scan, config.anchor_options, names)


class SsdTask(DetectionTask):
    """SSD."""

    family = "ssd"
    training_class = SsdTrainingTask
    data_defaults = SsdDefaults()
    counts_background = True
    usual_rate = (0.01, 192)  # Before warm restarts.
    parts = {
        "efficientnet": "backbone",
        "base_net.basenet": "backbone",
        "base_net.extra_level": "extra levels",
        "base_net.bu_": "pyramid poolings",
        "bu_": "pyramid poolings",
        "extra_level": "extra levels",
        "cls_layers": "class heads",
        "loc_layers": "box heads",
    }
    architecture = ("num_classes", "act_type", "build_size")

    def build(self, config: SsdConfig) -> keras.Model:
        return build_configured_ssd(config)

    def build_named(self, name: str, hyper_parameters: dict[str, Any], **top: Any) -> keras.Model:
        return build_by_name(
            build_ssd,
            name,
            hyper_parameters,
            task="detection",
            known=("num_classes", "image_size", "dtype"),
            image_size=SSD_IMAGE_SIZE,
            least_classes=2,  # The background and at least one class.
            **top,
        )

    def follow_checkpoint(self, config: SsdConfig, found: Identified, path: str) -> list[str]:
        return [*apply_published_size(config, path), *take_num_classes(config, found)]

    def published_names(
        self, config: SsdConfig, named: dict[int, str] | None, *, in_run: bool
    ) -> dict[int, str]:
        if named is not None:
            return named
        # A training run may have as many classes as PASCAL VOC by chance.
        return {} if in_run else _PUBLISHED_NAMES.get(config.num_object_classes, {})

    def head_names(self, found: Identified) -> dict[int, str]:
        return _PUBLISHED_NAMES.get((found.num_classes or 0) - 1, {})

    def summary(self, config: SsdConfig) -> str:
        return f"SSD, {config.num_object_classes} classes and the background"

    def check_options(self, options: RunOptions) -> None:
        super().check_options(options)
        if options.dataset not in ("", *DATASETS):
            raise UserError(
                f"`dataset={options.dataset}` does not apply to SSD: use {' or '.join(DATASETS)}."
            )
        if tta_options.asks_for_scales(options):
            raise UserError(
                f"`test_scales={options.test_scales}` does not apply to SSD, whose photos always "
                "fill the input: remove it (`test_flip` works)."
            )

    def fit_to_checkpoint(self, config: SsdConfig, ckpt: str) -> list[str]:
        return take_from_run(config, ckpt, "prior_min_scale", "prior_max_scale")

    def check_config(self, options: RunOptions, config: SsdConfig) -> None:
        check_freeze(config, "an SSD")

    def dataset_changes(self, options: RunOptions) -> dict | None:
        return DATASETS.get(options.dataset)

    def fit_to_data(self, options: RunOptions, config: SsdConfig | None) -> RunOptions:
        """Fills in the numbers of images and classes from the records."""
        options = count_images(options, options.val_file_pattern)
        if config is None or config.is_set("num_classes"):
            return options
        names = self.class_names(config, options.train_file_pattern, options.val_file_pattern)
        if names:
            config.override({"num_classes": self.data_defaults.num_classes(names)})
            log.info(
                f"num_classes={config.num_classes} (from the class names beside the records: "
                f"{max(names)} and the background)."
            )
        return options

    def rate_factor(self, config: SsdConfig) -> Callable[[str], float] | None:
        """Multiplies the learning rate of everything but the backbone by `lr_mult`."""
        return factor_beside_backbone(config.lr_mult)

    def load(self, options: RunOptions) -> LoadedModel:
        loaded = super().load(options)
        count = loaded.config.num_classes
        known = _NUM_CLASSES.get(options.dataset, (count,))
        if count not in known:
            raise UserError(
                f"`dataset={options.dataset}` has {known[0]} classes with the background, but the "
                f"network in {options.model_dir} has {count}: remove `dataset`."
            )
        return loaded

    def anchor_findings(
        self, scan: RecordScan, config: SsdConfig, names: Mapping[int, str]
    ) -> list[Finding]:
        return prior_findings(scan, config.anchor_options, names)


_EFFICIENTDET, _SSD = EfficientDetTask(), SsdTask()


def task_for(model_name: str) -> DetectionTask:
    """Returns the task of a detector: SSD if it is named after a backbone."""
    return _SSD if is_ssd(model_name, "detection") else _EFFICIENTDET
