"""Reads the rows of a CSV file of boxes: photos, classes and corners as written."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from efficientvision.data.csv_rows import read_rows
from efficientvision.data.json_values import short
from efficientvision.data.names import class_name
from efficientvision.data.part_names import PART_OF
from efficientvision.data.sources.boxed_photos import EMPTY, NOT_FINITE, REPEATED
from efficientvision.data.sources.csv_columns import (
    CENTRE_AND_SIZE,
    CORNER_AND_SIZE,
    CORNERS,
    Columns,
)
from efficientvision.errors import UserError

# Wording of the report's counts.
UNASSIGNED = "photos without a part in the list, taken as train"

_PART_OF = {**PART_OF, "validate": "val"}
_NO_PART = ("", "unassigned", "none")

Box = tuple[float, float, float, float]


@dataclass
class ListedPhoto:
    """A photo of a list.

    Attributes:
        boxes_yxyx: Boxes [n] of (ymin, xmin, ymax, xmax) as written, in pixels or fractions.
        classes: Names of the classes [n].
        crowd, difficult: Flags [n]; zeros if the list has none.
        stated_hw: Size that the list states; None if it states none.
        part: "train", "val" or "test"; None if the list names none.
        problem: A sentence on why its rows cannot be used; None: they can.
    """

    boxes_yxyx: list[Box] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    crowd: list[int] = field(default_factory=list)
    difficult: list[int] = field(default_factory=list)
    stated_hw: tuple[int, int] | None = None
    part: str | None = None
    problem: str | None = None


@dataclass
class Table:
    """Content of a list.

    Attributes:
        path: Path of the file.
        columns: Its columns.
        photos: Name of each photo as written -> its rows.
        notes: How often something was skipped, by reason.
    """

    path: str
    columns: Columns
    photos: dict[str, ListedPhoto] = field(default_factory=dict)
    notes: Counter = field(default_factory=Counter)


def read_table(path: str, columns: Columns) -> Table:
    """Reads a list. A row that cannot be used is a problem of its photo.

    Raises:
        UserError: The file cannot be read, a row has another number of fields than the first one,
            or a row names no photo.
    """
    table = Table(path, columns)
    seen: dict[str, set] = {}
    length = None
    for number, row in read_rows(path, None):
        cells = [cell.strip() for cell in row]
        where = f"{path}, line {number}"
        if length is None:
            length = len(cells)
            if columns.heading:
                continue
        if len(cells) != length:
            # Trailing separators are common, and their lack too.
            cells = (cells + [""] * length)[: max(length, len(_rstripped(cells)))]
        if len(cells) != length:
            raise UserError(
                f"{where}: expected {length} fields, got {len(cells)}: put names with a separator "
                "into quotes."
            )
        name = cells[columns.place["photo"]]
        if not name:
            raise UserError(f"{where} names no photo.")
        photo = table.photos.setdefault(name, ListedPhoto())
        try:
            _read_row(photo, cells, columns, table.notes, seen.setdefault(name, set()))
        except ValueError as error:
            photo.problem = photo.problem or f"{where}: {error}."
    if not table.photos:
        raise UserError(f"{path} lists no photos.")
    return table


def read_column(path: str, columns: Columns, role: str) -> set[str]:
    """Returns the different texts in a column, without reading the others.

    Args:
        path: Path of the file.
        columns: Its columns.
        role: Role of the column, such as "photo".
    """
    column = columns.place[role]
    rows = itertools.islice(read_rows(path, None), int(columns.heading), None)
    return {row[column].strip() for _, row in rows if len(row) > column}


def part_named(text: str) -> str | None:
    """Returns the part that a text in a column means, or the text; None if it means none."""
    return None if text.lower() in _NO_PART else _PART_OF.get(text.lower(), text)


def _rstripped(cells: Sequence[str]) -> Sequence[str]:
    count = len(cells)
    while count and not cells[count - 1]:
        count -= 1
    return cells[:count]


def _read_row(
    photo: ListedPhoto, cells: Sequence[str], columns: Columns, notes: Counter, seen: set
) -> None:
    """Adds a row to its photo.

    Raises:
        ValueError: It cannot be used; the message has no full stop.
    """
    place = columns.place
    if "part" in place:
        _set_part(photo, cells[place["part"]])
    if "width" in place and photo.stated_hw is None:
        photo.stated_hw = _size(cells[place["height"]], cells[place["width"]])
    sides = [[cells[k] for k in side if cells[k]] for side in columns.sides]
    label = class_name(cells[place["label"]])
    if not any(sides):
        if label and label.lower() not in ("background", "none"):
            raise ValueError(f"the class {short(label)} has no box")
        return
    if not label:
        raise ValueError("the box has no class")
    if not all(sides):
        raise ValueError("the box lacks a side")
    numbers = [[_number(text) for text in side] for side in sides]
    box = _corners([[min, min, max, max][k](side) for k, side in enumerate(numbers)], columns.form)
    crowd, difficult = (
        _flag(cells[place[role]]) if role in place else 0 for role in ("crowd", "difficult")
    )
    if not all(map(math.isfinite, box)):
        notes[NOT_FINITE] += 1
    elif box[2] <= box[0] or box[3] <= box[1]:
        notes[EMPTY] += 1
    elif (label, box) in seen:
        notes[REPEATED] += 1
    else:
        seen.add((label, box))
        photo.boxes_yxyx.append(box)
        photo.classes.append(label)
        photo.crowd.append(crowd)
        photo.difficult.append(difficult)


def _set_part(photo: ListedPhoto, text: str) -> None:
    part = part_named(text)
    if part is not None and part not in PART_OF.values():
        raise ValueError(f"the part {short(text)} is not train, val or test")
    if photo.part and part and part != photo.part:
        raise ValueError(f"the photo is in two parts, {photo.part} and {part}")
    photo.part = photo.part or part


def _size(height: str, width: str) -> tuple[int, int] | None:
    try:
        sides = round(float(height)), round(float(width))
    except (ValueError, OverflowError):
        return None
    return sides if min(sides) > 0 else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"the side of a box must be a number, got {short(text)}") from None


def _corners(numbers: Sequence[float], form: str) -> Box:
    y, x, height, width = numbers
    if form == CORNERS:
        return y, x, height, width
    if form == CORNER_AND_SIZE:
        return y, x, y + height, x + width
    assert form == CENTRE_AND_SIZE
    return y - height / 2, x - width / 2, y + height / 2, x + width / 2


def _flag(text: str) -> int:
    """Reads 0 or 1; 0 for -1, which is "unknown" in OpenImages."""
    try:
        return int(float(text) >= 1)
    except ValueError:
        return int(text.lower() in ("true", "yes"))
