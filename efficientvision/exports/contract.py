"""What a program without this library must know to use an exported file: plain JSON, no code.

`docs/mobile.md` explains each entry, `demo/run_litert.py` is such a program.
"""

from typing import Any

import numpy as np

from efficientvision.configs import TrainingConfig
from efficientvision.detection.anchors import anchor_levels
from efficientvision.detection.nms import DEFAULT_IOU_THRESH
from efficientvision.detection.priors import CENTER_VARIANCE, SIZE_VARIANCE, prior_levels
from efficientvision.exports.metadata import (
    ClassifierMetadata,
    DetectorMetadata,
    ModelMetadata,
    SegmenterMetadata,
)

_AXES = {
    "images": ("image", "row", "column", "rgb"),
    "detections": ("image", "detection", "value"),
    "logits": ("image", "anchor", "class"),
    "codes": ("image", "anchor", "value"),
    "confidences": ("image", "anchor", "class"),
    "locations": ("image", "anchor", "value"),
    "probabilities": ("image", "class"),
    "class_map": ("image", "row", "column"),
}
_PIXEL_LOGITS = ("image", "row", "column", "class")


def contract_of(metadata: ModelMetadata, config: TrainingConfig, function: Any) -> dict[str, Any]:
    """The facts that a program needs before and behind the runtime.

    Args:
        metadata: of the file; a detector's with what `nms` is inside.
        config: hyper-parameters of the model.
        function: the concrete function that the file holds.

    Returns:
        `inputs` and `outputs` in the file's order, each with name, shape, dtype and axes;
        `labels`, whose position is that on a class axis; `resize`; `normalization`; of a detector
        `suppression`, and `decoding` unless that is inside.
    """
    (images,) = function.structured_input_signature[0]
    outputs = function.structured_outputs
    facts = {
        "inputs": [_tensor("images", images)],
        "outputs": [_tensor(name, outputs[name]) for name in sorted(outputs)],
        "labels": _labels(metadata),
        "resize": _resize(metadata),
        "normalization": {
            "inside": True,
            "mean_rgb": np.broadcast_to(config.mean_rgb, 3).tolist(),
            "stddev_rgb": np.broadcast_to(config.stddev_rgb, 3).tolist(),
        },
    }
    if isinstance(metadata, DetectorMetadata):
        facts |= _detection(metadata)
    return facts


def _tensor(name: str, tensor: Any) -> dict[str, Any]:
    shape = tensor.shape.as_list()
    axes = _PIXEL_LOGITS if name == "logits" and len(shape) == 4 else _AXES[name]
    return {"name": name, "shape": shape, "dtype": tensor.dtype.name, "axes": list(axes)}


def _labels(metadata: ModelMetadata) -> list[str]:
    """Names by position on a class axis: of a segmenter from class 0, of others from class 1."""
    first = 0 if isinstance(metadata, SegmenterMetadata) else 1
    numbers = range(first, first + metadata.num_classes)
    return [metadata.class_names.get(number, f"class {number}") for number in numbers]


def _resize(metadata: ModelMetadata) -> dict[str, Any]:
    """How a photo is brought to the input's size.

    `stretch`: to height and width, whatever its shape. `cover`: until it covers the input's sides
    divided by `crop_fraction`, then the middle. `fit`: until it fits, in the top left corner, the
    rest is `fill_rgb`.
    """
    height, width = metadata.image_hw
    facts = {"method": "stretch", "height": height, "width": width, "filter": "bilinear"}
    if isinstance(metadata, DetectorMetadata):
        facts |= {"antialias": False, "rounded": metadata.family == "ssd"}
        if metadata.family != "ssd":
            facts |= {"method": "fit", "fill_rgb": metadata.preprocessing["mean_rgb"]}
        return facts
    facts |= {"antialias": True, "rounded": True}
    if isinstance(metadata, ClassifierMetadata) and metadata.crop_fraction is not None:
        facts |= {"method": "cover", "crop_fraction": metadata.crop_fraction}
    return facts


def _detection(metadata: DetectorMetadata) -> dict[str, Any]:
    """What is left to do with the outputs of a detector."""
    settings = metadata.nms
    suppression = {
        "inside": settings["kind"] != "none",
        "method": "hard",
        "per_class": True,
        "iou_threshold": settings.get("iou_thresh") or DEFAULT_IOU_THRESH,
        "score_threshold": settings.get("score_thresh") or 0.0,
        "max_candidates": settings["max_candidates"],
        "max_detections": settings["max_output_size"],
    }
    facts = {"suppression": suppression, "min_score": metadata.min_score_thresh}
    if not suppression["inside"]:
        facts["decoding"] = _decoding(metadata)
    return facts


def _decoding(metadata: DetectorMetadata) -> dict[str, Any]:
    """How scores and boxes come from the raw outputs.

    A value of a box times its entry of `scale` is what `order` says of it: the move of the centre
    in anchor sizes, and the logarithm of the size in anchor sizes.
    """
    if metadata.family == "ssd":
        scores = {"output": "confidences", "function": "softmax", "background_first": True}
        order, levels = ["x", "y", "width", "height"], prior_levels(**metadata.anchors)
        scale = [CENTER_VARIANCE, CENTER_VARIANCE, SIZE_VARIANCE, SIZE_VARIANCE]
        boxes = {"output": "locations", "order": order, "scale": scale}
    else:
        scores = {"output": "logits", "function": "sigmoid", "background_first": False}
        order, levels = ["y", "x", "height", "width"], anchor_levels(**metadata.anchors)
        boxes = {"output": "codes", "order": order, "scale": [1.0, 1.0, 1.0, 1.0]}
    anchors = {
        "order": ["level", "row", "column", "size"],
        "clipped": metadata.family == "ssd",
        "levels": [
            {name: value.tolist() for name, value in level._asdict().items()} for level in levels
        ],
    }
    return {"scores": scores, "boxes": boxes, "anchors": anchors}
