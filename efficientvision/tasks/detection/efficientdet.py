"""EfficientDet: a detector made of backbone, feature fusion and heads."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from efficientvision.layers import fusion_graphs
from efficientvision.layers.fusion import FusionCell, FusionStack
from efficientvision.layers.prediction_heads import PredictionHead
from efficientvision.layers.resample import Resample
from efficientvision.tasks.detection.segmentation_head import SegmentationHead

FUSIONS = ("bifpn", "qufpn", "vfpn")


def efficientdet(
    *,
    name: str,
    backbone: keras.Layer,
    image_hw: tuple[int, int],
    num_classes: int,
    anchors_per_location: int = 9,
    min_level: int = 3,
    max_level: int = 7,
    fusion: str = "bifpn",
    fpn_num_filters: int = 64,
    fpn_cell_repeats: int = 3,
    fpn_weight_method: str = "fastattn",
    box_class_repeats: int = 3,
    act_type: str = "swish",
    separable_conv: bool = True,
    apply_bn_for_resampling: bool = True,
    conv_after_downsample: bool = False,
    conv_bn_act_pattern: bool = False,
    padding: str = "same",
    resizing: str = "nearest",
    survival_prob: float | None = None,
    heads: Sequence[str] = ("object_detection",),
    seg_num_classes: int = 3,
    grad_checkpoint: bool = False,
    batch_norm: Mapping[str, Any] | None = None,
    dtype: Any = None,
) -> keras.Model:
    """Builds an EfficientDet.

    Args:
        name: Model name.
        backbone: Layer that maps images to `{level: features}`; levels above its last are
            made by pooling.
        image_hw: Static input (height, width) in pixels.
        num_classes: K, without the background.
        anchors_per_location: A, the number of anchors per cell.
        min_level, max_level: Pyramid levels; level l has stride 2**l.
        fusion: One of `FUSIONS`.
        fpn_num_filters: Channels of the fused maps and of the heads.
        fpn_cell_repeats: Number of cells, in sequence (BiFPN, QuFPN) or in parallel (VFPN).
        fpn_weight_method: See `layers.fusion.FusionNodeLayer`.
        box_class_repeats: Hidden convolutions per head.
        act_type, separable_conv, apply_bn_for_resampling, conv_after_downsample,
            conv_bn_act_pattern, padding, resizing: See the layers; the backbone has its own
            padding.
        survival_prob: Stochastic depth of the heads' residuals; None builds none.
        heads: Any of `"object_detection"`, `"segmentation"`.
        seg_num_classes: Classes of the segmentation head.
        grad_checkpoint: Recompute activations of fusion nodes and detection heads in the backward
            pass (less memory, more time, same results); the backbone has its own option.
        batch_norm: Arguments of every `BatchNorm`.
        dtype: Keras dtype policy, e.g. `"mixed_bfloat16"`; predictions stay float32.

    Returns:
        A functional `keras.Model`: images `[N, *image_hw, 3]` -> (class_outputs, box_outputs),
        lists from the finest level, logits `[N, h, w, A * K]` and box deltas `[N, h, w, A * 4]`;
        with both heads a third output: segmentation logits; with the segmentation head alone
        only those.

    Raises:
        ValueError: An unknown fusion or head, or a level that the backbone does not have.

    Reference: Tan, Pang, Le 2020, https://arxiv.org/abs/1911.09070, section 4.
    """
    unknown = set(heads) - {"object_detection", "segmentation"}
    if unknown or not heads:
        raise ValueError(
            f"heads must name 'object_detection', 'segmentation' or both, got {list(heads)}."
        )
    shared = {"batch_norm": batch_norm, "dtype": dtype}
    images = keras.Input((*image_hw, 3), name="images")
    pyramid = _pyramid(
        backbone(images),
        min_level,
        max_level,
        fpn_num_filters,
        apply_bn=apply_bn_for_resampling,
        conv_after_downsample=conv_after_downsample,
        padding=padding,
        resizing=resizing,
        **shared,
    )
    node_options = {
        "weight_method": fpn_weight_method,
        "act_type": act_type,
        "separable_conv": separable_conv,
        "conv_bn_act_pattern": conv_bn_act_pattern,
        "apply_bn_for_resampling": apply_bn_for_resampling,
        "conv_after_downsample": conv_after_downsample,
        "padding": padding,
        "resizing": resizing,
    }
    levels = {"min_level": min_level, "max_level": max_level, "filters": fpn_num_filters}
    shared_by_cells = {"node_options": node_options, "grad_checkpoint": grad_checkpoint}
    common = {**levels, **shared_by_cells, "name": "fpn_cells", **shared}
    if fusion == "vfpn":
        nodes = fusion_graphs.vfpn(min_level, max_level, fpn_cell_repeats)
        pyramid = FusionCell(nodes, **common)(pyramid)
    else:
        nodes = _cell_graph(fusion, min_level, max_level)
        pyramid = FusionStack(fpn_cell_repeats, nodes, **common)(pyramid)

    outputs = []
    if "object_detection" in heads:
        for kind, channels in (("class", num_classes), ("box", 4)):
            head = PredictionHead(
                kind,
                anchors_per_location * channels,
                fpn_num_filters,
                box_class_repeats,
                min_level,
                act_type,
                separable_conv,
                survival_prob,
                grad_checkpoint,
                name=f"{kind}_net",
                **shared,
            )
            outputs.append(head(pyramid))
    if "segmentation" in heads:
        head = SegmentationHead(
            seg_num_classes,
            fpn_num_filters,
            len(pyramid),
            act_type,
            name="segmentation_head",
            **shared,
        )
        outputs.append(head(pyramid))
    return keras.Model(images, outputs[0] if len(outputs) == 1 else tuple(outputs), name=name)


def _cell_graph(fusion, min_level, max_level):
    if fusion not in FUSIONS:
        raise ValueError(f"Unknown fusion {fusion!r}; expected one of {FUSIONS}.")
    return {"bifpn": fusion_graphs.bifpn, "qufpn": fusion_graphs.qufpn}[fusion](
        min_level, max_level
    )


def _pyramid(features, min_level, max_level, filters, **options):
    """Selects the backbone's levels and pools further ones from the last."""
    levels = {level: x for level, x in features.items() if isinstance(level, int)}
    if min_level not in levels:
        raise ValueError(f"The backbone has levels {sorted(levels)}, but not {min_level}.")
    pyramid = [levels[level] for level in range(min_level, max_level + 1) if level in levels]
    for level in range(min_level + len(pyramid), max_level + 1):
        resample = Resample(filters, None, name=f"resample_p{level}", **options)
        pyramid.append(resample(pyramid[-1]))
    return pyramid
