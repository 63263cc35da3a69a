"""Image classifiers of every family."""

from typing import Any

import keras

from efficientvision.backbones.efficientnet import EfficientNet
from efficientvision.backbones.encoder import edge_network
from efficientvision.registry import is_edge_network


def build_classifier(
    name: str,
    *,
    image_hw: tuple[int, int],
    num_classes: int = 1000,
    dropout_rate: float | None = None,
    include_top: bool = True,
    **options: Any,
) -> keras.Model:
    """Builds a classifier.

    Args:
        name: Model name, e.g. `"efficientnet-b0"`, `"espnetv2_s_1.0"`.
        image_hw: Input (height, width); None leaves a side open (not for DiCENet).
        num_classes: Number of classes.
        dropout_rate: Dropout before the last layer; None uses the published rate.
        include_top: If False, return features instead of logits.
        **options: Network options: `batch_norm` (arguments of every `BatchNorm`), `dtype` (Keras
            dtype policy), `act_type` (EfficientNet), `build_hw` (DiCENet).

    Returns:
        A functional `keras.Model`: images `[N, H, W, 3]`, normalised -> logits
        `[N, num_classes]`, float32; without the top `{level: features}`, level l at stride
        2**l.

    Reference: the networks' own.
    """
    images = keras.Input((*image_hw, 3), name="images")
    num_classes = num_classes if include_top else 0
    options = {"num_classes": num_classes, "dropout_rate": dropout_rate, **options}
    if is_edge_network(name):
        network = edge_network(name, **options)
    else:
        network = EfficientNet(name, **options)
    if not include_top:
        return keras.Model(images, network(images), name=name)
    # The head is in the network's scope because its variables are in the published files.
    return keras.Model(images, network(images)["logits"], name=name)
