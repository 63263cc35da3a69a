"""Finds the CSV files of boxes in a folder, the photos that they list, and names of classes."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from efficientvision import files
from efficientvision.data.csv_rows import read_rows
from efficientvision.data.names import class_name
from efficientvision.data.part_names import PART_OF, PARTS, part_of
from efficientvision.data.picture_folders import (
    LeftOut,
    find_parts,
    is_hidden,
    list_folders,
    walk_pictures,
)
from efficientvision.data.sources.csv_columns import SUFFIXES, read_columns
from efficientvision.data.sources.csv_table import UNASSIGNED, ListedPhoto, Table, read_table
from efficientvision.data.sources.listed_photos import ListedPhotos
from efficientvision.data.sources.yolo_pairs import IMAGE_FOLDERS, children
from efficientvision.errors import UserError

_TABLE_FOLDERS = ("annotations", "annots", "labels", "csv", "data", "boxes")
_CLASS_FILE = re.compile(r"_?class(es)?|class[-_ ]?(list|map(ping)?|names?)|labels?[-_ ]?map", re.I)
_DESCRIPTIONS = re.compile(r".*class[-_]descriptions.*", re.I)
_BIGGEST_ID = 10_000  # A head has an output for each number up to the largest class id.


@dataclass
class CsvSet:
    """A data set of CSV files.

    Attributes:
        folder: Its folder.
        tables: The files of boxes, by part; the part of a single file is "".
        parts: Part -> path of each photo -> its rows.
        unlisted: Photos in the folder that no file lists.
        class_ids: Name -> id of the records, from a file of classes; empty if there is none.
        shown_names: OpenImages' class -> name for people.
        inputs: Paths of the files that were read.
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
    inputs: list[str] = field(default_factory=list)
    missing: dict[str, tuple[list[str], int]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    notes: Counter = field(default_factory=Counter)


def find_set(path: str) -> CsvSet | None:
    """Finds the CSV files of boxes in a folder, and reads them.

    Args:
        path: The folder, or a CSV file.

    Returns:
        The data set; None if there are no CSV files of boxes.

    Raises:
        UserError: There are several and it is unclear which to take, or one cannot be used.
    """
    if files.is_remote(path):
        return None
    if files.is_file(path):
        if not path.lower().endswith(SUFFIXES):
            return None
        folder = os.path.dirname(path) or "."
        found = [(path, "")]
        if os.path.basename(os.path.abspath(folder)).lower() in _TABLE_FOLDERS:
            folder = os.path.normpath(os.path.join(folder, ".."))
    else:
        folder, found = path, list(_csv_files(path))
    tables, lines = _read_tables(found)
    if not tables:
        return None
    result = CsvSet(folder, tables, lines=lines)
    result.inputs += [table.path for table in tables.values()]
    _find_photos(result)
    _find_names(result)
    return result


def _csv_files(folder: str) -> Iterator[tuple[str, str]]:
    """Yields the CSV files of a folder and of those in it that may hold some, with their parts."""
    inner = children(folder, (*_TABLE_FOLDERS, *IMAGE_FOLDERS))
    for place in [folder, *inner]:
        for path in _csv_in(place):
            yield path, _part_in(os.path.basename(path))
    for place in list_folders(folder):
        if part := part_of(os.path.basename(place)):
            yield from ((path, part) for path in _csv_in(place))


def _csv_in(folder: str) -> Iterator[str]:
    for name in files.list_names(folder):
        path = os.path.join(folder, name)
        if name.lower().endswith(SUFFIXES) and not is_hidden(name) and files.is_file(path):
            yield path


def _part_in(name: str) -> str:
    """Returns the part that a file's name means, such as `train_labels.csv`; "" for none."""
    words = re.split(r"[^a-z]+", name.lower())
    parts = {PART_OF[word] for word in words if word in PART_OF}
    return parts.pop() if len(parts) == 1 else ""


def _read_tables(found: Sequence[tuple[str, str]]) -> tuple[dict[str, Table], list[str]]:
    """Reads the files of boxes; returns them by part, and lines to print."""
    of_boxes, errors = [], []
    for path, part in found:
        try:
            columns = read_columns(path)
        except UserError as error:
            errors.append(error)
        else:
            of_boxes += [(path, part, columns)] if columns else []
    if errors and not of_boxes:
        raise errors[0]
    whole = [path for path, part, _ in of_boxes if not part]
    parts = [part for _, part, _ in of_boxes if part]
    lines = [f"left out: {error}" for error in errors]
    if parts and whole:
        lines += [f"{path} is left out, as other files list the parts" for path in whole]
        of_boxes = [each for each in of_boxes if each[1]]
    by_part: dict[str, tuple] = {}
    for path, part, columns in of_boxes:
        other = by_part.setdefault(part, (path, columns))
        if other[0] != path:
            where = f" for {part}" if part else ""
            raise UserError(
                f"{other[0]} and {path} could each be the list of boxes{where}: set `data_dir` to "
                "the path of the file to use, or remove the other."
            )
    tables = {part: read_table(*by_part[part]) for part in ("", *PARTS) if part in by_part}
    return tables, lines


def _find_photos(found: CsvSet) -> None:
    """Finds the photos of each table, and those that no table lists."""
    walked = list(map(os.path.normpath, walk_pictures(found.folder, LeftOut())))
    known = ListedPhotos(walked)
    for part, table in found.tables.items():
        folder = os.path.dirname(table.path) or "."
        roots = _roots([folder, found.folder], part)
        absent = []
        for name, photo in table.photos.items():
            path = known.find(name, roots, table.path)
            if path is None:
                absent.append(name)
                continue
            chosen = part or photo.part or ("train" if "part" in table.columns.place else "")
            found.notes[UNASSIGNED] += chosen == "train" and not part and photo.part is None
            of_part = found.parts.setdefault(chosen or "train", {})
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
    found.unlisted = [path for path in walked if path not in listed]


def _roots(folders: Sequence[str], part: str) -> list[str]:
    """Returns the folders that names in a list may be relative to."""
    roots = []
    for folder in folders:
        places = [folder, *children(folder, IMAGE_FOLDERS)]
        of_part = [find_parts(place).get(part) for place in places]
        inner = [path for place in filter(None, of_part) for path in children(place, IMAGE_FOLDERS)]
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


def _find_names(found: CsvSet) -> None:
    """Reads the files of classes beside the tables."""
    places = [found.folder, *(os.path.dirname(t.path) or "." for t in found.tables.values())]
    paths = [
        path for place in dict.fromkeys(map(os.path.normpath, places)) for path in _csv_in(place)
    ]
    tables = {os.path.normpath(table.path) for table in found.tables.values()}
    class_file = ""
    for path in paths:
        stem = os.path.splitext(os.path.basename(path))[0]
        if path in tables:
            continue
        if _CLASS_FILE.fullmatch(stem):
            ids = _class_ids(path)
            if found.class_ids and ids != found.class_ids:
                raise UserError(f"{path} numbers the classes differently than {class_file}.")
            found.class_ids, class_file = ids, path
        elif _DESCRIPTIONS.fullmatch(stem) and not found.shown_names:
            pairs = (row for _, row in read_rows(path, None) if len(row) >= 2)
            found.shown_names = {row[0].strip(): class_name(row[1]) for row in pairs}
        else:
            continue
        found.inputs.append(path)
        found.lines.append(f"the names of the classes are those of {path}")


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
    inside = os.path.relpath(path, folder).split(os.sep)[:-1]
    return next((PART_OF[name.lower()] for name in inside if name.lower() in PART_OF), None)


def shown(names: Mapping[str, str], name: str) -> str:
    """Returns the name for people of a class of OpenImages; its own if there is none."""
    return names.get(name) or name
