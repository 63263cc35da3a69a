"""Segmentation networks: a backbone, and a decoder from its level 4 up to the image size."""

from collections.abc import Mapping
from typing import Any

import keras

from efficientvision.backbones.edge_network import BATCH_NORM
from efficientvision.backbones.encoder import encoder
from efficientvision.layers.bilinear import BilinearResize
from efficientvision.layers.edge_conv import NormAct
from efficientvision.layers.grouped_conv import GroupedConv2D
from efficientvision.layers.pyramid_pooling import PointwiseConv, PyramidPooling

# The decoder's levels in order. It starts where the encoder ends.
_LEVELS = (4, 3, 2, 1)
_AUXILIARY_LEVEL = 3
_EDGE_ENCODER = "base_net"


def build_segmenter(
    name: str,
    *,
    image_hw: tuple[int, int],
    num_classes: int = 21,
    decoder_width: int = 16,
    pyramid_width: int | None = None,
    auxiliary: bool = False,
    batch_norm: Mapping[str, Any] | None = None,
    dtype: Any = None,
    **options: Any,
) -> keras.Model:
    """Builds a network that predicts the class of every pixel.

    Args:
        name: Backbone name, e.g. `"espnetv2_s_2.0"`, `"efficientnet-b0"`; its levels 1 to 4
            are built.
        image_hw: Static input (height, width) in pixels.
        num_classes: C, including a background if the data set has one: 21 for PASCAL VOC, 20 for
            Cityscapes. Otherwise the two networks are identical.
        decoder_width: The decoder's map of level l has l times this many channels (level 1: C).
            Published: 16; the original uses 32 for COCO.
        pyramid_width: Channels per scale in the pyramid poolings; None uses half the classes, at
            most `decoder_width`, as published. To start from published weights with different
            classes, pass the published 10.
        auxiliary: Adds a second output for training, from the decoder's map of stride 8. Published
            networks have neither the output nor weights for it; files without these weights load
            anyway, and a network without it can load weights of one with it.
        batch_norm: Arguments of every `BatchNorm`. The defaults are the published ones: momentum
            0.9 and epsilon 1e-5, or EfficientNet's own if that is the backbone.
        dtype: Keras dtype policy, e.g. `"mixed_bfloat16"`; logits stay float32.
        **options: Backbone options: `grad_checkpoint`, `act_type` (EfficientNet), `build_hw`
            (DiCENet).

    Returns:
        A functional `keras.Model`: images `[N, *image_hw, 3]`, normalised -> logits
        `[N, *image_hw, C]`, float32. With `auxiliary` a dict: `"logits"`, and `"auxiliary"` of the
        same shape, whose loss is added to the main one's.

    Raises:
        ValueError: A width or the number of classes is below 1.

    Reference: Mehta et al. 2019, https://arxiv.org/abs/1906.03516, section 5.3; ESPNetv2's
    segmentation networks have the same decoder under other names.
    """
    if pyramid_width is None:
        pyramid_width = max(1, min(num_classes // 2, decoder_width))
    if min(num_classes, decoder_width, pyramid_width) < 1:
        raise ValueError(
            "num_classes, decoder_width and pyramid_width must be 1 or more, got "
            f"{num_classes}, {decoder_width} and {pyramid_width}."
        )
    images = keras.Input((*image_hw, 3), name="images")
    options |= {"max_level": _LEVELS[0], "batch_norm": batch_norm, "dtype": dtype}
    features = encoder(name, _EDGE_ENCODER, **options)(images)
    shared = {"batch_norm": {**BATCH_NORM, **(batch_norm or {})}, "dtype": dtype}
    decoded, x = {}, None
    for level in _LEVELS:
        pool, project, merge = _layer_names(name, level)
        x = features[level] if x is None else _merged(features[level], x, project, merge, shared)
        last = level == _LEVELS[-1]
        decoded[level] = x = PyramidPooling(
            num_classes if last else decoder_width * level,
            pyramid_width,
            final_activation=not last,
            name=pool,
            **shared,
        )(x)
    logits = BilinearResize(image_hw, name="logits", dtype="float32")(x)
    if not auxiliary:
        return keras.Model(images, logits, name=name)
    x = GroupedConv2D(num_classes, 1, use_bias=True, name="auxiliary", dtype="float32")(
        decoded[_AUXILIARY_LEVEL]
    )
    x = BilinearResize(image_hw, name="auxiliary_logits", dtype="float32")(x)
    return keras.Model(images, {"logits": logits, "auxiliary": x}, name=name)


def segmenting_detector(detector: keras.Model) -> keras.Model:
    """Turns an EfficientDet with a segmentation head into a segmentation network.

    Args:
        detector: Result of `efficientdet` with that head, alone or with the detection head.

    Returns:
        Like `build_segmenter`: the head's logits, resized from half the finest level's stride to
        the image size. With the detection head, a dict of `"logits"` and the original
        `"detections"`.
    """
    image_hw = detector.input_shape[1:3]
    outputs = detector.output
    *detections, logits = outputs if isinstance(outputs, (tuple, list)) else [outputs]
    logits = BilinearResize(image_hw, name="logits", dtype="float32")(logits)
    if detections:
        logits = {"logits": logits, "detections": tuple(detections)}
    return keras.Model(detector.input, logits, name=detector.name)


def _layer_names(name, level):
    """Returns the published names of a level's pyramid pooling, projection and batch norm."""
    if name.startswith("dicenet"):
        # Side of the map for a 256-pixel image.
        side = "x".join(2 * [str(256 // 2**level)])
        return f"eff_pool_{side}", f"proj_enc_{side}", f"bu_br_{side}"
    step = f"l{_LEVELS.index(level) + 1}"
    return f"bu_dec_{step}", f"merge_enc_dec_{step}", f"bu_br_{step}"


def _merged(encoded, decoded, project, merge, shared):
    """Projects the encoder's map and adds the decoder's coarser map to it."""
    dtype = shared["dtype"]
    encoded = PointwiseConv(decoded.shape[-1], name=project, **shared)(encoded)
    resize = BilinearResize(encoded.shape[1:3], name=f"{merge}_resize", dtype=dtype)
    added = keras.layers.Add(name=f"{merge}_add", dtype=dtype)([encoded, resize(decoded)])
    return NormAct(names=("0", "1"), name=merge, **shared)(added)
