"""Folders of pictures as people keep them: their parts, their names, and what is left out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from efficientvision import files
from efficientvision.data.names import composed, spellings
from efficientvision.data.part_names import PART_OF, PARTS, part_of
from efficientvision.data.photos import PHOTO_SUFFIXES, is_photo_name
from efficientvision.errors import UserError

HIDDEN = "hidden files and folders"
READ_ALREADY = "links to folders that are read already"
# Copies and thumbnails that macOS and file servers keep beside pictures.
_HIDDEN_NAMES = ("__MACOSX", "@eaDir")


class LeftOut:
    """What is in a user's folders and not used: how often, by reason, each with one example."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, reason: str, example: str, count: int = 1) -> None:
        """Counts what is left out; `reason` says what it is, `example` names the first."""
        self._counts[reason] += count
        self._first.setdefault(reason, example)

    def update(self, other: LeftOut) -> None:
        """Takes over what another has counted."""
        for reason, count in other._counts.items():
            self.add(reason, other._first[reason], count)

    def counted(self) -> Counter:
        """As the reports of converters count it."""
        return Counter(
            {f"{k} left out (first: {self._first[k]})": n for k, n in self._counts.items()}
        )


def is_hidden(name: str) -> bool:
    """Whether a file or folder is none of the user's pictures: `.ipynb_checkpoints`, `._1.jpg`."""
    return name.startswith(".") or name in _HIDDEN_NAMES


def find_parts(folder: str, is_part: Callable[[str], bool] = files.is_folder) -> dict[str, str]:
    """The folders `train`, `val` and `test` in a folder, by their usual names in any case.

    Args:
        folder: where to look.
        is_part: path of one that is called so -> whether it is one.

    Returns:
        Part -> path of its folder, in the order of `PARTS`. `train` comes before `train2017`.

    Raises:
        UserError: two folders are one part.
    """
    found: dict[str, str] = {}
    names = files.list_names(folder)
    plain = {
        PART_OF[name.lower()]
        for name in names
        if name.lower() in PART_OF and is_part(os.path.join(folder, name))
    }
    for name in names:
        part = part_of(name)
        path = os.path.join(folder, name)
        if part is None or not is_part(path) or (part in plain and name.lower() not in PART_OF):
            continue
        if part in found:
            raise UserError(
                f"{found[part]} and {path} are both the part {part!r}: merge or rename one."
            )
        found[part] = path
    return {part: found[part] for part in PARTS if part in found}


def walk_pictures(
    folder: str, left_out: LeftOut, known_folders: Iterable[str] = ()
) -> Iterator[str]:
    """The paths of the pictures in a folder and below it, sorted.

    Args:
        folder: where to look; links are followed, but not into a folder that is read anyway.
        left_out: counts the files that are no pictures, what is hidden, and links not followed.
        known_folders: real paths of folders that are read on their own.
    """
    seen = {os.path.realpath(folder)}
    for place, folders, names in os.walk(folder, followlinks=True):
        for name in [name for name in folders if os.path.islink(os.path.join(place, name))]:
            path = os.path.join(place, name)
            real = os.path.realpath(path)
            if real in seen or real in known_folders or _is_around(real, place):
                folders.remove(name)
                left_out.add(READ_ALREADY, path)
            else:
                seen.add(real)
        for name in sorted(filter(is_hidden, folders + names)):
            left_out.add(HIDDEN, os.path.join(place, name))
        folders[:] = sorted((name for name in folders if not is_hidden(name)), key=composed)
        for name in sorted((name for name in names if not is_hidden(name)), key=composed):
            path = os.path.join(place, name)
            if is_photo_name(path):
                yield path
            else:
                left_out.add(no_picture(name), path)


def _is_around(folder: str, place: str) -> bool:
    """Whether a real folder holds a place: a link to it leads in a circle."""
    return os.path.join(os.path.realpath(place), "").startswith(os.path.join(folder, ""))


def list_folders(folder: str, left_out: LeftOut | None = None) -> list[str]:
    """The paths of the folders in a folder, but for hidden ones, which are counted."""
    paths = []
    for name in sorted(files.list_names(folder), key=composed):
        path = os.path.join(folder, name)
        if is_hidden(name):
            if left_out is not None:
                left_out.add(HIDDEN, path)
        elif files.is_folder(path):
            paths.append(path)
    return paths


def count_beside(
    folder: str,
    parts: Iterable[str],
    left_out: LeftOut,
    why_no_part: str = "which has no folders of classes,",
) -> None:
    """Counts the pictures that stand in a folder, but in none of its parts.

    Args:
        folder: that of the parts.
        parts: the paths of their folders.
        left_out: counts them.
        why_no_part: of a folder that is called as a part.
    """
    known = set(parts)
    for path in list_folders(folder, left_out):
        if path in known:
            continue
        name = os.path.basename(path)
        why = why_no_part if name.lower() in PART_OF else "which is no part,"
        for picture in walk_pictures(path, left_out):
            left_out.add(f"pictures of {name}/, {why}", picture)
    for name in files.list_names(folder):
        path = os.path.join(folder, name)
        if files.is_file(path) and not is_hidden(name):
            left_out.add(
                "pictures beside the parts" if is_photo_name(path) else no_picture(name), path
            )


def no_picture(name: str) -> str:
    """How `LeftOut` calls a file that is no picture."""
    suffix = os.path.splitext(name)[1].lower()
    return f"{suffix} files" if suffix else "files without an ending that are no pictures"


def existing_file(folder: str, name: str) -> str | None:
    """The path of the file that a list means, in one of its `spellings`; None: there is none."""
    paths = (os.path.join(folder, spelling) for spelling in spellings(name))
    return next((path for path in paths if files.is_file(path)), None)


def looks_like_a_path(text: str) -> bool:
    """Whether a field of a list is meant as a picture's path, be there such a file or not."""
    suffix = os.path.splitext(text)[1].lower()
    # Misspelt endings (.jgp) count, "v1.5 label" does not.
    is_ending = suffix in PHOTO_SUFFIXES or (suffix[1:].isalnum() and 2 <= len(suffix[1:]) <= 4)
    return is_ending or "/" in text or "\\" in text
