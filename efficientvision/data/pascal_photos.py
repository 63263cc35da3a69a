"""Finds the photo of each PASCAL annotation: by the XML's own name, or else its ``<filename>``.

Files get renamed and XML files get copied, but ``<filename>`` stays unchanged. So the name of the
XML file itself comes first, and no photo belongs to two annotations.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from efficientvision import files
from efficientvision.data.names import composed
from efficientvision.data.pascal_files import files_below, parse_xml
from efficientvision.data.photos import PHOTO_SUFFIXES
from efficientvision.data.picture_folders import folders_named
from efficientvision.errors import UserError

_FOLDERS = ("JPEGImages", "images", "PNGImages", "image", "imgs", "img", "photos", "pictures")


@dataclass(frozen=True)
class PhotoOf:
    """Result of a search: the path of a photo, or a sentence on why there is none."""

    path: str | None = None
    problem: str | None = None


class YearPhotos:
    """The photos of a year's folder; each folder is listed only once.

    Args:
        year_dir: The folder; photos are looked for in it and in its `JPEGImages`, `images` and the
            like, in any case.
    """

    def __init__(self, year_dir: str):
        inner = folders_named(year_dir, _FOLDERS)
        self._own = inner or [year_dir]
        self._year_dir = year_dir
        self.folders = [*inner, year_dir]
        self._listed: dict[str, dict[str, list[str]]] = {}

    def all(self) -> Iterator[str]:
        """Paths of all photos; if they have no folder, of those beside the annotations."""
        for folder in self._own:
            for name in files_below(folder, PHOTO_SUFFIXES, is_flat=folder == self._year_dir):
                yield os.path.join(folder, name)

    def find(self, name: str, xml: str) -> PhotoOf:
        """Finds the photo of an annotation.

        Args:
            name: Name as in the list: below the annotations' folder, without an extension.
            xml: Path of the annotation.
        """
        own = self._called(name)
        if len(own) == 1:
            return PhotoOf(own[0])
        try:
            stated = stated_name(parse_xml(xml))
        except UserError as error:
            return PhotoOf(problem=error.sentence)
        # Windows tools write whole paths.
        last = re.split(r"[\\/]", stated)[-1]
        if own:
            return PhotoOf(next((p for p in own if os.path.basename(p) == last), own[0]))
        for wanted in (stated, last) if stated else ():
            path = self._inside(wanted)
            if path:
                return PhotoOf(path)
        below = self._called(os.path.basename(name))
        if below:
            return PhotoOf(below[0])
        if last:
            return PhotoOf(problem=f"The image {self._place(last)} does not exist.")
        return PhotoOf(
            problem=f"The photo of {xml} does not exist: {self._own[0]} has no file {name} with "
            "a picture's extension, and the annotation has no <filename>."
        )

    def _place(self, name: str) -> str:
        return os.path.join(self._own[0], name)

    def _called(self, name: str) -> list[str]:
        """Paths of the photos with a name without extension, all in one folder."""
        inner, stem = os.path.split(name)
        for folder in self.folders:
            place = os.path.join(folder, inner) if inner else folder
            found = [p for p in self._names(place).get(composed(stem), ()) if files.is_file(p)]
            if found:
                return found
        return []

    def _inside(self, name: str) -> str | None:
        """Photo with a name including its extension, unless that leads out of the folders."""
        if os.path.isabs(name) or ".." in name.split("/"):
            return None
        inner, last = os.path.split(name)
        for folder in self.folders:
            place = os.path.join(folder, inner) if inner else folder
            stems = (last, os.path.splitext(last)[0])
            for path in (p for stem in stems for p in self._names(place).get(composed(stem), ())):
                if composed(os.path.basename(path)) == composed(last) and files.is_file(path):
                    return path
        return None

    def _names(self, folder: str) -> Mapping[str, list[str]]:
        """Name without a picture's extension -> paths in a folder, in the order of extensions."""
        if folder not in self._listed:
            found: dict[str, list[tuple[int, str]]] = {}
            for name in files.list_names(folder):
                stem, suffix = os.path.splitext(name)
                order = len(PHOTO_SUFFIXES)
                if suffix.lower() in PHOTO_SUFFIXES:
                    order = PHOTO_SUFFIXES.index(suffix.lower())
                elif suffix.lower() == ".xml":
                    continue
                else:
                    stem = name
                found.setdefault(composed(stem), []).append((order, os.path.join(folder, name)))
            self._listed[folder] = {
                stem: [path for _, path in sorted(paths)] for stem, paths in found.items()
            }
        return self._listed[folder]


def stated_name(root: Any) -> str:
    """Name of the photo according to an annotation; "" if it names none."""
    return (root.findtext("filename") or "").strip()


def names_another(stated: str, path: str) -> bool:
    """Whether an annotation names another file than the photo that was taken.

    Args:
        stated: Its ``<filename>``, with or without folders and extension.
        path: Path of the photo.
    """
    last = composed(re.split(r"[\\/]", stated)[-1])
    names = composed(os.path.basename(path)), composed(stem_of(path))
    return bool(last) and last not in names and stem_of(last) not in names


def stem_of(path: str) -> str:
    """Name of a file without folder and extension."""
    return os.path.splitext(os.path.basename(path))[0]


def without_doubles(xmls: Sequence[str], found: Sequence[PhotoOf]) -> list[PhotoOf]:
    """Replaces each photo that another annotation already has by a problem.

    The annotation with the photo's name keeps it, or else the first one.
    """
    owner: dict[str, int] = {}
    for position, photo in enumerate(found):
        if photo.path is None:
            continue
        other = owner.setdefault(photo.path, position)
        is_own = composed(stem_of(xmls[position])) == composed(stem_of(photo.path))
        if other != position and is_own and stem_of(xmls[other]) != stem_of(photo.path):
            owner[photo.path] = position
    result = list(found)
    for position, photo in enumerate(found):
        if photo.path is not None and owner[photo.path] != position:
            result[position] = PhotoOf(
                problem=f"{xmls[position]} leads to the photo {photo.path}, which belongs to "
                f"{xmls[owner[photo.path]]}: give the XML file the name of its photo."
            )
    return result
