"""Validates the metadata of an exported model, whose file may come from anyone."""

from collections.abc import Callable
from typing import Any

_MAX_SIDE = 1 << 14
_MAX_BATCH = 1 << 16
MAX_CLASSES = 1 << 20
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


def whole(least: int, most: int) -> Check:
    def check(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return value

    return check


def number(least: float, most: float) -> Check:
    def check(value: Any) -> float:
        # A NaN lies nowhere.
        if type(value) not in (int, float) or not least <= value <= most:
            raise ValueError(f"a number from {least:g} to {most:g}")
        return value

    return check


def optional(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text")
    return value


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def one_of(*texts: str) -> Check:
    def check(value: Any) -> str:
        if value not in texts:
            raise ValueError(" or ".join(texts))
        return value

    return check


def list_of(item: Check, least: int, most: int, what: str) -> Check:
    def check(value: Any) -> list:
        if not isinstance(value, list | tuple) or not least <= len(value) <= most:
            raise ValueError(what)
        try:
            return [item(v) for v in value]
        except ValueError:
            raise ValueError(what) from None

    return check


def mapping(checks: dict[str, Check] | None = None) -> Check:
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
    if not all(0 <= number <= MAX_CLASSES for number in names):
        raise ValueError(what)
    return names


_MIN_SCORES = "a mapping of class numbers to numbers from 0 to 1"


def min_scores(value: Any) -> dict[int, float]:
    if not isinstance(value, dict):
        raise ValueError(_MIN_SCORES)
    try:
        return {int(key): number(0, 1)(score) for key, score in value.items()}
    except ValueError:
        raise ValueError(_MIN_SCORES) from None


_SIDES = f"a height and a width of 1 to {_MAX_SIDE:,} pixels"


def sides(value: Any) -> tuple[int, int]:
    return tuple(list_of(whole(1, _MAX_SIDE), 2, 2, _SIDES)(value))


_COLOR = list_of(number(-1e6, 1e6), 3, 3, "three numbers")
RGB_CHECKS = {"mean_rgb": _COLOR, "stddev_rgb": _COLOR}
COMMON_CHECKS = {
    "model_name": text,
    "image_hw": sides,
    "num_classes": whole(1, MAX_CLASSES),
    "class_names": _class_names,
    "batch_size": optional(whole(1, _MAX_BATCH)),
    "precision": text,
    "contract": mapping(),
}
