"""What values a hyper-parameter may take, and how a written value becomes the stored one."""

from __future__ import annotations

import dataclasses
import math
import numbers
import reprlib
from collections.abc import Callable
from typing import Any

from efficientvision.configs.yaml_text import text_of_name
from efficientvision.errors import UserError
from efficientvision.registry import nearest_names


@dataclasses.dataclass(frozen=True)
class Kind:
    """The type of one hyper-parameter.

    Attributes:
        expects: What a good value is, worded to follow "must be".
        convert: Value -> stored value; raises ValueError or TypeError on a bad one.
        keeps_text: Whether text of a command line is taken as it stands (a regular expression
            holds `*`, which elsewhere separates the items of a list).
        takes_mapping: Whether a value may be a mapping.
    """

    expects: str
    convert: Callable[[Any], Any]
    keeps_text: bool = False
    takes_mapping: bool = False


def hyperparameter(default: Any, kind: Kind, doc: str) -> Any:
    """A dataclass field with its type, its meaning and its unit."""
    return dataclasses.field(default=default, metadata={"kind": kind, "doc": doc})


def checked(name: str, value: Any, kind: Kind) -> Any:
    """Converts a value.

    Raises:
        UserError: The value is not of the kind; the sentence says what was expected.
    """
    try:
        return kind.convert(value)
    except UserError:
        raise
    # Infinite numbers, and lists where something else belongs, lead to the last three.
    except (ValueError, TypeError, ArithmeticError, AttributeError, LookupError):
        raise UserError(
            f"Hyper-parameter {name} must be {kind.expects}; got {shown(value)}."
        ) from None


