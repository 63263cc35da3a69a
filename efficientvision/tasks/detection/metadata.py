"""Metadata of exported detectors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from efficientvision.tasks.detection.anchors import anchor_levels
from efficientvision.tasks.detection.nms import DEFAULT_IOU_THRESH
from efficientvision.tasks.detection.priors import CENTER_VARIANCE, SIZE_VARIANCE, prior_levels
from efficientvision.tasks.metadata import ModelMetadata
from efficientvision.tasks.metadata_checks import (
    COMMON_CHECKS,
    RGB_CHECKS,
    Check,
    list_of,
    mapping,
    min_scores,
    number,
    one_of,
    optional,
    sides,
    text,
    whole,
)

_MAX_DETECTIONS = 1 << 20
_MAX_ANCHORS = 1 << 23
_MAX_LEVEL = 14
_MAX_SHAPES = 100


def _factor(value: Any) -> Any:
    """An aspect ratio: a number, or a pair of them."""
    if isinstance(value, list | tuple):
        return list_of(number(1e-3, 1e3), 2, 2, "two numbers")(value)
    return number(1e-3, 1e3)(value)


def _scale(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return list_of(number(0, 1e4), 1, _MAX_LEVEL + 1, "numbers")(value)
    return number(0, 1e4)(value)


_NMS = {
    "method": text,
    "kind": text,
    "iou_thresh": optional(number(0, 1)),
    "score_thresh": optional(number(-1, 1)),
    "sigma": optional(number(0, 1e6)),
    "max_output_size": whole(1, _MAX_DETECTIONS),
    "max_candidates": whole(1, _MAX_ANCHORS),
}
_ANCHORS = {
    "image_hw": sides,
    "min_level": whole(0, _MAX_LEVEL),
    "max_level": whole(0, _MAX_LEVEL),
    "num_scales": whole(1, _MAX_SHAPES),
    "aspect_ratios": list_of(_factor, 1, _MAX_SHAPES, "a list of numbers, or of pairs of them"),
    "anchor_scale": _scale,
}
_PRIORS = {"image_hw": sides, "min_scale": number(0, 10), "max_scale": number(0, 10)}
_CHECKS = {
    **COMMON_CHECKS,
    "family": one_of("efficientdet", "ssd"),
    "fpn_name": optional(text),
    "nms": mapping(_NMS),
    "columns": lambda value: tuple(list_of(text, 1, 16, "a list of names")(value)),
    "preprocessing": mapping(RGB_CHECKS),
    "anchors": mapping({**_ANCHORS, **_PRIORS}),
    "min_score_thresh": number(-1, 1),
    "class_thresholds": min_scores,
}


@dataclass(frozen=True)
class DetectionMetadata(ModelMetadata):
    """Metadata of a detector.

    Attributes:
        family: "efficientdet": photos are resized to fit the input and padded; "ssd": they are
            stretched to it.
        fpn_name: feature fusion of an EfficientDet: bifpn, qufpn or vfpn.
        nms: settings of the NMS in the file: method, iou_thresh, sigma, score_thresh (minimum
            score), max_output_size, per_class.
        columns: meaning of the last axis of `detections`.
        preprocessing: for an EfficientDet's file that takes resized photos: `mean_rgb`, the colour
            of the padding at the bottom and the right, which normalisation turns into 0.
        anchors: for a file without NMS: arguments of `generate_anchors`, for an SSD of
            `generate_priors`.
        min_score_thresh: default minimum score of detections.
        class_thresholds: class number -> its minimum score, of classes with another one.
    """

    format: ClassVar[str] = "efficientvision-detector-1"
    task: ClassVar[str] = "detection"
    kind: ClassVar[str] = "a detector"
    python_class: ClassVar[str] = "Detector"
    checks: ClassVar[dict[str, Check]] = _CHECKS
    result_name: ClassVar[str] = "detections"
    takes_nms: ClassVar[bool] = True
    axes: ClassVar[dict[str, tuple[str, ...]]] = {
        "detections": ("image", "detection", "value"),
        "logits": ("image", "anchor", "class"),
        "codes": ("image", "anchor", "value"),
        "confidences": ("image", "anchor", "class"),
        "locations": ("image", "anchor", "value"),
    }

    family: str = "efficientdet"
    fpn_name: str | None = None
    nms: dict[str, Any] = field(default_factory=dict)
    columns: tuple[str, ...] = ("image_id", "ymin", "xmin", "ymax", "xmax", "score", "class")
    preprocessing: dict[str, Any] = field(default_factory=dict)
    anchors: dict[str, Any] = field(default_factory=dict)
    min_score_thresh: float = 0.0
    class_thresholds: dict[int, float] = field(default_factory=dict)

    def check(self) -> None:
        """Raises ValueError where anchors do not belong to the model's input."""
        if self.anchors:
            _check_anchors(self.anchors, self.image_hw, self.family == "ssd")

    def check_portable(self) -> None:
        """Raises ValueError if facts for pre- or postprocessing are missing."""
        if self.family != "ssd" and "mean_rgb" not in self.preprocessing:
            raise ValueError("preprocessing lacks mean_rgb")
        if self.nms.get("kind") == "none" or self.anchors:
            for name in ("max_output_size", "max_candidates"):
                if name not in self.nms:
                    raise ValueError(f"nms lacks {name}")
            if not self.anchors:
                raise ValueError("it lacks anchors")

    def resize_facts(self) -> dict[str, Any]:
        height, width = self.image_hw
        facts = {"method": "stretch", "height": height, "width": width, "filter": "bilinear"}
        facts |= {"antialias": False, "rounded": self.family == "ssd"}
        if self.family != "ssd":
            facts |= {"method": "fit", "fill_rgb": self.preprocessing["mean_rgb"]}
        return facts

    def output_facts(self) -> dict[str, Any]:
        """`suppression`, `min_score`, `class_min_scores` if any, and `decoding` of raw outputs."""
        settings = self.nms
        suppression = {
            "inside": settings["kind"] != "none",
            "method": "hard",
            "per_class": True,
            "iou_threshold": settings.get("iou_thresh") or DEFAULT_IOU_THRESH,
            "score_threshold": settings.get("score_thresh") or 0.0,
            "max_candidates": settings["max_candidates"],
            "max_detections": settings["max_output_size"],
        }
        facts = {"suppression": suppression, "min_score": self.min_score_thresh}
        if self.class_thresholds:
            facts["class_min_scores"] = {str(k): v for k, v in self.class_thresholds.items()}
        if not suppression["inside"]:
            facts["decoding"] = self._decoding()
        return facts

    def _decoding(self) -> dict[str, Any]:
        """Describes how to decode scores and boxes from the raw outputs.

        Each encoded value, multiplied by its entry of `scale`, is the quantity named in `order`:
        the offset of the centre in anchor sizes, or the logarithm of the size in anchor sizes.
        """
        if self.family == "ssd":
            scores = {"output": "confidences", "function": "softmax", "background_first": True}
            order, levels = ["x", "y", "width", "height"], prior_levels(**self.anchors)
            scale = [CENTER_VARIANCE, CENTER_VARIANCE, SIZE_VARIANCE, SIZE_VARIANCE]
            boxes = {"output": "locations", "order": order, "scale": scale}
        else:
            scores = {"output": "logits", "function": "sigmoid", "background_first": False}
            order, levels = ["y", "x", "height", "width"], anchor_levels(**self.anchors)
            boxes = {"output": "codes", "order": order, "scale": [1.0, 1.0, 1.0, 1.0]}
        anchors = {
            "order": ["level", "row", "column", "size"],
            "clipped": self.family == "ssd",
            "levels": [
                {name: value.tolist() for name, value in level._asdict().items()}
                for level in levels
            ],
        }
        return {"scores": scores, "boxes": boxes, "anchors": anchors}


