"""Minimum scores by class: those with the best F1 that an evaluation found, or the user's."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from efficientvision import files
from efficientvision.configs.score_thresholds import MinScores, parse_min_scores
from efficientvision.errors import UserError
from efficientvision.evaluation.precision_recall import ClassCurve, best_f1, common_threshold
from efficientvision.files import AnyPath
from efficientvision.registry import nearest_names

if TYPE_CHECKING:
    from efficientvision.evaluation.details import Details

THRESHOLDS_NAME = "thresholds.json"
# The best F1 of fewer objects depends on chance.
LEAST_OBJECTS = 10
_SHOWN_CLASSES = 8
_DIGITS = 4


@dataclass(frozen=True)
class ScoreThresholds:
    """Minimum scores of predictions.

    Attributes:
        default: For classes that are not in `classes`, 0..1.
        classes: Class number -> minimum score, 0..1.
        source: Where they come from, for messages.
        rare: Classes that use the default because an evaluation had fewer than `LEAST_OBJECTS`
            objects of them, or found none.
    """

    default: float
    classes: Mapping[int, float] = field(default_factory=dict)
    source: str = ""
    rare: tuple[int, ...] = ()

    @property
    def least(self) -> float:
        """The lowest minimum score of any class."""
        return min(self.default, *self.classes.values(), 1.0)

    def of(self, classes: np.ndarray) -> np.ndarray:
        """Minimum scores, float32 [N], of class numbers, int [N]."""
        scores = [self.classes.get(number, self.default) for number in classes.tolist()]
        return np.array(scores, np.float32)

    def changed(
        self, asked: MinScores | None, names: Mapping[int, str], num_classes: int
    ) -> ScoreThresholds:
        """Returns these thresholds with the user's changes.

        Args:
            asked: See `parse_min_scores`; a number for all classes replaces every threshold.
            names: Class number -> name; may be empty.
            num_classes: K; classes without names are 1..K.

        Raises:
            UserError: A class is unknown, or `asked` cannot be parsed.
        """
        if asked is None:
            return self
        default, by_class = parse_min_scores(asked)
        before = self if default is None else ScoreThresholds(default)
        chosen = dict(before.classes)
        for key, score in by_class.items():
            chosen |= dict.fromkeys(_numbers(key, names, num_classes), score)
        rare = tuple(number for number in before.rare if number not in chosen)
        others = f"; other classes: {before.source}" if before.source else ""
        return replace(before, classes=chosen, source=f"`min_score_thresh`{others}", rare=rare)

    def described(self, names: Mapping[int, str]) -> str:
        """The thresholds and where they come from, in a line."""
        source = f" ({self.source})" if self.source else ""
        if not self.classes:
            return f"{self.default:g}{source}"
        if len(self.classes) <= _SHOWN_CLASSES:
            shown = ", ".join(
                f"{names.get(number, f'class {number}')} {score:g}"
                for number, score in self.classes.items()
            )
        else:
            scores = self.classes.values()
            shown = f"{min(scores):g} to {max(scores):g} for {len(self.classes)} classes"
        others = f", others {self.default:g}" if set(names) - set(self.classes) else ""
        rare = ""
        if self.rare:
            few = [names.get(number, f"class {number}") for number in self.rare[:_SHOWN_CLASSES]]
            more = ", ..." if len(self.rare) > len(few) else ""
            rare = f"; too few objects found for a score of their own: {', '.join(few)}{more}"
        return f"{shown}{others}{source}{rare}"


def found_thresholds(curves: Mapping[int, ClassCurve]) -> ScoreThresholds:
    """Returns the thresholds with the best F1 by class.

    Classes with fewer than `LEAST_OBJECTS` objects use the default, `common_threshold`.
    """
    points = {
        number: best_f1(curve) if curve.num_objects >= LEAST_OBJECTS else None
        for number, curve in curves.items()
    }
    found = {number: _rounded_down(best.threshold) for number, best in points.items() if best}
    rare = tuple(number for number in curves if number not in found)
    return ScoreThresholds(common_threshold(dict(curves)), found, "", rare)


def thresholds_text(details: Details, step: int) -> str | None:
    """The content of `thresholds.json`; None for an evaluation without thresholds.

    Args:
        details: Details of the evaluation.
        step: The training step that was evaluated.
    """
    found = details.thresholds
    if found is None:
        return None
    rows = [
        {"id": row["id"], "class": row["class"], "threshold": found.classes.get(row["id"])}
        for row in details.tables["per_class"]
    ]
    table = {"step": step, "images": details.facts["images"], "default": found.default}
    return json.dumps({**table, "classes": rows}, indent=1) + "\n"


def read_thresholds(folder: AnyPath) -> ScoreThresholds | None:
    """Reads `thresholds.json` of a run's folder; None if there is none.

    Raises:
        UserError: The file is damaged.
    """
    path = files.join(folder, THRESHOLDS_NAME)
    if not files.is_file(path):
        return None
    try:
        table = json.loads(files.read_text(path))
        rows = {int(row["id"]): row["threshold"] for row in table["classes"]}
        found = {number: _valid(score) for number, score in rows.items() if score is not None}
        rare = tuple(number for number, score in rows.items() if score is None)
        source = f"best F1 at step {int(table['step'])}, {path}"
        return ScoreThresholds(_valid(table["default"]), found, source, rare)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged ({error}): evaluate the run again, or delete the file to use the "
            "default minimum score."
        ) from error


def _valid(score: Any) -> float:
    if isinstance(score, bool) or not 0 <= score <= 1:
        raise ValueError(f"threshold {score}")
    return float(score)


def _rounded_down(score: float) -> float:
    """Rounds so that a detection of exactly this score stays above the threshold."""
    return max(math.floor(score * 10**_DIGITS) / 10**_DIGITS, 10**-_DIGITS)


def _numbers(key: str | int, names: Mapping[int, str], num_classes: int) -> list[int]:
    """Class numbers of a name, or of a number."""
    if numbers := [number for number, name in names.items() if name == key]:
        return numbers
    known = set(names) or set(range(1, num_classes + 1))
    if str(key).isdecimal() and int(key) in known:
        return [int(key)]
    choices = list(names.values()) or [f"1 to {num_classes}"]
    raise UserError(f"`min_score_thresh`: no class {key!r}. {nearest_names(str(key), choices)}")
