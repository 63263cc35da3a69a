"""Reads the CSV files of boxes: the rows of each photo, and the names of the classes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from efficientvision import files
from efficientvision.data.csv_rows import read_rows
from efficientvision.data.names import class_name
from efficientvision.data.part_names import PART_OF, PARTS
from efficientvision.data.picture_folders import find_parts, folders_named
from efficientvision.data.sources.csv_files import CsvFiles
from efficientvision.data.sources.csv_table import UNASSIGNED, ListedPhoto, Table, read_table
from efficientvision.data.sources.listed_photos import ListedPhotos
from efficientvision.data.sources.yolo_pairs import IMAGE_FOLDERS
from efficientvision.errors import UserError

_BIGGEST_ID = 10_000  # A head has an output for each number up to the largest class id.


@dataclass
class CsvSet:
    """Content of the CSV files of a data set.

    Attributes:
        folder: Its folder.
        tables: The files of boxes, by part; the part of a single file is "".
        parts: Part -> path of each photo -> its rows.
        unlisted: Photos in the folder that no file lists.
        class_ids: Name -> id of the records, from a file of classes; empty if there is none.
        shown_names: OpenImages' class -> name for people.
        listed: Part -> number of photos that the files name.
        missing: List -> (names of photos that do not exist, number of names).
        lines: Lines to print.
        notes: Counts for the report.
    """

    folder: str
    tables: dict[str, Table]
    parts: dict[str, dict[str, ListedPhoto]] = field(default_factory=dict)
    unlisted: list[str] = field(default_factory=list)
    class_ids: dict[str, int] = field(default_factory=dict)
    shown_names: dict[str, str] = field(default_factory=dict)
    listed: Counter = field(default_factory=Counter)
    missing: dict[str, tuple[list[str], int]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    notes: Counter = field(default_factory=Counter)


def read_set(found: CsvFiles) -> CsvSet:
    """Reads the files of a data set and finds the photos that they list.

    Raises:
        UserError: A file cannot be used, or it is unclear which photo a name means.
    """
    tables = {part: read_table(*table) for part, table in found.tables.items()}
    result = CsvSet(found.folder, tables, lines=list(found.lines))
    _find_photos(result, found.photos)
    for path in found.class_files:
        ids = _class_ids(path)
        if result.class_ids and ids != result.class_ids:
            raise UserError(
                f"{path} numbers the classes differently than {found.class_files[0]}: make them "
                "the same."
            )
        result.class_ids = ids
    for path in found.description_files:
        pairs = (row for _, row in read_rows(path, None) if len(row) >= 2)
        result.shown_names |= {row[0].strip(): class_name(row[1]) for row in pairs}
    for path in (*found.class_files, *found.description_files):
        result.lines.append(f"the names of the classes are those of {path}")
    return result


def _find_photos(found: CsvSet, photos: Sequence[str]) -> None:
    """Finds the photos of each table, and those that no table lists."""
    known = ListedPhotos(photos)
    for part, table in found.tables.items():
        folder = os.path.dirname(table.path) or "."
        roots = _roots([folder, found.folder], part)
        absent = []
        for name, photo in table.photos.items():
            chosen = part or photo.part or "train"
            found.listed[chosen] += 1
            path = known.find(name, roots, table.path)
            if path is None:
                absent.append(name)
                continue
            is_assigned = part or photo.part or "part" not in table.columns.place
            found.notes[UNASSIGNED] += not is_assigned
            of_part = found.parts.setdefault(chosen, {})
            of_part[path] = _joined(of_part.get(path), photo, path)
        if absent:
            found.missing[table.path] = absent, len(table.photos)
        found.notes.update(table.notes)
    if not any(photo.part for table in found.tables.values() for photo in table.photos.values()):
        found.notes.pop(UNASSIGNED, None)
    found.notes.update(known.notes)
    found.lines += known.said()
    found.parts = {part: found.parts[part] for part in PARTS if part in found.parts}
    listed = {path for of_part in found.parts.values() for path in of_part}
    found.unlisted = [path for path in photos if path not in listed]


def _roots(folders: Sequence[str], part: str) -> list[str]:
    """Returns the folders that names in a list may be relative to."""
    roots = []
    for folder in folders:
        places = [folder, *folders_named(folder, IMAGE_FOLDERS)]
        of_part = [find_parts(place).get(part) for place in places]
        inner = [
            path for place in filter(None, of_part) for path in folders_named(place, IMAGE_FOLDERS)
        ]
        roots += [*filter(None, of_part), *inner, *places]
    return list(dict.fromkeys(roots))


def _joined(one: ListedPhoto | None, other: ListedPhoto, path: str) -> ListedPhoto:
    """Joins the rows of a photo that a list names in two ways."""
    if one is None:
        return other
    if one.stated_hw != other.stated_hw:
        one.problem = one.problem or f"the rows of {path} state different sizes of the photo."
    one.boxes_yxyx += other.boxes_yxyx
    one.classes += other.classes
    one.crowd += other.crowd
    one.difficult += other.difficult
    one.problem = one.problem or other.problem
    return one


def _class_ids(path: str) -> dict[str, int]:
    """Reads RetinaNet's `name,id`, ids from 0; returns the ids of the records, from 1."""
    ids: dict[str, int] = {}
    for number, row in read_rows(path, None):
        cells = [cell.strip() for cell in row]
        if len(cells) != 2 or not (cells[1].isdecimal() or number == 1):
            raise UserError(f"{path}, line {number}: expected name,id, got {','.join(cells)[:60]}.")
        if not cells[1].isdecimal():
            continue
        name, class_id = class_name(cells[0]), int(cells[1])
        if class_id > _BIGGEST_ID:
            raise UserError(f"{path}, line {number}: class ids must be at most {_BIGGEST_ID:,}.")
        if name in ids or class_id in ids.values():
            raise UserError(
                f"{path}, line {number}: the name {name!r} or the id {class_id} occurs twice."
            )
        ids[name] = class_id
    if not ids:
        raise UserError(f"{path} names no classes.")
    shift = 0 if min(ids.values()) > 0 else 1
    return {name: class_id + shift for name, class_id in ids.items()}


def part_of_place(path: str, folder: str) -> str | None:
    """Returns the part that a folder of a photo's path means; None for none."""
    inside = files.relative(path, folder).split(os.sep)[:-1]
    return next((PART_OF[name.lower()] for name in inside if name.lower() in PART_OF), None)


def shown(names: Mapping[str, str], name: str) -> str:
    """Returns the name for people of a class of OpenImages; its own if there is none."""
    return names.get(name) or name
