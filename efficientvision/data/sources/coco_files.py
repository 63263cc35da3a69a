"""Finds the COCO files of a folder, the part that each is for, and the folder of its photos."""

from __future__ import annotations

import fnmatch
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from efficientvision import files
from efficientvision.data.coco_images import image_path
from efficientvision.data.part_names import PARTS, part_of
from efficientvision.data.photos import is_photo_name
from efficientvision.data.picture_folders import find_parts, folders_named, is_hidden
from efficientvision.errors import UserError

# Files whose name tells that they are COCO's boxes, and those of its other kinds.
_INSTANCES = ("instances_*.json", "_annotations.coco.json")
_OTHER_KINDS = (
    *("captions_*.json", "image_info_*.json", "panoptic_*.json", "stuff_*.json"),
    "person_keypoints_*.json",
)
_LABEL_FOLDERS = ("annotations", "annotation", "labels")
_PHOTO_FOLDERS = ("images", "data", "JPEGImages", "imgs", "photos")
_KIND_WORDS = re.compile(r"instances|annotations?|labels?|coco|bbox|json", re.IGNORECASE)
_LIST = re.compile(rb'"(?:images|categories)"\s*:\s*\[')
_FILE_NAME = re.compile(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")')
_PEEK_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 22
_MOST_PEEKS = 50
_MOST_NAMES = 200
_MOST_FOLDERS = 20


@dataclass(frozen=True)
class LabelFile:
    """A COCO file.

    Attributes:
        path: Path of the file.
        part: Part that its folder or its name says; None if neither does.
        own_folder: The part's folder, if the file is in it.
    """

    path: str
    part: str | None
    own_folder: str | None = None


def find_label_files(folder: str) -> tuple[dict[str, LabelFile], list[str]]:
    """Finds the COCO file of each part.

    Args:
        folder: Folder of the data set, or a COCO file itself.

    Returns:
        Part -> file; a file that is for no part is `"train"`'s. And the paths of files that are
        left aside.

    Raises:
        UserError: It is unclear which of several files is meant.
    """
    if files.is_file(folder):
        found = [LabelFile(folder, _part_of_file(folder))] if is_coco_file(folder) else []
    else:
        found = list(_label_files(folder))
    chosen: dict[str, LabelFile] = {}
    for part in PARTS:
        own = [file for file in found if file.part == part]
        if len(own) > 1:
            own = [f for f in own if f.own_folder or _named_folder(folder, f.path)] or own
        if len(own) > 1:
            raise _unclear(own, f"the part {part!r}")
        if own:
            chosen[part] = own[0]
    others = [file for file in found if file.part is None]
    if not chosen and len(others) > 1:
        raise _unclear(others, "the set")
    if not chosen and others:
        return {"train": others[0]}, []
    taken = {file.path for file in chosen.values()}
    return chosen, [file.path for file in found if file.path not in taken]


def _unclear(found: list[LabelFile], what: str) -> UserError:
    names = [file.path for file in found]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return UserError(
        f"{', '.join(names[:3])}{more} could each be the COCO file of {what}: merge them, remove "
        "the others, or name the one to use instead of the folder."
    )


def _label_files(folder: str) -> Iterator[LabelFile]:
    for place in (folder, *folders_named(folder, _LABEL_FOLDERS)):
        for path in _coco_files_in(place):
            yield LabelFile(path, _part_of_file(path))
    inside: dict[str, list[str]] = {}

    def holds_labels(place: str) -> bool:
        inside[place] = _coco_files_in(place) if files.is_folder(place) else []
        return bool(inside[place])

    for part, place in find_parts(folder, holds_labels).items():
        for path in inside[place]:
            yield LabelFile(path, part, place)


def _coco_files_in(folder: str) -> list[str]:
    names = [name for name in files.list_names(folder) if not is_hidden(name)]
    candidates = [name for name in names if name.lower().endswith(".json")]
    if not candidates:
        return []
    known = [n for n in candidates if any(fnmatch.fnmatch(n, p) for p in _INSTANCES)]
    if known:
        return [os.path.join(folder, name) for name in known]
    stems = {os.path.splitext(name)[0] for name in names if is_photo_name(name)}
    records = {name.split("-")[0] for name in names if ".tfrecord" in name}
    others = [
        name
        for name in candidates
        # Labels of one photo; ground truth of records.
        if name[:-5] not in stems and name[:-5].removeprefix("json_") not in records
    ]
    paths = (os.path.join(folder, name) for name in others[:_MOST_PEEKS])
    return [path for path in paths if is_coco_file(path)]


def is_coco_file(path: str) -> bool:
    """Whether a file is COCO's by its name or, if that does not tell, by its first or last bytes.

    Files of captions, panoptic labels or lists of images are not.
    """
    name = os.path.basename(path)
    if any(fnmatch.fnmatch(name, pattern) for pattern in _INSTANCES):
        return True
    if not name.lower().endswith(".json") or any(fnmatch.fnmatch(name, p) for p in _OTHER_KINDS):
        return False
    try:
        size = files.size(path)
        with files.reading(path) as file:
            head = file.read(_PEEK_BYTES)
            file.seek(max(0, size - _PEEK_BYTES))
            tail = file.read(_PEEK_BYTES)
    except OSError:
        return False
    if not head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return False
    return any(_LIST.search(content) for content in (head, tail))


def _part_of_file(path: str) -> str | None:
    return part_of(_tag(path)) if _tag(path) else None


def _tag(path: str) -> str:
    """The words of a file's name that tell what it is for: `instances_train2017` -> train2017."""
    stem = os.path.splitext(os.path.basename(path))[0]
    return _KIND_WORDS.sub("", stem).strip("_-. ")


def _named_folder(folder: str, path: str) -> bool:
    """Whether a folder of photos has the name of a COCO file: `train2017`."""
    root = _root_of(folder, path)
    places = (root, *(os.path.join(root, name) for name in _PHOTO_FOLDERS))
    return any(files.is_folder(os.path.join(place, _tag(path))) for place in places)


def _root_of(folder: str, path: str) -> str:
    """Folder of the data set, if its annotations or one of their files was named."""
    place = files.parent(path) if folder == path else folder
    return files.parent(place) if files.base_name(place).lower() in _LABEL_FOLDERS else place


def find_photo_folder(folder: str, file: LabelFile) -> str:
    """Finds the folder that a COCO file's names are relative to.

    It is the one of the usual folders in which most of the first names exist; names that were
    written on another machine count by their ends.

    Args:
        folder: Folder of the data set, or the file itself.
        file: The COCO file.
    """
    places = list(dict.fromkeys(_places(folder, file)))
    names = first_names(file.path)
    for any_tail in (False, True):
        hits = [
            sum(
                image_path(place, name, file.path, False, by_tail=any_tail, any_tail=True)
                is not None
                for name in names
            )
            for place in places
        ]
        if any(hits):
            # The first one with most of them: the folder of another part may have the same names.
            return next(p for p, n in zip(places, hits, strict=True) if 2 * n >= max(hits))
    return places[0]


def _places(folder: str, file: LabelFile) -> Iterator[str]:
    root = _root_of(folder, file.path)
    around = [file.own_folder] if file.own_folder else []
    for place in (root, *folders_named(root, _PHOTO_FOLDERS)):
        around += folders_named(place, [_tag(file.path)])
        if file.part is not None:
            named = [name for name in files.folder_names(place) if part_of(name) == file.part]
            around += [os.path.join(place, name) for name in named]
    for place in dict.fromkeys((*around, root, files.parent(file.path))):
        yield from folders_named(place, _PHOTO_FOLDERS)
        yield place
    others = [name for name in files.folder_names(root) if not is_hidden(name)]
    yield from (os.path.join(root, name) for name in others[:_MOST_FOLDERS])


def first_names(path: str) -> list[str]:
    """Returns the first file names of a COCO file; reads no more of it than needed."""
    names: list[str] = []
    rest = b""
    with files.reading(path) as file:
        size = _PEEK_BYTES
        while not names and (chunk := file.read(size)):
            found = _FILE_NAME.findall(rest + chunk)
            names = [name for text in found[:_MOST_NAMES] if (name := _text_of(text))]
            rest, size = chunk[-4096:], _CHUNK_BYTES
    return names


def _text_of(literal: bytes) -> str | None:
    try:
        text = json.loads(literal.decode("utf8"))
    except ValueError:
        return None
    return text if "\0" not in text else None