def _check_anchors(anchors: dict[str, Any], image_hw: Sequence[int], is_ssd: bool) -> None:
    """Validates the arguments of an anchor generator against the model's input size.

    Raises:
        ValueError: An argument is missing, the input size differs, or there are too many anchors.
    """
    wanted = _PRIORS if is_ssd else _ANCHORS
    if set(anchors) != set(wanted):
        raise ValueError(f"anchors must have {', '.join(wanted)}, and no more")
    if tuple(anchors["image_hw"]) != tuple(image_hw):
        raise ValueError(
            f"anchors are for an input of {list(anchors['image_hw'])}, image_hw is {list(image_hw)}"
        )
    if is_ssd:
        if anchors["min_scale"] >= anchors["max_scale"]:
            raise ValueError("min_scale of anchors must be below max_scale")
        return
    levels = range(anchors["min_level"], anchors["max_level"] + 1)
    if not levels:
        raise ValueError("min_level of anchors must not be above max_level")
    scales = anchors["anchor_scale"]
    if isinstance(scales, list) and len(scales) not in (1, len(levels)):
        raise ValueError(f"anchor_scale has {len(scales)} entries for {len(levels)} levels")
    cells = sum(math.prod(-(-side // 2**level) for side in image_hw) for level in levels)
    count = cells * anchors["num_scales"] * len(anchors["aspect_ratios"])
    if count > _MAX_ANCHORS:
        raise ValueError(f"anchors would be {count:,}, at most {_MAX_ANCHORS:,} can be")


METADATA = DetectionMetadata
