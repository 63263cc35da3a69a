"""Finds the folders of PASCAL annotations in a data set, and the names that belong to each part."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from efficientvision import files
from efficientvision.data.part_names import PART_OF, PARTS, part_of
from efficientvision.data.pascal_files import (
    annotation_folder,
    files_below,
    lists_folder,
    read_image_list,
)
from efficientvision.data.pascal_sets import PascalYear
from efficientvision.data.picture_folders import find_parts, is_hidden
from efficientvision.errors import UserError

_ROOT = re.compile(rb"<annotation[\s/>]")
_PEEK_BYTES = 1 << 12
_PEEKS = 3
# Folders of this many classes or sessions hold no years.
_MOST_FOLDERS = 20
_DEPTH = 3
_SETS = ("train", "val", "test")

Listed = list[tuple[PascalYear, str]]


@dataclass(frozen=True)
class Found:
    """The content of a data set.

    Attributes:
        parts: Part -> folder and name of each image.
        years: All folders of annotations.
        lists: Paths of the lists that were read.
        sources: Part -> the list or the folder of annotations that names its images.
        evidence: What tells the parts, or where the annotations are.
        notes: Lines to print.
    """

    parts: dict[str, Listed]
    years: list[PascalYear]
    lists: list[str]
    sources: dict[str, str]
    evidence: list[str]
    notes: list[str]


def find_images(folder: str) -> Found | None:
    """Finds the images of each part; None if there are no PASCAL annotations.

    Raises:
        UserError: It is unclear which list is meant.
    """
    found = Found({}, [], [], {}, [], [])
    if _holds_annotations(folder):
        year = PascalYear(folder)
        _add_year(found, year, folder)
        beside_photos = year.annotations.folder == folder
        for place in _years_below(folder, _DEPTH) if beside_photos else ():
            _add_year(found, PascalYear(place), folder)
    elif parts := find_parts(folder, _holds_annotations):
        for part, place in parts.items():
            _add_whole(found, PascalYear(place), part, folder)
    else:
        for place in _years_below(folder, _DEPTH):
            _add_year(found, PascalYear(place), folder)
    return found if found.years else None


def _holds_annotations(folder: str) -> bool:
    """Whether a folder has PASCAL annotations, beside photos or in a folder of their own."""
    if not files.is_folder(folder):
        return False
    try:
        place = annotation_folder(folder)
        names = files_below(place, (".xml",), is_flat=place == folder)
        first = [os.path.join(place, name) for name in itertools.islice(names, _PEEKS)]
    except PermissionError:  # Such as lost+found.
        return False
    return any(map(_is_annotation, first))


def _is_annotation(path: str) -> bool:
    try:
        with files.reading(path) as file:
            content = file.read(_PEEK_BYTES)
    except OSError:
        return False
    return _ROOT.search(content.replace(b"\0", b"")) is not None


def _years_below(folder: str, depth: int) -> list[str]:
    """Folders below one that have annotations, such as VOC2007 and VOC2012."""
    try:
        names = files.folder_names(folder)
    except PermissionError:
        return []
    inner = [os.path.join(folder, name) for name in names if not is_hidden(name)]
    if not depth or len(inner) > _MOST_FOLDERS:
        return []
    if years := [place for place in inner if _holds_annotations(place)]:
        return years
    return [year for place in inner for year in _years_below(place, depth - 1)]


def _add_whole(found: Found, year: PascalYear, part: str, root: str) -> None:
    """Adds all annotations of a folder to a part."""
    found.years.append(year)
    found.parts.setdefault(part, []).extend((year, name) for name in year.annotations.paths)
    found.sources.setdefault(part, year.annotations.folder)
    place = files.relative(year.annotations.folder, root)
    found.evidence.append(os.path.normpath(os.path.join(place, "*.xml")))


def _add_year(found: Found, year: PascalYear, root: str) -> None:
    """Adds the annotations of a folder to the parts that its lists or its folders tell."""
    sets = _choose_lists(year.folder)
    if not sets:
        return _add_by_folder(found, year, root)
    found.years.append(year)
    names = {part: _read_list(year, name) for part, name in sets.items()}
    if sets.get("train") == "trainval" and "val" in names:
        val = set(names["val"])
        names["train"] = [name for name in names["train"] if name not in val]
    for part, own in names.items():
        if own:
            found.parts.setdefault(part, []).extend((year, name) for name in own)
    known = {year.annotations.path_of(name) for own in names.values() for name in own}
    if others := sum(path not in known for path in year.annotations.paths.values()):
        found.notes.append(f"{others:,} annotations in {year.annotations.folder} are in no list")
    place = lists_folder(year.folder)
    found.lists.extend(os.path.join(place, name) for name in files.list_names(place))
    for part, name in sets.items():
        star = "" if files.is_file(os.path.join(place, f"{name}.txt")) else "*_"
        path = os.path.join(place, f"{star}{name}.txt")
        found.sources.setdefault(part, path)
        found.evidence.append(files.relative(path, root))
    return None


def _add_by_folder(found: Found, year: PascalYear, root: str) -> None:
    """Adds annotations to the parts of their folders: `annotations/train/1.xml`."""
    paths = year.annotations.paths
    inner = {name: part_of(name.partition("/")[0]) if "/" in name else None for name in paths}
    if None in inner.values() or not {"train", "val"} & set(inner.values()):
        return _add_whole(found, year, "train", root)
    found.years.append(year)
    for part in PARTS:
        if own := [name for name in paths if inner[name] == part]:
            found.parts.setdefault(part, []).extend((year, name) for name in own)
            place = os.path.join(year.annotations.folder, os.path.dirname(own[0]))
            found.sources.setdefault(part, place)
            found.evidence.append(os.path.join(files.relative(place, root), "*.xml"))
    return None


def _choose_lists(year_dir: str) -> dict[str, str]:
    """Chooses the list of each part; empty if there are no lists.

    Raises:
        UserError: Several lists have names that say nothing.
    """
    there = files.list_names(lists_folder(year_dir))
    names = [n[:-4] for n in there if n.lower().endswith(".txt") and not is_hidden(n)]
    if not names:
        return {}
    # In VOC, each class has lists of its own as well: cat_train.txt.
    standard = (*_SETS, "trainval")
    of_class = [n for n in names if n.lower().endswith(tuple(f"_{s}" for s in standard))]
    sets: dict[str, str] = {}
    # Plain names come first: train before training_set.
    for name in sorted(names, key=lambda name: name.lower() not in PART_OF):
        if (part := part_of(name)) is not None:
            sets.setdefault(part, name)
    for part in _SETS:
        if part not in sets and any(name.endswith(f"_{part}") for name in of_class):
            sets[part] = part
    if "train" not in sets:
        if "trainval" in names or any(name.endswith("_trainval") for name in of_class):
            sets["train"] = "trainval"
    if {"train", "val"} & set(sets):
        return {part: sets[part] for part in PARTS if part in sets}
    others = [name for name in names if name not in of_class and part_of(name) is None]
    if len(others) > 1:
        raise UserError(
            f"{lists_folder(year_dir)} has the lists {', '.join(others[:5])}, and none is named "
            "train or val: rename one of them to train.txt, or remove the others."
        )
    return {"train": others[0], **sets} if others else sets


def _read_list(year: PascalYear, name: str) -> Sequence[str]:
    """Reads a list; lists that are there and empty list nothing."""
    path = os.path.join(lists_folder(year.folder), f"{name}.txt")
    if files.is_file(path) and not files.read_text(path).strip():
        return []
    return read_image_list(year.folder, name, year.annotations)