class _Short(reprlib.Repr):
    """Values for messages, however large or deep they are."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = 80

    def repr_int(self, value: int, level: int) -> str:
        try:
            return super().repr_int(value, level)
        except ValueError:  # Python writes no number of over 4,300 digits.
            return f"a number of {value.bit_length()} bits"


def shown(value: Any) -> str:
    """A value as it stands in a message: what is long is cut."""
    return _Short().repr(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool) or (_is_number(value) and value in (0, 1)):
        return bool(value)
    raise ValueError


BOOLEAN = Kind("true or false", _boolean)


# TensorFlow counts in 64 bits.
_LARGEST = (1 << 63) - 1


def integer(minimum: int | None = None) -> Kind:
    """A whole number, `minimum` or more."""

    def convert(value: Any) -> int:
        if not _is_number(value) or value != int(value) or abs(value) > _LARGEST:
            raise ValueError
        if minimum is not None and value < minimum:
            raise ValueError
        return int(value)

    bound = "" if minimum is None else f" of at least {minimum}"
    return Kind(f"a whole number{bound}", convert)


def number(
    minimum: float | None = None, maximum: float | None = None, *, below: float | None = None
) -> Kind:
    """A finite number with inclusive bounds (`below`: an exclusive upper one)."""

    def convert(value: Any) -> float:
        if not _is_number(value) or not math.isfinite(value):
            raise ValueError
        if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
            raise ValueError
        if below is not None and value >= below:
            raise ValueError
        return float(value)

    bounds = [f"at least {minimum:g}"] if minimum is not None else []
    bounds += [f"at most {maximum:g}"] if maximum is not None else []
    bounds += [f"below {below:g}"] if below is not None else []
    return Kind("a number" + (", " + " and ".join(bounds) if bounds else ""), convert)


def one_of(*choices: str) -> Kind:
    """One of a few words."""

    def convert(value: Any) -> str:
        if value not in choices:
            raise ValueError
        return value

    return Kind("one of " + ", ".join(choices), convert)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


TEXT = Kind("text", _text, keeps_text=True)


def optional(kind: Kind) -> Kind:
    """The kind, or None."""

    def convert(value: Any) -> Any:
        return None if value is None else kind.convert(value)

    return Kind(f"{kind.expects}, or None", convert, kind.keeps_text, kind.takes_mapping)


def parse_image_size(image_size: int | str | tuple[int, int] | list[int]) -> tuple[int, int]:
    """Height and width of an image size in any of its spellings.

    Args:
        image_size: A side of a square in pixels (`512` or `"512"`), a string
            **width x height** (`"1920x1280"`, as in the published commands), or a
            (height, width) pair.

    Returns:
        `(height, width)` in pixels.

    Raises:
        UserError: It is none of these, or a side is below 1.
    """
    return checked("image_size", image_size, _IMAGE_HW)


def _image_hw(value: Any) -> tuple[int, int]:
    if isinstance(value, str):
        sides = [int(side) for side in value.lower().split("x")]
        height_width = (sides[0],) * 2 if len(sides) == 1 else tuple(reversed(sides))
    elif isinstance(value, (tuple, list)):
        height_width = tuple(value)
    else:
        height_width = (value, value)
    if len(height_width) != 2:
        raise ValueError
    side = integer(minimum=1).convert
    if not all(isinstance(pixels, numbers.Integral) for pixels in height_width):
        raise TypeError
    return side(height_width[0]), side(height_width[1])


_SIZE_WORDS = 'a side in pixels, "WIDTHxHEIGHT" (1920x1280) or a (height, width) pair'
_IMAGE_HW = Kind(_SIZE_WORDS, _image_hw)


def _image_size(value: Any) -> Any:
    _image_hw(value)
    return tuple(value) if isinstance(value, list) else value


IMAGE_SIZE = Kind(_SIZE_WORDS, _image_size)


def _rgb(value: Any) -> tuple[float, ...]:
    as_number = number().convert
    if isinstance(value, (tuple, list)):
        if len(value) != 3:
            raise ValueError
        return tuple(as_number(channel) for channel in value)
    return (as_number(value),) * 3


RGB = Kind("one number or three (red, green, blue), on the scale 0..255", _rgb)


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


ASPECT_RATIOS = Kind("a list of width/height ratios or of (width, height) factors", _aspect_ratios)

# What `freeze` names. The heads may be named together.
PART_NAMES = ("backbone", "fpn", "class_net", "box_net")
_HEADS_TOGETHER = {"heads": ("class_net", "box_net")}


def _parts(value: Any) -> tuple[str, ...]:
    names = (value or "").split("+") if value is None or isinstance(value, str) else value
    parts: list[str] = []
    for name in filter(None, (_text(name).strip() for name in names)):
        known = {**{part: (part,) for part in PART_NAMES}, **_HEADS_TOGETHER}
        if name not in known:
            raise UserError(
                f"Hyper-parameter freeze: the network has no part {name!r}. "
                f"{nearest_names(name, list(known))}"
            )
        parts += known[name]
    return tuple(part for part in PART_NAMES if part in parts)


PARTS = Kind("parts of the network joined by +: backbone, fpn, heads, class_net, box_net", _parts)


def _label_map(value: Any) -> str | dict[int, str]:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, (tuple, list)):
        value = dict(enumerate(value, start=1))
    if not isinstance(value, dict):
        raise TypeError
    labels = {int(key): text_of_name(key, name, "label_map") for key, name in value.items()}
    if len(labels) < len(value):
        raise UserError("label_map: a class id is used by two names.")
    if not labels or min(labels) < 0 or any(isinstance(key, (bool, float)) for key in value):
        raise ValueError
    return labels


LABEL_MAP = Kind(
    "a mapping {1: name, ...}, a list of names, coco, voc, waymo or the path of a label file",
    _label_map,
    takes_mapping=True,
)

# Half-precision arithmetic of the published code, by the names that its versions used for it.
_PRECISIONS = {
    None: False,
    "": False,
    "float32": False,
    "bfloat16": True,
    "mixed_bfloat16": True,
    "float16": "float16",
    "mixed_float16": "float16",
}


def _mixed_precision(value: Any) -> bool | str:
    if isinstance(value, str):
        # Published versions wrote mixed-float16 and mixed_float16.
        value = value.replace("-", "_")
    if value is None or isinstance(value, str):
        if value not in _PRECISIONS:
            raise ValueError
        return _PRECISIONS[value]
    return _boolean(value)


MIXED_PRECISION = Kind(
    "true (bfloat16) or false, or float32, mixed_bfloat16, mixed_float16",
    _mixed_precision,
)
