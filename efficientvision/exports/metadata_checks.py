"""Validates the metadata of an exported model, whose file may come from anyone."""

import math
from collections.abc import Callable, Sequence
from typing import Any

# Possible outputs of a segmenter: the class of each pixel, or the logits of all classes.
SEGMENTATION_RESULTS = ("class_map", "logits")
_MAX_SIDE = 1 << 14
_MAX_BATCH = 1 << 16
_MAX_CLASSES = 1 << 20
_MAX_DETECTIONS = 1 << 20
_MAX_ANCHORS = 1 << 23
_MAX_LEVEL = 14
_MAX_SHAPES = 100
_SHOWN = 60

# Value -> stored value; raises ValueError with the end of "NAME must be".
Check = Callable[[Any], Any]


class _WithinError(ValueError):
    """A complete error message that includes the name of the value."""


def checked_facts(values: dict[str, Any], checks: dict[str, Check]) -> dict[str, Any]:
    """Validates and converts the values of a JSON object.

    Args:
        values: Values by name, as read from JSON.
        checks: Name -> check; values without one are unchanged.

    Raises:
        ValueError: A value is invalid.
    """
    return {name: _checked(name, value, checks.get(name)) for name, value in values.items()}


def _checked(name: str, value: Any, check: Check | None) -> Any:
    try:
        return value if check is None else check(value)
    except _WithinError as error:
        raise _WithinError(f"{name}.{error}") from None
    except ValueError as error:
        shown = repr(value)
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
        raise _WithinError(f"{name} is {shown}, and must be {error}") from None


def _whole(least: int, most: int) -> Check:
    def check(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return value

    return check


def _number(least: float, most: float) -> Check:
    def check(value: Any) -> float:
        # Comparisons with NaN are false.
        if type(value) not in (int, float) or not least <= value <= most:
            raise ValueError(f"a number from {least:g} to {most:g}")
        return value

    return check


def _optional(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _one_of(*texts: str) -> Check:
    def check(value: Any) -> str:
        if value not in texts:
            raise ValueError(" or ".join(texts))
        return value

    return check


def _list(item: Check, least: int, most: int, what: str) -> Check:
    def check(value: Any) -> list:
        if not isinstance(value, list | tuple) or not least <= len(value) <= most:
            raise ValueError(what)
        try:
            return [item(v) for v in value]
        except ValueError:
            raise ValueError(what) from None

    return check


def _mapping(checks: dict[str, Check] | None = None) -> Check:
    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError("a mapping")
        return checked_facts(value, checks or {})

    return check


def _class_names(value: Any) -> dict[int, str]:
    what = "a mapping of class numbers to names"
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value.values()):
        raise ValueError(what)
    try:
        names = {int(number): name for number, name in value.items()}
    except ValueError:
        raise ValueError(what) from None
    if not all(0 <= number <= _MAX_CLASSES for number in names):
        raise ValueError(what)
    return names


_SIDES = f"a height and a width of 1 to {_MAX_SIDE:,} pixels"


def _sides(value: Any) -> tuple[int, int]:
    return tuple(_list(_whole(1, _MAX_SIDE), 2, 2, _SIDES)(value))


def _factor(value: Any) -> Any:
    """An aspect ratio: a number, or a pair of them."""
    if isinstance(value, list | tuple):
        return _list(_number(1e-3, 1e3), 2, 2, "two numbers")(value)
    return _number(1e-3, 1e3)(value)


def _scale(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return _list(_number(0, 1e4), 1, _MAX_LEVEL + 1, "numbers")(value)
    return _number(0, 1e4)(value)


_COLOR = _list(_number(-1e6, 1e6), 3, 3, "three numbers")
_RGB = {"mean_rgb": _COLOR, "stddev_rgb": _COLOR}
_COMMON = {
    "model_name": _text,
    "image_hw": _sides,
    "num_classes": _whole(1, _MAX_CLASSES),
    "class_names": _class_names,
    "batch_size": _optional(_whole(1, _MAX_BATCH)),
    "precision": _text,
    "contract": _mapping(),
}
_NMS = {
    "method": _text,
    "kind": _text,
    "iou_thresh": _optional(_number(0, 1)),
    "score_thresh": _optional(_number(-1, 1)),
    "sigma": _optional(_number(0, 1e6)),
    "max_output_size": _whole(1, _MAX_DETECTIONS),
    "max_candidates": _whole(1, _MAX_ANCHORS),
}
_ANCHORS = {
    "image_hw": _sides,
    "min_level": _whole(0, _MAX_LEVEL),
    "max_level": _whole(0, _MAX_LEVEL),
    "num_scales": _whole(1, _MAX_SHAPES),
    "aspect_ratios": _list(_factor, 1, _MAX_SHAPES, "a list of numbers, or of pairs of them"),
    "anchor_scale": _scale,
}
_PRIORS = {"image_hw": _sides, "min_scale": _number(0, 10), "max_scale": _number(0, 10)}
DETECTOR_CHECKS = {
    **_COMMON,
    "family": _one_of("efficientdet", "ssd"),
    "fpn_name": _optional(_text),
    "nms": _mapping(_NMS),
    "columns": lambda value: tuple(_list(_text, 1, 16, "a list of names")(value)),
    "preprocessing": _mapping(_RGB),
    "anchors": _mapping({**_ANCHORS, **_PRIORS}),
    "min_score_thresh": _number(-1, 1),
}
CLASSIFIER_CHECKS = {
    **_COMMON,
    "multilabel": _flag,
    "crop_fraction": _optional(_number(1e-3, 1)),
}
SEGMENTER_CHECKS = {
    **_COMMON,
    "palette": _list(
        _list(_whole(0, 255), 3, 3, "a color"), 0, _MAX_CLASSES, "a list of colors, R, G and B"
    ),
    "preprocessing": _mapping(_RGB),
    "result": _one_of(*SEGMENTATION_RESULTS),
}


def check_anchors(anchors: dict[str, Any], image_hw: Sequence[int], is_ssd: bool) -> None:
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
