"""Facts that a program without this library needs to use an exported file, as plain JSON.

`docs/mobile.md` explains each entry; `demo/run_litert.py` is such a program.
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
    """Returns the facts that a program needs for preprocessing and postprocessing.

    Args:
        metadata: metadata of the file; for a detector including the kind of NMS inside.
        config: hyper-parameters of the model.
        function: the concrete function in the file.

    Returns:
        `inputs` and `outputs` in the file's order, each with name, shape, dtype and axes;
        `labels` in the order of the class axis; `resize`; `normalization`; for a detector
        `suppression`, and `decoding` unless boxes are decoded inside.
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
    """Class names in the order of the class axis: from class 0 for segmenters, else class 1."""
    first = 0 if isinstance(metadata, SegmenterMetadata) else 1
    numbers = range(first, first + metadata.num_classes)
    return [metadata.class_names.get(number, f"class {number}") for number in numbers]


def _resize(metadata: ModelMetadata) -> dict[str, Any]:
    """Describes how a photo is resized to the input.

    `stretch`: to height and width, ignoring the aspect ratio. `cover`: scale until it covers the
    input's sides divided by `crop_fraction`, then crop the centre. `fit`: scale until it fits,
    place it in the top left corner and fill the rest with `fill_rgb`.
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
    """Describes the postprocessing of a detector's outputs."""
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
    """Describes how to decode scores and boxes from the raw outputs.

    Each encoded value, multiplied by its entry of `scale`, is the quantity named in `order`: the
    offset of the centre in anchor sizes, or the logarithm of the size in anchor sizes.
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
