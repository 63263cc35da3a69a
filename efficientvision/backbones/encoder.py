"""Backbones by name, as the networks of every task stand on them."""

from collections.abc import Mapping
from typing import Any

import keras

from efficientvision.backbones.dicenet import DiCENet
from efficientvision.backbones.edge_network import EdgeNetwork
from efficientvision.backbones.efficientnet import EfficientNet
from efficientvision.backbones.espnetv2 import ESPNetv2
from efficientvision.backbones.shufflenetv2 import ShuffleNetv2
from efficientvision.registry import is_edge_network

EDGE_NETWORKS = {"espnetv2": ESPNetv2, "dicenet": DiCENet, "shufflenetv2": ShuffleNetv2}


def edge_network(name: str, /, **options: Any) -> EdgeNetwork:
    """The ESPNetv2, DiCENet or ShuffleNetv2 backbone of a name such as `"espnetv2_s_2.0"`.

    Args:
        name: family, `_s_` and the width.
        **options: of the network.
    """
    family, _, width = name.partition("_s_")
    return EDGE_NETWORKS[family](float(width), **options)


def efficientnet_backbone(
    architecture: str,
    *,
    act_type: str | None = None,
    grad_checkpoint: bool = False,
    batch_norm: Mapping[str, Any] | None = None,
    dtype: Any = None,
    max_level: int = 5,
    padding: str = "same",
) -> EfficientNet:
    """The EfficientNet backbone as the published detectors train it.

    Stochastic depth is off for b0 and 0.8 for every other member, lite0 included. `max_level` is
    the last level that is built; for `padding` see `EfficientNet`.
    """
    survival_prob = 1.0 if architecture == "efficientnet-b0" else 0.8
    return EfficientNet(
        architecture,
        act_type=act_type,
        survival_prob=survival_prob,
        grad_checkpoint=grad_checkpoint,
        batch_norm=batch_norm,
        dtype=dtype,
        max_level=max_level,
        padding=padding,
    )


def encoder(name: str, edge_name: str, **options: Any) -> keras.Layer:
    """Returns the layer image -> {level: features}, named as in the published weights.

    Args:
        name: Backbone name.
        edge_name: Layer name for an EdgeNets backbone; an EfficientNet has its own name.
        **options: Arguments of the backbone.
    """
    if is_edge_network(name):
        return edge_network(name, name=edge_name, **options)
    return efficientnet_backbone(name, **options)
