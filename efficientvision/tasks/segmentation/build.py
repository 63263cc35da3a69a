"""Segmentation networks from their configurations: EdgeNets' decoder, or an EfficientDet's head."""

from __future__ import annotations

import keras

from efficientvision.tasks.build import batch_norm_options, family_options
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.detection.build import build_efficientdet
from efficientvision.tasks.detection.efficientdet_config import EfficientDetConfig
from efficientvision.tasks.segmentation.config import SegmentationConfig
from efficientvision.tasks.segmentation.network import build_segmenter, segmenting_detector


def build_segmentation(config: SegmentationConfig) -> keras.Model:
    """The segmentation network of a configuration, with random weights."""
    if config.is_detector:
        return segmenting_detector(build_efficientdet(_detector_config(config)))
    return build_segmenter(
        config.name,
        image_hw=config.image_hw,
        num_classes=config.num_classes,
        decoder_width=config.decoder_width,
        pyramid_width=config.pyramid_width,
        auxiliary=config.auxiliary,
        grad_checkpoint=config.grad_checkpoint,
        batch_norm=batch_norm_options(config),
        dtype=config.dtype_policy,
        **family_options(config),
    )


def _detector_config(config: SegmentationConfig) -> EfficientDetConfig:
    """The configuration of the EfficientDet behind a segmentation network."""
    shared = (
        "image_size",
        "heads",
        "fpn_name",
        "grad_checkpoint",
        "bn_momentum",
        "bn_epsilon",
        "sync_bn",
        "is_training_bn",
        "mixed_precision",
    )
    classes = {"num_classes": config.detector_classes, "seg_num_classes": config.num_classes}
    values = {name: getattr(config, name) for name in shared} | classes
    if config.act_type is not None:
        values["act_type"] = config.act_type
    return get_config(config.name, values, task="detection")
