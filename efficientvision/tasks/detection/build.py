"""Builds detectors from their configurations."""

from __future__ import annotations

import keras

from efficientvision.backbones.encoder import edge_network, efficientnet_backbone
from efficientvision.registry import is_edge_network
from efficientvision.tasks.build import batch_norm_options, family_options
from efficientvision.tasks.detection.efficientdet import efficientdet
from efficientvision.tasks.detection.efficientdet_config import EfficientDetConfig
from efficientvision.tasks.detection.ssd import build_ssd
from efficientvision.tasks.detection.ssd_config import SsdConfig


def build_efficientdet(config: EfficientDetConfig) -> keras.Model:
    """Builds the EfficientDet of a configuration, with random weights."""
    return efficientdet(
        name=config.name,
        backbone=_backbone(config),
        image_hw=config.image_hw,
        num_classes=config.num_classes,
        anchors_per_location=config.anchors_per_location,
        min_level=config.min_level,
        max_level=config.max_level,
        fusion=config.fpn_name or "bifpn",
        fpn_num_filters=config.fpn_num_filters,
        fpn_cell_repeats=config.fpn_cell_repeats,
        fpn_weight_method=config.fpn_weight_method or "fastattn",
        box_class_repeats=config.box_class_repeats,
        act_type=config.act_type,
        separable_conv=config.separable_conv,
        apply_bn_for_resampling=config.apply_bn_for_resampling,
        conv_after_downsample=config.conv_after_downsample,
        conv_bn_act_pattern=config.conv_bn_act_pattern,
        padding=config.padding,
        resizing=config.fpn_resizing,
        survival_prob=config.survival_prob,
        heads=config.heads,
        seg_num_classes=config.seg_num_classes,
        grad_checkpoint=config.grad_checkpoint,
        batch_norm=batch_norm_options(config),
        dtype=config.dtype_policy,
    )


def build_configured_ssd(config: SsdConfig) -> keras.Model:
    """Builds the SSD of a configuration, with random weights."""
    return build_ssd(
        config.name,
        image_hw=config.image_hw,
        num_classes=config.num_classes,
        grad_checkpoint=config.grad_checkpoint,
        batch_norm=batch_norm_options(config),
        dtype=config.dtype_policy,
        **family_options(config),
    )


def _backbone(config: EfficientDetConfig) -> keras.Layer:
    batch_norm = batch_norm_options(config)
    if not is_edge_network(config.backbone_name):
        return efficientnet_backbone(
            config.backbone_name,
            act_type=config.act_type,
            grad_checkpoint=config.grad_checkpoint,
            batch_norm=batch_norm,
            dtype=config.dtype_policy,
            padding=config.padding,
        )
    # Their published statistics need their own epsilon, and momentum unless one is set.
    own = {name: batch_norm[name] for name in ("synchronized", "frozen")}
    if config.is_set("bn_momentum"):
        own["momentum"] = config.bn_momentum
    return edge_network(
        config.backbone_name,
        grad_checkpoint=config.grad_checkpoint,
        batch_norm=own,
        dtype=config.dtype_policy,
    )
