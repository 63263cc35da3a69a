"""Image classifiers of the EfficientNet family."""

import keras

from efficientvision.backbones.efficientnet import EfficientNet


def efficientnet_classifier(
    architecture, *, image_hw, num_classes=1000, act_type=None, batch_norm=None, dtype=None
):
    """Builds an EfficientNet classifier.

    Args:
        architecture: e.g. `"efficientnet-b0"`.
        image_hw: (height, width) of the input; None for either leaves it open.
        num_classes: classes.
        act_type: activation, None for the published one.
        batch_norm: arguments of every `BatchNorm`.
        dtype: Keras dtype policy.

    Returns:
        A functional `keras.Model`: images `[N, H, W, 3]`, normalised -> logits
        `[N, num_classes]`, float32.

    Reference: Tan and Le 2019, https://arxiv.org/abs/1905.11946.
    """
    images = keras.Input((*image_hw, 3), name="images")
    network = EfficientNet(
        architecture,
        act_type=act_type,
        num_classes=num_classes,
        batch_norm=batch_norm,
        dtype=dtype,
    )
    # The head lives in the backbone's scope, as its variables do in the published checkpoints.
    return keras.Model(images, network(images)["logits"], name=architecture)
