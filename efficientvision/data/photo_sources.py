"""Photos to predict, as users name them: a file, a folder, a glob, a list, or Python's list."""

from __future__ import annotations

import os
from collections.abc import Sequence
from glob import has_magic
from typing import NamedTuple

from efficientvision import files
from efficientvision.data.photo_names import paths_below, photo_names
from efficientvision.data.photos import PHOTO_SUFFIXES, list_photos
from efficientvision.data.picture_folders import LeftOut, existing_file, walk_pictures
from efficientvision.errors import UserError
from efficientvision.files import AnyPath

LIST_SUFFIX = ".txt"
IN_OUTPUT = "pictures of an earlier prediction"


class NamedPhoto(NamedTuple):
    """A photo to predict.

    Attributes:
        path: Path of the file.
        shown: Path below the photos' folder, for tables.
        name: Name without ending, unique, for files: see `photo_names`.
    """

    path: str
    shown: str
    name: str


def find_photos(
    source: AnyPath | Sequence[AnyPath], outputs: Sequence[AnyPath], left_out: LeftOut
) -> list[NamedPhoto]:
    """Finds photos.

    Args:
        source: A photo; a folder, with all folders in it; a glob; a text file with a path on each
            line, relative to the file's folder or the current one; or a sequence of photos, folders
            and globs.
        outputs: Folders of results: their pictures are no photos.
        left_out: Counts files that are left out of a folder.

    Raises:
        UserError: There are none.
    """
    root = None
    if not isinstance(source, (str, os.PathLike)):
        paths = [p for one in source for p in _expanded(files.as_text(one), outputs, left_out)]
        if not paths:
            raise UserError("`photos` is an empty list.")
    elif (path := files.as_text(source)).lower().endswith(LIST_SUFFIX) and files.is_file(path):
        paths = _listed(path)
    elif files.is_folder(path) and not files.is_remote(path):
        root, paths = path, _in_folder(path, outputs, left_out)
    else:
        paths = list_photos(path)
    shown, names = paths_below(paths, root), photo_names(paths, root)
    return [NamedPhoto(*one) for one in zip(paths, shown, names, strict=True)]


def _expanded(path: str, outputs: Sequence[AnyPath], left_out: LeftOut) -> list[str]:
    """Returns the photos of one of several paths: of a folder or glob, or the path itself."""
    if files.is_folder(path) and not files.is_remote(path):
        return _in_folder(path, outputs, left_out)
    if has_magic(path) and not files.exists(path):
        return list_photos(path)
    return [path]


def _in_folder(folder: str, outputs: Sequence[AnyPath], left_out: LeftOut) -> list[str]:
    inside = tuple(os.path.join(files.absolute(output), "") for output in outputs)
    paths = []
    for path in walk_pictures(folder, left_out):
        if files.absolute(path).startswith(inside):
            left_out.add(IN_OUTPUT, path)
        else:
            paths.append(path)
    if not paths:
        found = "; ".join(f"{count} {reason}" for reason, count in left_out.counted().items())
        raise UserError(
            f"the folder {folder} and the folders in it have no pictures "
            f"({' '.join(PHOTO_SUFFIXES)}){f'; found: {found}' if found else ''}"
        )
    return paths


def _listed(path: str) -> list[str]:
    """Reads the paths in a list; a path that leads nowhere stays as it is."""
    lines = [line.strip() for line in files.read_text(path).splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise UserError(f"{path} lists no photos.")
    folder = files.parent(path)
    found = [
        next((place for base in (folder, "") if (place := existing_file(base, line))), None)
        for line in lines
    ]
    if not any(found):
        raise UserError(
            f"none of the {len(lines)} photos in {path} exists, the first is {lines[0]}: write "
            "paths relative to the list's folder."
        )
    return [place or line for place, line in zip(found, lines, strict=True)]
