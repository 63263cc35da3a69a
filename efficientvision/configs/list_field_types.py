"""Types of hyper-parameters that are lists."""

from __future__ import annotations

from typing import Any

from efficientvision.configs.field_types import TEXT, FieldType, integer, number
from efficientvision.errors import UserError
from efficientvision.registry import nearest_names


def _epochs(value: Any) -> tuple[int, ...]:
    items = value if isinstance(value, (tuple, list)) else [value]
    epochs = tuple(integer(minimum=1).convert(item) for item in items)
    if list(epochs) != sorted(set(epochs)):
        raise ValueError
    return epochs


EPOCHS = FieldType("a list of epochs in increasing order", _epochs)


def number_range(minimum: float, maximum: float | None = None) -> FieldType:
    """Two numbers within bounds, the second not below the first."""
    one = number(minimum, maximum)

    def convert(value: Any) -> tuple[float, float]:
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise ValueError
        low, high = (one.convert(item) for item in value)
        if low > high:
            raise ValueError
        return low, high

    return FieldType(f"two values, the lower first, each {one.expects}", convert)


def _aspect_ratio(value: Any) -> float | tuple[float, float]:
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError
        return tuple(number(minimum=1e-6).convert(side) for side in value)
    return number(minimum=1e-6).convert(value)


def _aspect_ratios(value: Any) -> tuple[float | tuple[float, float], ...]:
    items = value if isinstance(value, (tuple, list)) else [value]
    if not items:
        raise ValueError
    return tuple(_aspect_ratio(item) for item in items)


ASPECT_RATIOS = FieldType(
    "a list of width/height ratios or of (width, height) factors", _aspect_ratios
)


# Valid names in `freeze`; "heads" stands for both heads.
PART_NAMES = ("backbone", "fpn", "class_net", "box_net")
_HEADS_TOGETHER = {"heads": ("class_net", "box_net")}


def _parts(value: Any) -> tuple[str, ...]:
    names = (value or "").split("+") if value is None or isinstance(value, str) else value
    parts: list[str] = []
    for name in filter(None, (TEXT.convert(name).strip() for name in names)):
        known = {**{part: (part,) for part in PART_NAMES}, **_HEADS_TOGETHER}
        if name not in known:
            raise UserError(
                f"Hyper-parameter freeze: the network has no part {name!r}. "
                f"{nearest_names(name, list(known))}"
            )
        parts += known[name]
    return tuple(part for part in PART_NAMES if part in parts)


PARTS = FieldType(
    "parts of the network joined by +: backbone, fpn, heads, class_net, box_net", _parts
)
