"""Folders of pictures as people keep them: parts, names, and files that are left out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from efficientvision import files
from efficientvision.data.names import composed, spellings
from efficientvision.data.part_names import PART_OF, PARTS, part_of
from efficientvision.data.photos import PHOTO_SUFFIXES, is_photo_name
from efficientvision.errors import UserError

HIDDEN = "hidden files and folders"
READ_ALREADY = "links to folders that are read anyway"
# Records made of the pictures beside it, see `sources.cache`.
CACHE_FOLDER = ".efficientvision"
# Copies and thumbnails that macOS and file servers put beside pictures.
_HIDDEN_NAMES = ("__MACOSX", "@eaDir")


class LeftOut:
    """Counts unused files in a user's folders, by reason, with one example each."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, reason: str, example: str, count: int = 1) -> None:
        """Counts something left out; `reason` says what it is, `example` names the first."""
        self._counts[reason] += count
        self._first.setdefault(reason, example)

    def update(self, other: LeftOut) -> None:
        """Adds the counts of another one."""
        for reason, count in other._counts.items():
            self.add(reason, other._first[reason], count)

    def counted(self) -> Counter:
        """Returns the counts in the form of converters' reports."""
        return Counter(
            {f"{k} left out (first: {self._first[k]})": n for k, n in self._counts.items()}
        )


def is_hidden(name: str) -> bool:
    """Whether a file or folder is not the user's picture: `.ipynb_checkpoints`, `._1.jpg`."""
    return name.startswith(".") or name in _HIDDEN_NAMES


def find_parts(folder: str, is_part: Callable[[str], bool] = files.is_folder) -> dict[str, str]:
    """Finds the folders `train`, `val` and `test` in a folder, by their usual names in any case.

    Args:
        folder: Folder to search.
        is_part: Path of a candidate -> whether it is a part.

    Returns:
        Part -> path of its folder, in the order of `PARTS`. `train` comes before `train2017`.

    Raises:
        UserError: Two folders are the same part.
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
        if part is None or (part in plain and name.lower() not in PART_OF):
            continue
        path = os.path.join(folder, name)
        if not is_part(path):
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
    """Returns the paths of the pictures in a folder and below it, sorted.

    Args:
        folder: Folder to search; links are followed, but not into a folder that is read anyway.
        left_out: Counts files that are not pictures, hidden files, and links not followed.
        known_folders: Real paths of folders that are read separately.
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
            if name != CACHE_FOLDER:
                left_out.add(HIDDEN, os.path.join(place, name))
        folders[:] = sorted((name for name in folders if not is_hidden(name)), key=composed)
        for name in sorted((name for name in names if not is_hidden(name)), key=composed):
            path = os.path.join(place, name)
            if is_photo_name(path):
                yield path
            else:
                left_out.add(no_picture(name), path)


def _is_around(folder: str, place: str) -> bool:
    """Whether a folder contains a place, both real paths, so that a link to it makes a circle."""
    return os.path.join(os.path.realpath(place), "").startswith(os.path.join(folder, ""))


def list_folders(folder: str, left_out: LeftOut | None = None) -> list[str]:
    """Returns the paths of the folders in a folder; hidden ones are only counted."""
    paths = []
    for name in sorted(files.list_names(folder), key=composed):
        path = os.path.join(folder, name)
        if is_hidden(name):
            if left_out is not None and name != CACHE_FOLDER:
                left_out.add(HIDDEN, path)
        elif files.is_folder(path):
            paths.append(path)
    return paths


def folders_named(folder: str, names: Sequence[str]) -> list[str]:
    """Paths of the folders in a folder that have one of the names, in any case.

    Args:
        folder: Folder to search.
        names: Names; those at the beginning come first.
    """
    wanted = [name.lower() for name in names]
    found = [name for name in files.folder_names(folder) if name.lower() in wanted]
    found.sort(key=lambda name: wanted.index(name.lower()))
    return [os.path.join(folder, name) for name in found]


def only_folder(folder: str) -> str | None:
    """Path of the single folder in a folder, as an unpacked archive often has one; or None."""
    if not files.is_folder(folder):
        return None
    inner = [name for name in files.folder_names(folder) if not is_hidden(name)]
    return os.path.join(folder, inner[0]) if len(inner) == 1 else None


def count_beside(
    folder: str,
    parts: Iterable[str],
    left_out: LeftOut,
    why_no_part: str = "which has no class folders,",
) -> None:
    """Counts the pictures in a folder that are in none of its parts.

    Args:
        folder: Folder that contains the parts.
        parts: Paths of the parts' folders.
        left_out: Counts them.
        why_no_part: Reason for a folder with the name of a part.
    """
    known = set(parts)
    for path in list_folders(folder, left_out):
        if path in known:
            continue
        name = os.path.basename(path)
        why = why_no_part if name.lower() in PART_OF else "which is not a part,"
        for picture in walk_pictures(path, left_out):
            left_out.add(f"pictures of {name}/, {why}", picture)
    for name in files.list_names(folder):
        path = os.path.join(folder, name)
        if files.is_file(path) and not is_hidden(name):
            left_out.add(
                "pictures beside the parts" if is_photo_name(path) else no_picture(name), path
            )


def no_picture(name: str) -> str:
    """Describes a file that is not a picture, for `LeftOut`."""
    suffix = os.path.splitext(name)[1].lower()
    return f"{suffix} files" if suffix else "files without an extension that are not pictures"


def existing_file(folder: str, name: str) -> str | None:
    """Path of the file that a list names, in one of its `spellings`; None if there is none."""
    paths = (os.path.join(folder, spelling) for spelling in spellings(name))
    return next((path for path in paths if files.is_file(path)), None)


def looks_like_a_path(text: str) -> bool:
    """Whether a field of a list is meant as the path of a picture, existing or not."""
    suffix = os.path.splitext(text)[1].lower()
    # Misspelt extensions (.jgp) count, "v1.5 label" does not.
    is_ending = suffix in PHOTO_SUFFIXES or (suffix[1:].isalnum() and 2 <= len(suffix[1:]) <= 4)
    return is_ending or "/" in text or "\\" in text
