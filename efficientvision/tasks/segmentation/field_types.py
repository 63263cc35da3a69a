"""Types of segmentation hyper-parameters that are given per class."""

from __future__ import annotations

from typing import Any

from efficientvision.configs.field_types import LABEL_MAP, FieldType, integer, number, one_of

_LAST_CLASS = 254  # 255 marks ignored pixels.


def _class_weights(value: Any) -> str | tuple[float, ...]:
    if isinstance(value, str):
        return one_of("city", "data").convert(value)
    if not isinstance(value, (tuple, list)) or not value:
        raise ValueError
    return tuple(number(minimum=0).convert(item) for item in value)


CLASS_WEIGHTS = FieldType("a list of numbers, city or data", _class_weights)


def _class_map(value: Any) -> dict[int, int]:
    if not isinstance(value, dict) or not value:
        raise ValueError
    # Keys are text from a command line and numbers from a configuration file.
    pairs = {int(network): integer(0).convert(ours) for network, ours in value.items()}
    if not all(0 <= number <= _LAST_CLASS for pair in pairs.items() for number in pair):
        raise ValueError
    return pairs


CLASS_MAP = FieldType(
    "a mapping {network's class: records' class} of numbers from 0 to 254",
    _class_map,
    takes_mapping=True,
)


def _label_map_of_masks(value: Any) -> str | dict[int, str]:
    if isinstance(value, (tuple, list)):
        value = dict(enumerate(value))
    return LABEL_MAP.convert(value)


LABEL_MAP_OF_MASKS = FieldType(
    "a mapping {0: name, ...}, a list of names, voc, cityscapes, or the path of a label file",
    _label_map_of_masks,
    takes_mapping=True,
)
