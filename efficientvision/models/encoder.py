"""The backbone of a network that stands on any of them."""

from efficientvision.models.classifier import EDGE_NETWORKS, edge_network
from efficientvision.models.efficientdet import efficientnet_backbone


def is_edge_network(name):
    """Whether a backbone's name is of the EdgeNets, e.g. `"espnetv2_s_2.0"`."""
    return name.partition("_s_")[0] in EDGE_NETWORKS


def encoder(name, edge_name, **options):
    """The layer image -> {level: features}, under the name that published weights have for it.

    Args:
        name: of the backbone.
        edge_name: of the layer where the backbone is one of the EdgeNets; an EfficientNet is
            called after itself.
        **options: of the backbone.
    """
    if is_edge_network(name):
        return edge_network(name, name=edge_name, **options)
    return efficientnet_backbone(name, **options)
