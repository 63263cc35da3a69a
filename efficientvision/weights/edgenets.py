"""Identifies networks of the EdgeNets by names and shapes of their variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from efficientvision.weights import edgenet_names as naming

# Family -> a vector with one value per channel of level 3. Order matters: DiCENet has some of
# ShuffleNetv2's names.
_LEVEL_3_VECTORS = {
    "espnetv2": "level3_0.act.weight",
    "dicenet": "level4.0.left_layer.0.cbr.1.weight",
    "shufflenetv2": "level4.0.layer_right.0.cbr.1.weight",
}
# Last convolutions of a segmentation decoder's pyramid poolings: of the first map, of the logits.
_FIRST_DECODER_WEIGHT = re.compile(r"(?:bu_dec_l1|eff_pool_16x16)\.merge_layer\.3\.weight$")
_LAST_DECODER_BIAS = re.compile(r"(?:bu_dec|eff_pool)_\w+\.merge_layer\.3\.bias$")


def identify_edge_network(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Identifies an EdgeNets network from names and shapes (in our layout).

    Returns:
        `backbone_name`, such as `"espnetv2_s_1.0"`, `task` and `num_classes` (with background
        where the task has one), each None if unknown, and the result of `identify_decoder`.
        Empty for another family.
    """
    prefix = naming.encoder_prefix(shapes)
    if prefix is None:
        return {}
    backbone = None
    for family, vector in _LEVEL_3_VECTORS.items():
        if prefix + vector in shapes:
            backbone = _of_width(family, shapes[prefix + vector][-1:])
            break
    told = {"backbone_name": backbone, "task": None, "num_classes": None}
    return {**told, **_classifier(shapes), **identify_decoder(shapes)}


def identify_decoder(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Identifies the decoder or the heads on an encoder of any backbone from names and shapes.

    Returns:
        `task` and `num_classes` of an SSD detector or a segmentation network; for the latter
        also `decoder`, hyper-parameters of `build_segmenter`. Empty if there is neither.
    """
    classes, boxes = shapes.get("cls_layers.0.bias"), shapes.get("loc_layers.0.bias")
    if classes and boxes:
        return {"task": "detection", "num_classes": classes[0] * 4 // max(boxes[0], 1)}
    last = [shape for name, shape in shapes.items() if _LAST_DECODER_BIAS.match(name)]
    if not last:
        return {}
    first = next((s for name, s in shapes.items() if _FIRST_DECODER_WEIGHT.match(name)), None)
    widths = {"decoder_width": first[-1] // 4, "pyramid_width": first[-2]} if first else {}
    return {
        "task": "segmentation",
        "num_classes": last[-1][0],
        "decoder": {**widths, "auxiliary": "auxiliary.bias" in shapes},
    }


def _of_width(family: str, level_3: tuple[int, ...]) -> str | None:
    from efficientvision.backbones.encoder import EDGE_NETWORKS  # Keras takes seconds.

    for width, channels in EDGE_NETWORKS[family].CHANNELS.items():
        if channels[2:3] == level_3:
            return f"{family}_s_{width}"
    return None


def _classifier(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    for bias in ("classifier.bias", "classifier.2.bias"):
        if shapes.get(bias):
            return {"task": "classification", "num_classes": shapes[bias][0]}
    return {}
