"""Finds the photos and label files of a YOLO data set: `data.yaml`, `obj.data`, or folders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from efficientvision import files
from efficientvision.data.photos import is_photo_name
from efficientvision.data.picture_folders import (
    LeftOut,
    count_beside,
    find_parts,
    folders_named,
    is_hidden,
    only_folder,
    walk_pictures,
)
from efficientvision.data.sources.listed_photos import ListedPhotos
from efficientvision.data.sources.yolo_labels import looks_like_labels
from efficientvision.data.sources.yolo_pairs import (
    IMAGE_FOLDERS,
    LABEL_FOLDERS,
    Beside,
    LabelFiles,
    first_labels,
    label_beside,
)
from efficientvision.data.sources.yolo_yaml import (
    SUFFIXES,
    DataFile,
    find_yaml,
    is_darknet,
    read_class_names,
    read_darknet,
    read_names,
    read_yaml,
)
from efficientvision.errors import UserError

# Wording of the report's counts.
LISTED_TWICE = "photos that are listed twice, taken once"

_NAME_FILES = ("classes.txt", "predefined_classes.txt")


@dataclass
class YoloSet:
    """A YOLO data set; label files are not read yet.

    Attributes:
        folder: Its folder.
        data: Places, names and lines to print.
        evidence: What it was recognised by.
        parts: Part -> path of each photo -> path of its label file, or None.
        unused_labels: Label files without a photo.
        inputs: Paths of the files that list photos or name classes.
        missing: List of photos -> (names that do not exist, number of names).
        notes: Counts for the report.
        left_out: Counts of files that are not used.
    """

    folder: str
    data: DataFile
    evidence: str = ""
    parts: dict[str, dict[str, str | None]] = field(default_factory=dict)
    unused_labels: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    missing: dict[str, tuple[list[str], int]] = field(default_factory=dict)
    notes: Counter = field(default_factory=Counter)
    left_out: LeftOut = field(default_factory=Beside)


def find_set(path: str) -> YoloSet | None:
    """Finds a YOLO data set.

    Args:
        path: Its folder, or one with nothing but that folder in it; its `data.yaml`; or darknet's
            `obj.data`.

    Returns:
        The data set; None if the folder is of another kind.

    Raises:
        UserError: It is a YOLO data set, but its description is wrong.
    """
    if files.is_remote(path):
        return None
    found = _find_set(path)
    inner = None if found else only_folder(path)
    return _find_set(inner) if inner else found


def _find_set(path: str) -> YoloSet | None:
    folder = path
    data: DataFile | None
    if files.is_file(path):
        folder = os.path.dirname(path) or "."
        if path.lower().endswith(SUFFIXES):
            data = read_yaml(path)
        elif path.lower().endswith(".data"):
            data = read_darknet(path)
        else:
            return None
    else:
        data = _described(folder)
    found = YoloSet(folder, data or DataFile(folder, roots=[folder]))
    if data is None:
        if not _find_folders(found):
            return None
    else:
        found.inputs += [data.path, *data.inputs]
        found.evidence = f"{os.path.basename(data.path)} ({', '.join(data.places)})"
    _pair(found)
    return found


def _described(folder: str) -> DataFile | None:
    """Reads the file that describes the data set of a folder; None if there is none."""
    chosen = find_yaml(folder)
    if chosen:
        return read_yaml(chosen)
    darknet = [
        os.path.join(folder, name)
        for name in files.list_names(folder)
        if name.lower().endswith(".data") and is_darknet(os.path.join(folder, name))
    ]
    described = [data for data in map(read_darknet, darknet) if data.places]
    if described[1:]:
        raise UserError(
            f"{described[0].path} and {described[1].path} could each describe the data: name "
            "the file to use instead of the folder."
        )
    return described[0] if described else None


def _find_folders(found: YoloSet) -> bool:
    """Fills in the places of a data set without a description; returns whether it is one."""
    root, places = found.folder, found.data.places
    images = [path for path in folders_named(root, IMAGE_FOLDERS) if _has_photos(path)]
    labels = [
        path for path in folders_named(root, LABEL_FOLDERS) if _are_labels(first_labels(path))
    ]
    if images and labels:
        top, name = images[0], f"{os.path.basename(images[0])}/ and "
    elif labels:
        top, name = root, ""
    else:
        parts = find_parts(root, _holds_labels)
        if not parts and not _holds_labels(root):
            return False
        if parts:
            count_beside(root, parts.values(), found.left_out)
        places.update({part: [path] for part, path in (parts or {"train": root}).items()})
        names = ", ".join(f"{os.path.basename(path)}/" for path in parts.values())
        found.evidence = f"photos with labels in {names}" if parts else "labels beside the photos"
        return True
    parts = find_parts(top, lambda path: files.is_folder(path) and _has_photos(path))
    if parts:
        count_beside(top, parts.values(), found.left_out)
    elif not _has_photos(top):
        return False
    places.update({part: [path] for part, path in (parts or {"train": top}).items()})
    found.evidence = f"{name}{os.path.basename(labels[0])}/"
    found.evidence += f" ({', '.join(parts)})" if parts else ""
    return True


def _has_photos(folder: str) -> bool:
    return next(walk_pictures(folder, LeftOut()), None) is not None


def _are_labels(paths: Sequence[str]) -> bool:
    return any(map(looks_like_labels, paths))


def _holds_labels(folder: str) -> bool:
    """Whether a folder contains photos with labels, beside them or in its `labels/`."""
    if not files.is_folder(folder):
        return False
    inside = folders_named(folder, LABEL_FOLDERS)
    if any(_are_labels(first_labels(path)) for path in inside) and _has_photos(folder):
        return True
    beside = label_beside(folder)
    return beside is not None and looks_like_labels(beside)


def _pair(found: YoloSet) -> None:
    """Finds the photos of each part, their labels and, where missing, the names of the classes."""
    labels = LabelFiles(found.folder)
    known: ListedPhotos | None = None
    for part, places in found.data.places.items():
        of_part = found.parts.setdefault(part, {})
        for place in places:
            if files.is_folder(place):
                paths = list(walk_pictures(place, found.left_out))
            elif is_photo_name(place):
                paths = [place]
            else:
                if known is None:
                    known = ListedPhotos(walk_pictures(found.folder, LeftOut()))
                found.inputs.append(place)
                paths = _listed(found, place, known)
            for path in map(os.path.normpath, paths):
                found.notes[LISTED_TWICE] += path in of_part
                of_part[path] = labels.of(path)
        if not of_part and part != "test" and found.missing.keys().isdisjoint(places):
            raise UserError(
                f"The data set {found.folder} has no photos for {part} in {' or '.join(places)}: "
                "put them there, or correct the place."
            )
    if known is not None:
        found.notes.update(known.notes)
        found.data.lines += known.said()
    found.unused_labels = labels.unused()
    if not found.data.names and (named := read_class_names(found.folder, found.data.lines)):
        found.inputs.append(named[0])
        found.data.names = named[1]
    if not found.data.names:
        _find_names(found, [found.folder, *labels.folders()])


def _listed(found: YoloSet, path: str, known: ListedPhotos) -> list[str]:
    """Returns the photos of a list, one path on each line."""
    names = [line.strip() for line in files.read_text(path).splitlines()]
    names = [name for name in names if name and not name.startswith("#")]
    if not names:
        raise UserError(f"The list of photos {path} is empty.")
    roots = list(dict.fromkeys([os.path.dirname(path) or ".", *found.data.roots]))
    paths = [known.find(name, roots, path) for name in names]
    absent = [name for name, at in zip(names, paths, strict=True) if at is None]
    if absent:
        found.missing[path] = absent, len(names)
    return [at for at in paths if at is not None]


def _find_names(found: YoloSet, folders: Sequence[str]) -> None:
    """Reads the names of the classes from `classes.txt` or `obj.names`, if there is one."""
    paths = [
        os.path.join(folder, name)
        for folder in dict.fromkeys(map(os.path.normpath, folders))
        for name in files.list_names(folder)
        if name.lower() in _NAME_FILES or (name.lower().endswith(".names") and not is_hidden(name))
    ]
    read = {path: read_names(path) for path in paths}
    for path, names in read.items():
        if names != read[paths[0]]:
            raise UserError(
                f"{paths[0]} and {path} name the classes differently: remove the wrong one."
            )
    if paths:
        found.inputs += paths
        found.data.names = read[paths[0]]
        found.data.lines.append(f"the names of the classes are those of {paths[0]}")
