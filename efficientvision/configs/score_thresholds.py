"""The grammar of minimum scores: `0.4`, `platelet=0.2`, `0.4,platelet=0.2`.

Imports no TensorFlow, so that mistakes are reported before it starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from efficientvision.errors import UserError

# A number for all classes, text, or numbers by class name or number.
MinScores = float | str | Mapping[str | int, float]


class ParsedMinScores(NamedTuple):
    """Minimum scores as the user wrote them.

    Attributes:
        default: For the classes that are not named; None: not given.
        classes: Class name, or number, -> minimum score.
    """

    default: float | None
    classes: dict[str | int, float]

    @property
    def least(self) -> float:
        """The lowest of them."""
        given = [] if self.default is None else [self.default]
        return min([*given, *self.classes.values()], default=0.0)


def parse_min_scores(value: MinScores, name: str = "min_score_thresh") -> ParsedMinScores:
    """Parses minimum scores.

    Args:
        value: A number; text such as `"0.4"`, `"platelet=0.2"`, or both separated by a comma; or a
            dict of class names or numbers. A class whose name contains a comma goes by its number.
        name: Name of the option, for errors.

    Raises:
        UserError: A part is not a number or `class=number`, a number is outside 0..1, or something
            is set twice.
    """
    if isinstance(value, Mapping):
        return ParsedMinScores(
            None, {key: _score(score, f"{key}={score}", name) for key, score in value.items()}
        )
    default: float | None = None
    classes: dict[str | int, float] = {}
    parts = value.split(",") if isinstance(value, str) else [value]
    for part in parts:
        text = str(part).strip()
        class_name, is_class, number = text.rpartition("=")
        score = _score(number, text, name)
        class_name = class_name.strip()
        if class_name in classes or (not is_class and default is not None):
            raise UserError(f"`{name}={value}` sets {class_name or 'all classes'} twice.")
        if is_class:
            classes[class_name] = score
        else:
            default = score
    return ParsedMinScores(default, classes)


def _score(value: object, text: str, name: str) -> float:
    try:
        score = float(value)  # type: ignore[arg-type]  # TypeError is caught.
    except (TypeError, ValueError):
        raise UserError(
            f"`{name}`: {text!r} must be a number in 0..1 or class=number, such as 0.4 or "
            "platelet=0.2,0.4."
        ) from None
    if not 0 <= score <= 1:
        raise UserError(f"`{name}={text}`: must be between 0 and 1.")
    return score
