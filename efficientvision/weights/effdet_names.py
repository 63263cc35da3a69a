"""Names of effdet's tensors (EfficientDet for PyTorch) in the published names.

effdet has ports of the published networks, `tf_efficientdet_*`, which have ours' arithmetic, and
networks of its author. Of the latter, those on EfficientNet-B0 to B3 are ours with PyTorch's
padding; their convolutions before a batch norm have no bias, by which they are known.

Reference: https://github.com/rwightman/efficientdet-pytorch (Apache-2.0).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from efficientvision import files
from efficientvision.layers.fusion_graphs import FusionNode, bifpn, qufpn
from efficientvision.weights.efficientnet_shapes import NORM_LEAVES, find_architecture
from efficientvision.weights.foreign_network import Foreign, Made, Shapes, our_shapes
from efficientvision.weights.preprocessing import IMAGENET, INCEPTION, Preprocessing
from efficientvision.weights.strangers import Refused
from efficientvision.weights.timm_names import timm_names

_BACKBONE = "backbone."
_MIN_LEVEL = 3
_MAX_HINT_BYTES = 1 << 16
# The epsilons of the backbones' batch norms: TensorFlow's, which ours have, and PyTorch's.
_EPSILON, _TORCH_EPSILON = 1e-3, 1e-5
_FUSION = re.compile(r"^fpn\.cell\.(\d{1,3})\.fnode\.(\d{1,3})\.(.+)$")
_NODE_RESAMPLE = re.compile(r"^combine\.resample\.(\d{1,3})\.conv\.(conv|bn)\.(\w+)$")
_NODE_CONV = re.compile(r"^after_combine\.conv\.(conv|conv_dw|conv_pw|bn)\.(\w+)$")
_EXTRA_LEVEL = re.compile(r"^fpn\.resample\.(\d{1,3})\.conv\.(conv|bn)\.(\w+)$")
_HEAD_CONV = re.compile(
    r"^(class|box)_net\.(?:conv_rep\.(\d{1,3})|predict)\.(conv|conv_dw|conv_pw)\.(\w+)$"
)
# With `.bn` the repeats come first, without it the levels.
_HEAD_NORM = re.compile(r"^(class|box)_net\.bn_rep\.(\d{1,3})\.(\d{1,3})\.(bn\.)?(\w+)$")
_EDGE_WEIGHTS = "combine.edge_weights"
_KERNELS = {"conv": "kernel", "conv_dw": "depthwise_kernel", "conv_pw": "pointwise_kernel"}
# A name in another backbone -> the networks of effdet that have it.
_OTHER_BACKBONES = (
    (re.compile(r"layer1\."), "a ResNet, as effdet's resdet50"),
    (re.compile(r"stages_?"), "a CSPNet, as effdet's cspresdet50, cspresdext50 and cspdarkdet53"),
    (re.compile(r"blocks\.\d+\.\d+\.conv_(?:dw|pw|pwl)\.0\."), "a MixNet, as effdet's mixdet"),
    (
        re.compile(r"blocks\.0\.\d+\.conv(?:_exp)?\."),
        "an EfficientNetV2 or one for EdgeTPU, as effdet's efficientdetv2 and efficientdet_es",
    ),
    (re.compile(r"blocks\."), "none of ours, as effdet's mobiledet"),
)
_MODEL_IN_NAME = re.compile(r"(tf_)?efficientdet_((?:lite|[dq])\d(?:x(?![a-z]))?)((?:_ap)(?![a-z]))?")
# effdet's aspect ratios, which differ from 1, 2 and 1/2 by 1 % of a side.
_ASPECT_RATIOS = ((1.0, 1.0), (1.4, 0.7), (0.7, 1.4))


def recognise(path: str, shapes: Shapes) -> Foreign | None:
    """An EfficientDet of effdet; see `foreign.recognise`.

    Raises:
        Refused: It is a network of effdet that is none of ours.
    """
    if not any(map(_FUSION.match, shapes)) or "box_net.predict.conv_pw.weight" not in shapes:
        return None
    network = _network(path, shapes)
    names = {name: ours for name in shapes if (ours := _published(name, network)) is not None}
    names |= network.backbone_names
    made = dict(_edge_weights(shapes, network))
    if not network.is_port:
        made |= dict(_missing_biases(shapes, names))
        made |= dict(_rescaled_gammas(shapes, network.backbone_names))
        made_from = {source for value in made.values() for source in value.sources}
        names = {name: ours for name, ours in names.items() if ours not in made}
        names |= {}
    return Foreign(
        names,
        made=made,
        model=network.model,
        settings=network.settings,
        preprocessing=network.preprocessing,
        notes=tuple(network.notes()),
    )
