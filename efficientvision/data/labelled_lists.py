"""Reads images with classes from a list of path,label lines, from spreadsheets and scripts."""

from __future__ import annotations

import itertools
import logging
import os

from efficientvision import files
from efficientvision.data.csv_rows import read_rows
from efficientvision.data.labelled_images import LabelledImage
from efficientvision.data.names import class_name, composed
from efficientvision.data.photos import PHOTO_SUFFIXES, is_photo_name
from efficientvision.data.picture_folders import existing_file, looks_like_a_path
from efficientvision.errors import UserError

log = logging.getLogger(__name__)

_HEADINGS = set("category categories class classes label labels tag tags target".split())
_ONE_HOT = {"0", "1"}


def read_csv(csv_file: str, image_dir: str | None = None) -> list[LabelledImage]:
    """Reads a list of `path,label` lines; several labels are separated by `;`, none is allowed.

    A first line without anything that looks like the path of a picture, such as `path,label`, is a
    heading. Lines that repeat another are left out, with a message.

    Args:
        csv_file: Path of the list.
        image_dir: Folder that paths are relative to; None: the list's folder.

    Raises:
        UserError: There is no such file, a line has another form, an image does not exist, or it
            has different labels in another line.
    """
    folder = image_dir or files.parent(csv_file)
    images: dict[str, LabelledImage] = {}
    lines: dict[str, int] = {}
    repeated = []
    heading = None
    for number, row in read_rows(csv_file, what="a list of path,label"):
        where = f"{csv_file}, line {number}"
        if len(row) != 2:
            raise UserError(
                f"{where}: expected path,label, got {len(row)} fields; separate "
                "them by a comma and several labels by ; and put a path with a comma into quotes."
            )
        name, label = composed(row[0].strip()), class_name(row[1])
        path = existing_file(folder, row[0].strip())
        if path is None:
            is_heading = label.lower() in _HEADINGS
            if (
                heading is None
                and not images
                and (is_heading or not any(map(looks_like_a_path, (name, label))))
            ):
                log.info(f"{csv_file}: taking the first line, {name},{label}, as the heading.")
                heading = label
                continue
            raise UserError(f"{where}: there is no image {os.path.join(folder, name)}.")
        labels = tuple(dict.fromkeys(filter(None, (part.strip() for part in label.split(";")))))
        path = os.path.normpath(path)
        source_id = os.path.normpath(name.replace("\\", "/"))
        image = LabelledImage(path, source_id, labels)
        if path not in images:
            images[path], lines[path] = image, number
        elif set(labels) == set(images[path].classes):
            repeated.append((lines[path], number))
        else:
            raise UserError(
                f"{csv_file}: line {lines[path]} gives {name} the label "
                f"{';'.join(images[path].classes)!r}, but line {number} {label!r}: write all "
                "labels of an image in one line, separated by ; such as cat;dog."
            )
    if not images:
        raise UserError(f"{csv_file} lists no images.")
    if heading is not None and heading.lower() not in _HEADINGS:
        _refuse_one_hot(csv_file, heading, images)
    if repeated:
        log.info(
            f"{csv_file}: {len(repeated)} repeated lines are left out (the first: line "
            f"{repeated[0][1]} repeats line {repeated[0][0]})."
        )
    return list(images.values())


def labels_pictures(csv_file: str) -> bool:
    """Whether a file has the form of `read_csv`: the first fields of its first lines are photos."""
    try:
        first = [row for _, row in itertools.islice(read_rows(csv_file), 2)]
    except UserError:
        return False
    names = [row[0].strip() for row in first if len(row) == 2]
    paths = (existing_file(files.parent(csv_file), name) for name in names)
    return any(map(is_photo_name, filter(None, paths))) or any(
        os.path.splitext(name)[1].lower() in PHOTO_SUFFIXES for name in names
    )


def _refuse_one_hot(csv_file: str, heading: str, images: dict[str, LabelledImage]) -> None:
    """Refuses a column `cat` of 0 and 1: it says which photos show a cat, not "0" or "1"."""
    if {name for image in images.values() for name in image.classes} <= _ONE_HOT:
        raise UserError(
            f"{csv_file} has a column {heading!r} of 0 and 1: write the name of the class in "
            f"each line (such as {heading} and other), or name the column label if the classes "
            "are really named 0 and 1."
        )
