"""Label maps in picture files: index and palette PNGs, or colours by a palette."""

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
# The name that marks colours of a palette file which are no class.
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
        num_classes: labels must be below it once mapped; None: any may occur.
        table: label in the file -> class, -1 for labels that must not occur; other labels stay.
        colors: RGB -> class; given, masks are read as colours, greys too.
        tolerance: how far a colour may be from the nearest of `colors`, in any of R, G and B.
        max_pixels: refuse larger masks; None: no limit.
    """

    num_classes: int | None
    table: dict[int, int]
    colors: dict[Color, int] | None = None
    tolerance: int = TOLERANCE
    max_pixels: int | None = MAX_PIXELS

    def __call__(self, path: str, image_hw: tuple[int, int]) -> np.ndarray:
        """The classes that `read` gives, alone: uint8 [h, w]."""
        return self.read(path, image_hw).values

    def read(self, path: str, image_hw: tuple[int, int]) -> DrawnMask:
        """Reads one file, whatever the size of its image.

        Raises:
            SpoiltPair: the file is damaged, or is no label map of these classes.
        """
        samples = read_samples(path, self.max_pixels)
        if self.colors is not None:
            return classes_of_colors(samples.rgb, self.colors, self.tolerance, path)
        if samples.labels is None:
            raise SpoiltPair(
                f"{path} is a picture in colours ({samples.picture.mode}), and a mask holds the "
                "class of each pixel: give the classes' colours with `palette`.",
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
                f"{path} has label {labels[row, column]} ({where(wrong)}), and the classes are "
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
        "name a label that is no class with `ignore_label`, or, if the file's values "
        f"({listed}) are greys, give the classes' greys with `palette`, lines of R G B name"
    )


def where(wrong: np.ndarray) -> str:
    """Where the first pixel is of which something is so, and how many there are."""
    row, column = np.argwhere(wrong)[0]
    return f"row {row}, column {column}; {wrong.sum():,} of its {wrong.size:,} pixels are so"


def label_table(ignored: Sequence[int], first_label: int = 0) -> dict[int, int]:
    """`MaskFiles.table` of masks whose classes are numbered on end.

    Args:
        ignored: labels that are no class, besides 255.
        first_label: label of the first class; lower ones must not occur unless ignored.
    """
    if not all(0 <= label <= IGNORED for label in (*ignored, first_label)):
        raise UserError(
            f"`ignore_label` and `first_label` must be from 0 to 255, got {list(ignored)} and "
            f"{first_label}."
        )
    table = {label: label - first_label if label >= first_label else -1 for label in range(255)}
    return table | dict.fromkeys((*ignored, IGNORED), IGNORED)


def read_class_names(path: str) -> list[str]:
    """The names of a file, one a line, in the order of the classes; numbers from 0 may precede.

    Raises:
        UserError: no such file, no names, or one twice.
    """
    names = [class_name(line) for line in _lines(path, "`class_names`") if line.strip()]
    if not names:
        raise UserError(f"`class_names={path}` has no names: write one a line.")
    numbered = [_NUMBERED_NAME.fullmatch(name) for name in names]
    if all(numbered) and [int(match[1]) for match in numbered] == list(range(len(names))):
        names = [match[2] for match in numbered]
        log.info(f"`class_names={path}`: the numbers from 0 are no part of the names.")
    _check_count(f"`class_names={path}`", names)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UserError(f"`class_names={path}` has the name {twice!r} twice.")
    return names


def read_palette(
    path: str, class_names: Sequence[str] | None = None
) -> tuple[dict[Color, int], list[str]]:
    """The colours of a file: lines `R G B`, or `R G B name`, in the order of the classes.

    Also `#RRGGBB name`, CVAT's `name:R,G,B::` and `name,R,G,B`; other lines with `#` are remarks.
    Lines of one name are one class; colours with the name "ignored" are none.

    Args:
        path: the file.
        class_names: names of the classes in order, if that is not the order of the file's.

    Returns:
        (colour -> class, names of the classes).

    Raises:
        UserError: no such file, a line of another form, a colour twice, or other names or numbers
            of classes than `class_names` has.
    """
    named: dict[Color, str] = {}
    for number, line in enumerate(_lines(path, "`palette`"), start=1):
        color, name = _parse_color(line)
        if color is None and _is_remark(line):
            continue
        if color is None or max(color) > 255:
            raise UserError(
                f"`palette={path}`, line {number}: expected R G B and perhaps a name, with numbers "
                f"from 0 to 255, got {line.strip()!r}."
            )
        if color in named:
            raise UserError(f"`palette={path}`, line {number}: the colour {color} stands twice.")
        named[color] = class_name(name.strip('"'))
    if not named:
        raise UserError(f"`palette={path}` has no colours: write lines such as 128 0 0 wall.")
    return _numbered(path, named, class_names)


def _parse_color(line: str) -> tuple[Color | None, str]:
    """The colour of a line and its name, in any of the usual forms; None: it is of no such form."""
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
    """Whether a line says nothing of a colour."""
    text = line.strip()
    return not text or text.startswith("#") or _HEADING_OF_PALETTE.fullmatch(text) is not None


def _numbered(
    path: str, named: dict[Color, str], class_names: Sequence[str] | None
) -> tuple[dict[Color, int], list[str]]:
    unnamed = sum(not name for name in named.values())
    if unnamed and unnamed < sum(name != IGNORED_NAME for name in named.values()):
        raise UserError(f"`palette={path}` names some of its colours and not others.")
    if unnamed:
        # Colours without a name are the classes in their order.
        classes = iter(class_names or [f"class {k}" for k in range(unnamed)])
        if class_names is not None and len(class_names) != unnamed:
            raise UserError(
                f"`palette={path}` has {unnamed} colours of classes, and `class_names` has "
                f"{len(class_names)} names."
            )
        named = {c: name or next(classes) for c, name in named.items()}
    found = list(dict.fromkeys(name for name in named.values() if name != IGNORED_NAME))
    names = list(class_names or found)
    if missing := [name for name in found if name not in names]:
        raise UserError(f"`palette={path}` has the class {missing[0]!r}, `class_names` has not.")
    _check_count(f"`palette={path}`", names)
    index = {name: k for k, name in enumerate(names)} | {IGNORED_NAME: IGNORED}
    return {color: index[name] for color, name in named.items()}, names


def _check_count(source: str, names: Sequence[str]) -> None:
    if len(names) > IGNORED:
        raise UserError(
            f"{source} has {len(names)} classes, and masks hold at most {IGNORED}: 0 to "
            f"{IGNORED - 1}, for {IGNORED} is no class."
        )


def _lines(path: str, flag: str) -> list[str]:
    try:
        return files.read_text(path).splitlines()
    except OSError as error:
        raise UserError(f"Cannot read {flag}={path}: {error.strerror}.") from error
