"""Pairs photos with YOLO's label files: `images/a.jpg` with `labels/a.txt`, or side by side."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator

from efficientvision import files
from efficientvision.data.names import composed
from efficientvision.data.photos import is_photo_name
from efficientvision.data.picture_folders import LeftOut, folders_named, is_hidden

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages", "photos")
LABEL_FOLDERS = ("labels", "label", "annotations")
_SUFFIX = ".txt"
_MOST_FOLDERS = 100
# Text files that tools put beside labels.
_NO_LABELS = re.compile(
    r"classes|predefined_classes|obj|names|labels?|label_?map|readme.*|licen[cs]e.*|notes?|"
    r"train|training|val|valid|validation|test|requirements",
    re.IGNORECASE,
)


class Beside(LeftOut):
    """Counts unused files, except for those that belong to YOLO's folders."""

    def add(self, reason: str, example: str, count: int = 1) -> None:
        """Counts something left out."""
        suffix = os.path.splitext(example)[1].lower()
        if suffix not in (_SUFFIX, ".cache", ".npy", ".yaml", ".yml", ".names", ".data"):
            super().add(reason, example, count)


class LabelFiles:
    """Finds label files; each folder is listed only once.

    Args:
        root: Folder of the data set.
    """

    def __init__(self, root: str):
        self._root = root
        self._listed: dict[str, dict[str, str]] = {}
        self._places: dict[str, list[str]] = {}
        self._bases: dict[str, None] = {}
        self._used: set[str] = set()

    def of(self, photo: str) -> str | None:
        """Returns the path of a photo's label file; None if there is none.

        As Ultralytics does, the last `images` in the photo's path is replaced by `labels`; or else
        the label file is beside the photo, or in `labels/` there.
        """
        folder, name = os.path.split(photo)
        name = composed(name)
        for place in self._label_places(folder):
            listed = self._labels_in(place)
            found = listed.get(os.path.splitext(name)[0]) or listed.get(name)
            if found:
                self._used.add(found)
                return found
        return None

    def folders(self) -> Iterator[str]:
        """Yields the folders in which labels were looked for."""
        yield from self._bases
        yield from self._listed

    def unused(self) -> list[str]:
        """Returns the label files that belong to no photo asked for, sorted."""
        for base in list(self._bases):
            for folder, inner, _ in os.walk(base):
                inner[:] = sorted(name for name in inner if not is_hidden(name))
                self._labels_in(folder)
        paths = (path for listed in self._listed.values() for path in listed.values())
        return sorted(
            path
            for path in set(paths) - self._used
            if not _NO_LABELS.fullmatch(os.path.basename(path)[: -len(_SUFFIX)])
        )

    def _labels_in(self, folder: str) -> dict[str, str]:
        folder = os.path.normpath(folder)
        if folder not in self._listed:
            self._listed[folder] = {
                composed(name[: -len(_SUFFIX)]): os.path.join(folder, name)
                for name in (files.list_names(folder) if files.is_folder(folder) else ())
                if name.lower().endswith(_SUFFIX) and not is_hidden(name)
            }
        return self._listed[folder]

    def _label_places(self, folder: str) -> list[str]:
        if folder in self._places:
            return self._places[folder]
        places: list[str] = []
        parts = folder.split(os.sep)
        named = [k for k, name in enumerate(parts) if name.lower() in IMAGE_FOLDERS]
        if named:
            # The first part of an absolute path is empty.
            above = os.sep.join([*parts[: named[-1]], ""]) or os.curdir
            places += self._below(above, os.sep.join(parts[named[-1] + 1 :]))
        places += [folder, *self._below(folder, "")]
        inside = files.relative(folder, self._root)
        if not inside.startswith(os.pardir) and not os.path.isabs(inside):
            places += self._below(self._root, inside)
        self._places[folder] = list(dict.fromkeys(places))
        return self._places[folder]

    def _below(self, folder: str, inside: str) -> Iterator[str]:
        """Yields the places of labels in a folder: `labels/<inside>`, and `labels` for all."""
        for base in map(os.path.normpath, folders_named(folder, LABEL_FOLDERS)):
            self._bases.setdefault(base)
            yield os.path.normpath(os.path.join(base, inside))
            yield base


def label_beside(folder: str) -> str | None:
    """Returns the first label file beside its photo in a folder or up to two below; or None.

    Args:
        folder: Folder to search; of very many folders, only the first ones are searched.
    """
    for place, folders, names in itertools.islice(os.walk(folder), _MOST_FOLDERS):
        depth = os.path.relpath(place, folder).count(os.sep)
        folders[:] = sorted(n for n in folders if not is_hidden(n)) if depth < 1 else []
        texts = {
            composed(name[: -len(_SUFFIX)]): name
            for name in names
            if name.lower().endswith(_SUFFIX)
        }
        for name in sorted(names) if texts else ():
            stem = os.path.splitext(composed(name))[0]
            path = os.path.join(place, name)
            if stem in texts and texts[stem] != name and is_photo_name(path):
                return os.path.join(place, texts[stem])
    return None


def first_labels(folder: str, count: int = 20) -> list[str]:
    """Returns the first text files in a folder and below that may be labels.

    Args:
        folder: Folder to search.
        count: Number of files to return, at most.
    """
    found: list[str] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() == _SUFFIX and not is_hidden(name) and not _NO_LABELS.fullmatch(stem):
                found.append(os.path.join(place, name))
        if len(found) >= count:
            break
    return found[:count]
