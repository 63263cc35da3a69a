"""Finds the CSV files of boxes in a folder; their rows are not read yet."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from efficientvision import files
from efficientvision.data.part_names import PART_OF, PARTS, part_of
from efficientvision.data.picture_folders import (
    LeftOut,
    folders_named,
    is_hidden,
    list_folders,
    only_folder,
    walk_pictures,
)
from efficientvision.data.sources.csv_columns import SUFFIXES, Columns, read_columns
from efficientvision.data.sources.csv_table import part_named, read_column
from efficientvision.data.sources.yolo_pairs import IMAGE_FOLDERS
from efficientvision.errors import UserError

_TABLE_FOLDERS = ("annotations", "annots", "labels", "csv", "data", "boxes")
_CLASS_FILE = re.compile(r"_?class(es)?|class[-_ ]?(list|map(ping)?|names?)|labels?[-_ ]?map", re.I)
_DESCRIPTIONS = re.compile(r".*class[-_]descriptions.*", re.I)


@dataclass
class CsvFiles:
    """The CSV files of a data set, and the photos beside them.

    Attributes:
        folder: Its folder.
        tables: Part -> path and columns of its file of boxes; the part of a single file is "".
        photos: Paths of the photos in the folder.
        class_files: Files of `name,id`.
        description_files: OpenImages' files of names for people.
        lines: Lines to print.
    """

    folder: str
    tables: dict[str, tuple[str, Columns]]
    photos: list[str] = field(default_factory=list)
    class_files: list[str] = field(default_factory=list)
    description_files: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def paths(self) -> list[str]:
        """Paths of all CSV files."""
        tables = [path for path, _ in self.tables.values()]
        return [*tables, *self.class_files, *self.description_files]

    def parts(self) -> set[str]:
        """Parts that the data names, by its files or in a column; "" if it names none."""
        parts = set(self.tables)
        for path, columns in self.tables.values():
            if "part" in columns.place:
                parts |= {part_named(text) or "" for text in read_column(path, columns, "part")}
        return parts

    def photos_elsewhere(self) -> list[str]:
        """Paths of listed photos that are not in the folder, if it has none at all."""
        if self.photos:
            return []
        paths = (
            os.path.join(os.path.dirname(path), name)
            for path, columns in self.tables.values()
            for name in sorted(read_column(path, columns, "photo"))
        )
        return list(filter(files.is_file, paths))


def find_files(path: str) -> CsvFiles | None:
    """Finds the CSV files of boxes of a data set.

    Args:
        path: The folder, or one with nothing but that folder in it; or a CSV file.

    Returns:
        The files; None if there are none of boxes.

    Raises:
        UserError: There are several and it is unclear which to take, or none can be used.
    """
    if files.is_remote(path):
        return None
    found = _find_files(path)
    inner = None if found else only_folder(path)
    return _find_files(inner) if inner else found


def _find_files(path: str) -> CsvFiles | None:
    if files.is_file(path):
        if not path.lower().endswith(SUFFIXES):
            return None
        folder = os.path.dirname(path) or "."
        found = [(path, "")]
        if os.path.basename(os.path.abspath(folder)).lower() in _TABLE_FOLDERS:
            folder = os.path.normpath(os.path.join(folder, ".."))
    else:
        folder, found = path, list(_csv_files(path))
    tables, lines = _choose_tables(found)
    if not tables:
        return None
    result = CsvFiles(folder, tables, lines=lines)
    result.photos = list(map(os.path.normpath, walk_pictures(folder, LeftOut())))
    places = [folder, *(os.path.dirname(table) or "." for table, _ in tables.values())]
    for place in dict.fromkeys(map(os.path.normpath, places)):
        for beside in _csv_in(place):
            stem = os.path.splitext(os.path.basename(beside))[0]
            if beside in {os.path.normpath(table) for table, _ in tables.values()}:
                continue
            if _CLASS_FILE.fullmatch(stem):
                result.class_files.append(beside)
            elif _DESCRIPTIONS.fullmatch(stem):
                result.description_files.append(beside)
    return result


def _csv_files(folder: str) -> Iterator[tuple[str, str]]:
    """Yields the CSV files of a folder and of those in it that may hold some, with their parts."""
    inner = folders_named(folder, (*_TABLE_FOLDERS, *IMAGE_FOLDERS))
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


def _choose_tables(
    found: Sequence[tuple[str, str]],
) -> tuple[dict[str, tuple[str, Columns]], list[str]]:
    """Returns the files of boxes by part, with their columns, and lines to print."""
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
    by_part: dict[str, tuple[str, Columns]] = {}
    for path, part, columns in of_boxes:
        other = by_part.setdefault(part, (path, columns))
        if other[0] != path:
            where = f" for {part}" if part else ""
            raise UserError(
                f"{other[0]} and {path} could each be the list of boxes{where}: name the file to "
                "use instead of the folder, or remove the other."
            )
    return {part: by_part[part] for part in ("", *PARTS) if part in by_part}, lines
