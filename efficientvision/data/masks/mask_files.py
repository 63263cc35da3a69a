"""Reads label maps from picture files: index and palette PNGs, or colours by a palette."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from efficientvision import files
from efficientvision.data.masks.nearest_colors import TOLERANCE, classes_of_colors
from efficientvision.data.masks.pairs import (
    NO_PALETTE,
    UNKNOWN_LABEL,
    DrawnMask,
    SpoiltPair,
)
from efficientvision.data.masks.samples import read_samples
from efficientvision.data.names import class_name
from efficientvision.data.photos import MAX_PIXELS
from efficientvision.errors import UserError

log = logging.getLogger(__name__)

IGNORED = 255
# Name of the colours in a palette file that are no class.
IGNORED_NAME = "ignored"
_NUMBERS = r"(?P<r>\d{1,3})[\s,;]+(?P<g>\d{1,3})[\s,;]+(?P<b>\d{1,3})"
_PALETTE_LINES = tuple(
    re.compile(rf"\s*{form}\s*")
    for form in (
        rf"{_NUMBERS}(?:[\s,;]+(?P<name>.*?))?",
        r"#(?P<hex>[0-9a-fA-F]{6})(?:[\s,;]+(?P<name>.*?))?",
        # CVAT's labelmap.txt, CamVid's class_dict.csv.
        rf"(?P<name>[^:]+):{_NUMBERS}:[^:]*:[^:]*",
        rf"(?P<name>[^,;\t]*[^,;\t\d\s][^,;\t]*?)\s*[,;\t]\s*{_NUMBERS}",
    )
)
_HEADING_OF_PALETTE = re.compile(
    r"\s*name\s*[,;\t]\s*r\s*[,;\t]\s*g\s*[,;\t]\s*b\s*", re.IGNORECASE
)
_NUMBERED_NAME = re.compile(r"(\d{1,3})(?:\s*[:,;=]\s*|\s+)(\S.*)")
_LISTED_LABELS = 8

Color = tuple[int, int, int]


@dataclass(frozen=True)
class MaskFiles:
    """Reads mask files; a callable for `load_pair`.

    Attributes:
        num_classes: Mapped labels must be below it; None: any may occur.
        table: Label in the file -> class, -1 for labels that must not occur; other labels stay.
        colors: RGB -> class; if given, masks are read as colours, even grey ones.
        tolerance: Largest difference from the nearest of `colors`, in each of R, G and B.
        max_pixels: Reject masks with more pixels; None: no limit.
    """

    num_classes: int | None
    table: dict[int, int]
    colors: dict[Color, int] | None = None
    tolerance: int = TOLERANCE
    max_pixels: int | None = MAX_PIXELS

    def __call__(self, path: str, image_hw: tuple[int, int]) -> np.ndarray:
        """Returns only the classes of `read`: uint8 [h, w]."""
        return self.read(path, image_hw).values

    def read(self, path: str, image_hw: tuple[int, int]) -> DrawnMask:
        """Reads one file, whatever the size of its image.

        Raises:
            SpoiltPair: The file is damaged, or is not a label map of these classes.
        """
        samples = read_samples(path, self.max_pixels)
        if self.colors is not None:
            return classes_of_colors(samples.rgb, self.colors, self.tolerance, path)
        if samples.labels is None:
            raise SpoiltPair(
                f"{path} is a colour picture ({samples.picture.mode}), but a mask contains the "
                "class of each pixel: map the classes' colours with `palette`.",
                NO_PALETTE,
            )
        return DrawnMask(self._by_label(samples.labels, path))

    def _by_label(self, labels: np.ndarray, path: str) -> np.ndarray:
        table = np.arange(256, dtype=np.int16)
        table[list(self.table)] = list(self.table.values())
        limit = IGNORED if self.num_classes is None else self.num_classes
        allowed = np.flatnonzero((table >= 0) & (table < limit))
        table[(table >= limit) & (table != IGNORED)] = -1
        if labels.dtype == np.uint8:
            mapped = table[labels]
        else:
            known = (labels >= 0) & (labels <= IGNORED)
            mapped = np.where(known, table[np.clip(labels, 0, IGNORED)], -1)
        wrong = mapped < 0
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise SpoiltPair(
                f"{path} has label {labels[row, column]} ({where(wrong)}), but the classes are "
                f"labels {allowed[0]} to {allowed[-1]}: {_advice(labels, wrong)}.",
                UNKNOWN_LABEL,
            )
        return mapped.astype(np.uint8)


def _advice(labels: np.ndarray, wrong: np.ndarray) -> str:
    if labels.max() > IGNORED or labels.min() < 0:
        return "save the labels with 8 bits, from 0 to 255"
    present = np.unique(labels).tolist()
    listed = ", ".join(map(str, present[:_LISTED_LABELS])) + ", ..." * (
        len(present) > _LISTED_LABELS
    )
    return (
        "if a label means no class, name it with `ignore_label`; or, if the file's values "
        f"({listed}) are greys, map the classes' greys with `palette`, lines of R G B name"
    )


def where(wrong: np.ndarray) -> str:
    """Describes the first pixel for which `wrong` holds, and the number of such pixels."""
    row, column = np.argwhere(wrong)[0]
    return f"row {row}, column {column}; {wrong.sum():,} of its {wrong.size:,} pixels"


def label_table(ignored: Sequence[int], first_label: int = 0) -> dict[int, int]:
    """Makes a `MaskFiles.table` for masks whose classes are numbered consecutively.

    Args:
        ignored: Labels that mean no class, besides 255.
        first_label: Label of the first class; lower ones must not occur unless ignored.
    """
    if not all(0 <= label <= IGNORED for label in (*ignored, first_label)):
        raise UserError(
            f"`ignore_label` and `first_label` must be from 0 to 255, got {list(ignored)} and "
            f"{first_label}."
        )
    table = {label: label - first_label if label >= first_label else -1 for label in range(255)}
    return table | dict.fromkeys((*ignored, IGNORED), IGNORED)


def read_class_names(path: str) -> list[str]:
    """Reads class names, one per line, in the order of the classes; numbers from 0 may precede.

    Raises:
        UserError: There is no such file, it has no names, or a name occurs twice.
    """
    names = [class_name(line) for line in _lines(path, "`class_names`") if line.strip()]
    if not names:
        raise UserError(f"`class_names={path}` has no names: write one per line.")
    numbered = [_NUMBERED_NAME.fullmatch(name) for name in names]
    if all(numbered) and [int(match[1]) for match in numbered] == list(range(len(names))):
        names = [match[2] for match in numbered]
        log.info(f"{path}: the numbers from 0 are not part of the names.")
    _check_count(f"`class_names={path}`", names)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"`class_names={path}` has the name {twice!r} twice.")
    return names


def read_palette(
    path: str, class_names: Sequence[str] | None = None
) -> tuple[dict[Color, int], list[str]]:
    """Reads colours: lines `R G B`, or `R G B name`, in the order of the classes.

    Also `#RRGGBB name`, CVAT's `name:R,G,B::` and `name,R,G,B`; other lines with `#` are comments.
    Lines of the same name are one class; colours named "ignored" are no class.

    Args:
        path: Path of the file.
        class_names: Class names in order, if that is not the order of the file.

    Returns:
        (colour -> class, class names).

    Raises:
        UserError: There is no such file, a line has another form, a colour occurs twice, or names
            or number of classes differ from `class_names`.
    """
    named: dict[Color, str] = {}
    for number, line in enumerate(_lines(path, "`palette`"), start=1):
        color, name = _parse_color(line)
        if color is None and _is_remark(line):
            continue
        if color is None or max(color) > 255:
            raise UserError(
                f"`palette={path}`, line {number}: expected R G B and optionally a name, with "
                f"numbers from 0 to 255, got {line.strip()!r}."
            )
        if color in named:
            raise UserError(f"`palette={path}`, line {number}: the colour {color} occurs twice.")
        named[color] = class_name(name.strip('"'))
    if not named:
        raise UserError(f"`palette={path}` has no colours: write lines such as 128 0 0 wall.")
    return _numbered(path, named, class_names)


def _parse_color(line: str) -> tuple[Color | None, str]:
    """Parses the colour and the name of a line, in any of the usual forms; None if in none."""
    for form in _PALETTE_LINES:
        if match := form.fullmatch(line):
            fields = match.groupdict()
            if fields.get("hex"):
                color = tuple(bytes.fromhex(fields["hex"]))
            else:
                color = tuple(int(fields[channel]) for channel in "rgb")
            return color, fields["name"] or ""
    return None, ""


def _is_remark(line: str) -> bool:
    """Whether a line contains no colour."""
    text = line.strip()
    return not text or text.startswith("#") or _HEADING_OF_PALETTE.fullmatch(text) is not None


def _numbered(
    path: str, named: dict[Color, str], class_names: Sequence[str] | None
) -> tuple[dict[Color, int], list[str]]:
    unnamed = sum(not name for name in named.values())
    if unnamed and unnamed < sum(name != IGNORED_NAME for name in named.values()):
        raise UserError(f"`palette={path}` names some of its colours but not others.")
    if unnamed:
        # Colours without names are the classes in order.
        classes = iter(class_names or [f"class {k}" for k in range(unnamed)])
        if class_names is not None and len(class_names) != unnamed:
            raise UserError(
                f"`palette={path}` has the colours of {unnamed} classes, but `class_names` has "
                f"{len(class_names)} names."
            )
        named = {c: name or next(classes) for c, name in named.items()}
    found = list(dict.fromkeys(name for name in named.values() if name != IGNORED_NAME))
    names = list(class_names or found)
    if missing := [name for name in found if name not in names]:
        raise UserError(
            f"`palette={path}` has the class {missing[0]!r}, but `class_names` does not."
        )
    _check_count(f"`palette={path}`", names)
    index = {name: k for k, name in enumerate(names)} | {IGNORED_NAME: IGNORED}
    return {color: index[name] for color, name in named.items()}, names


def _check_count(source: str, names: Sequence[str]) -> None:
    if len(names) > IGNORED:
        raise UserError(
            f"{source} has {len(names)} classes, but masks can store at most {IGNORED}: 0 to "
            f"{IGNORED - 1}, as {IGNORED} means no class."
        )


def _lines(path: str, flag: str) -> list[str]:
    try:
        return files.read_text(path).splitlines()
    except OSError as error:
        raise UserError(f"Cannot read {flag}={path}: {error.strerror}.") from error
