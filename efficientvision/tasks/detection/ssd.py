"""SSD detectors: a backbone, three coarser levels, top-down pyramid poolings, 1x1 heads."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from efficientvision.backbones.edge_network import BATCH_NORM
from efficientvision.backbones.encoder import encoder
from efficientvision.layers.bilinear import BilinearResize
from efficientvision.layers.edge_conv import CBR_NAMES, ConvBlock, LayerStack
from efficientvision.layers.grouped_conv import GroupedConv2D
from efficientvision.layers.normalization import BatchNorm
from efficientvision.layers.pyramid_pooling import SCALES, PyramidPooling
from efficientvision.registry import is_edge_network

PRIORS_PER_CELL = 6
_ENCODER = "base_net.basenet"
_REDUCTION = 5
# Channels of levels 6, 7 and 8.
_EXTRA_WIDTHS, _DICE_EXTRA_WIDTHS = (512, 256, 128), (1024, 512, 256)
# Level -> published name of its pyramid pooling (the map's side for a 300-pixel image), and the
# scales of its branches (DiCENet's have all five).
_POOLINGS = {
    6: ("bu_3x3_5x5", (2.0, 1.0)),
    5: ("bu_5x5_10x10", (2.0, 1.0, 0.5)),
    4: ("bu_10x10_19x19", (2.0, 1.0, 0.5, 0.25)),
    3: ("bu_19x19_38x38", (2.0, 1.0, 0.5, 0.25)),
}


def build_ssd(
    name: str,
    *,
    image_hw: tuple[int, int],
    num_classes: int = 21,
    batch_norm: Mapping[str, Any] | None = None,
    dtype: Any = None,
    **options: Any,
) -> keras.Model:
    """Builds an SSD detector.

    Args:
        name: Backbone name, e.g. `"espnetv2_s_2.0"`, `"efficientnet-b0"`.
        image_hw: Static input (height, width) in pixels.
        num_classes: C, including the background, class 0: 21 for PASCAL VOC, 81 for COCO.
        batch_norm: Arguments of every `BatchNorm`. The defaults are the published ones: momentum
            0.9 and epsilon 1e-5, or EfficientNet's own in an EfficientNet.
        dtype: Keras dtype policy, e.g. `"mixed_bfloat16"`; predictions stay float32.
        **options: Backbone options: `act_type` (EfficientNet), `build_hw` (DiCENet),
            `grad_checkpoint`.

    Returns:
        A functional `keras.Model`: images `[N, *image_hw, 3]`, normalised -> (confidences
        `[N, P, C]`, logits; locations `[N, P, 4]`, deltas x, y, width, height), float32. The P
        priors are those of `detection.priors.generate_priors(image_hw)`, in that order.

    Raises:
        ValueError: Fewer than two classes.

    Reference: Liu et al. 2016, https://arxiv.org/abs/1512.02325; Mehta et al. 2019,
    https://arxiv.org/abs/1906.03516, section 5.2. DiCENet detectors were never published; they
    follow the original's design with level 6 built on level 5's channels, and the 300-pixel layout
    for every image size.
    """
    if num_classes < 2:
        raise ValueError(f"num_classes includes the background: need 2 or more, got {num_classes}.")
    shared = {"batch_norm": {**BATCH_NORM, **(batch_norm or {})}, "dtype": dtype}
    images = keras.Input((*image_hw, 3), name="images")
    backbone = _backbone(name, batch_norm=batch_norm, dtype=dtype, **options)
    features = backbone(images)
    maps = {level: features[level] for level in (3, 4, 5)}
    dice = name.startswith("dicenet")
    widths = _DICE_EXTRA_WIDTHS if dice else _EXTRA_WIDTHS
    for level, width in zip((6, 7), widths, strict=False):
        maps[level] = _extra_level(level, maps[level - 1].shape[-1], width, shared)(maps[level - 1])
    last = _dice_last_level if dice else _last_level
    maps[8] = last(maps[7], widths[2], shared)
    for level, (pooling, scales) in _POOLINGS.items():
        fine = maps[level]
        resize = BilinearResize(fine.shape[1:3], name=f"{pooling}_resize", dtype=dtype)
        both = keras.layers.Concatenate(name=f"{pooling}_concat", dtype=dtype)(
            [resize(maps[level + 1]), fine]
        )
        maps[level] = PyramidPooling(
            fine.shape[-1],
            fine.shape[-1] // _REDUCTION,
            SCALES if dice else scales,
            name=f"base_net.{pooling}",
            **shared,
        )(both)
    outputs = _predictions(list(maps.values()), num_classes)
    model = keras.Model(images, outputs, name=name)
    _initialize(model, None if is_edge_network(name) else backbone)
    return model


def _backbone(name, **options):
    if name.startswith("espnetv2"):
        options |= {"reinforce_level5": True, "expand_level5": True}
    return encoder(name, _ENCODER, **options)


def _extra_level(level, channels, filters, shared):
    """Halves the size by a depthwise convolution, then projects to `filters` channels."""
    layers = [
        ConvBlock(channels, 3, 2, channels, names=CBR_NAMES, name="layer.0", **shared),
        ConvBlock(filters, 1, names=CBR_NAMES, name="layer.1", **shared),
    ]
    return LayerStack(layers, name=f"base_net.extra_level{level}", **shared)


def _last_level(inputs, filters, shared):
    """Reduces the whole map to one cell."""
    x = _Mean(name="extra_level8_mean", dtype=shared["dtype"])(inputs)
    x = GroupedConv2D(filters, 1, name="base_net.extra_level8.1", dtype=shared["dtype"])(x)
    return keras.layers.ReLU(name="extra_level8_relu", dtype=shared["dtype"])(x)


def _dice_last_level(inputs, filters, shared):
    """Reduces to one cell: halves the size twice and averages the rest (above 512 pixels)."""
    dtype = shared["dtype"]
    channels = inputs.shape[-1]
    x = GroupedConv2D(channels, 3, 2, name="base_net.extra_level8.0", dtype=dtype)(inputs)
    x = BatchNorm(name="base_net.extra_level8.1", dtype=dtype, **shared["batch_norm"])(x)
    x = keras.layers.ReLU(name="extra_level8_relu", dtype=dtype)(x)
    x = keras.layers.Conv2D(
        filters, 2, 2, "same", use_bias=False, name="base_net.extra_level8.3", dtype=dtype
    )(x)
    x = keras.layers.ReLU(name="extra_level8_relu_1", dtype=dtype)(x)
    return x if x.shape[1:3] == (1, 1) else _Mean(name="extra_level8_mean", dtype=dtype)(x)


@keras.saving.register_keras_serializable(package="efficientvision")
class _Mean(keras.layers.Layer):
    """Averages a map to one cell: `[N, H, W, C]` to `[N, 1, 1, C]`."""

    def call(self, inputs):
        return ops.mean(inputs, axis=(1, 2), keepdims=True)


def _predictions(maps, num_classes):
    """Returns (confidences, locations) in the order map (finest first), cell, prior."""
    outputs = []
    for layer, output, values in (
        ("cls_layers", "confidences", num_classes),
        ("loc_layers", "locations", 4),
    ):
        rows = []
        for index, features in enumerate(maps):
            conv = GroupedConv2D(
                PRIORS_PER_CELL * values,
                1,
                use_bias=True,
                name=f"{layer}.{index}",
                dtype="float32",
            )
            cells = features.shape[1] * features.shape[2]
            reshape = keras.layers.Reshape(
                (cells * PRIORS_PER_CELL, values), name=f"{output}_{index}", dtype="float32"
            )
            rows.append(reshape(conv(features)))
        outputs.append(keras.layers.Concatenate(axis=1, name=output, dtype="float32")(rows))
    return tuple(outputs)


def _initialize(model, leave):
    """Initialises every kernel from Glorot's uniform distribution, as the original does.

    Args:
        model: The detector.
        leave: A layer that keeps its own initialisation, or None.
    """
    kept = {id(variable) for variable in (leave.weights if leave is not None else ())}
    for variable in model.trainable_weights:
        if variable.name == "kernel" and id(variable) not in kept:
            draw = keras.initializers.GlorotUniform()  # Has its own seed.
            variable.assign(draw(variable.shape, variable.dtype))
