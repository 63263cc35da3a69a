"""Reads PASCAL VOC folders: image lists, annotations, class names."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from lxml import etree

from efficientvision import files
from efficientvision.data.labels import VOC_NAMES, LabelMap
from efficientvision.data.names import class_name
from efficientvision.data.photos import PHOTO_SUFFIXES
from efficientvision.data.picture_folders import folders_named, is_hidden
from efficientvision.errors import UserError
from efficientvision.progress import tqdm

ANNOTATIONS = "Annotations"
_OTHER_FOLDERS = ("annotation", "annots", "xml", "xmls", "labels", "label")
_LISTS = ("ImageSets", "Main")
# In lists of a class, each line ends with whether the image shows that class.
_CLASS_LIST_LINE = re.compile(r"(.*\S)\s+(-1|0|1)")


@dataclass(frozen=True)
class Annotations:
    """The XML files of a year's folder.

    Attributes:
        folder: Folder in which they are looked for.
        paths: Name as in a list (below `folder`, without the extension) -> path.
    """

    folder: str
    paths: dict[str, str]

    def path_of(self, name: str) -> str:
        """Path of the annotation for a listed name, which may have the extension of its photo.

        A name may be a path on another machine: then the longest end that exists counts. If there
        is none, the path where it should be.
        """
        stem, suffix = os.path.splitext(name)
        if name not in self.paths and suffix.lower() in (*PHOTO_SUFFIXES, ".xml"):
            name = stem
        if name not in self.paths:
            parts = name.replace("\\", "/").split("/")
            ends = ("/".join(parts[first:]) for first in range(1, len(parts)))
            name = next((end for end in ends if end in self.paths), name)
        return self.paths.get(name, os.path.join(self.folder, f"{name}.xml"))


def find_annotations(year_dir: str, annotations_dir: str = ANNOTATIONS) -> Annotations:
    """Finds the XML files of a folder and those below it, whatever the case of the extension.

    If there is no annotations folder, only the XML files beside the photos are used.
    """
    folder = annotation_folder(year_dir, annotations_dir)
    paths: dict[str, str] = {}
    for name in files_below(folder, (".xml",), is_flat=folder == year_dir):
        stem = os.path.splitext(name)[0]
        # If a.XML is beside a.xml, it keeps its extension.
        paths[name if stem in paths else stem] = os.path.join(folder, name)
    return Annotations(folder, paths)


def files_below(folder: str, suffixes: Sequence[str], *, is_flat: bool = False) -> Iterator[str]:
    """Yields names, relative to a folder, of files with one of the extensions, in any case.

    Args:
        folder: Folder to search; hidden files are skipped.
        suffixes: Extensions in lower case.
        is_flat: Do not search the folders below it.
    """
    inside = set() if is_flat else set(files.folder_names(folder))
    endings = tuple(suffixes)
    for name in files.list_names(folder):
        if is_hidden(name):
            continue
        if name.lower().endswith(endings):
            yield name
        elif name in inside:
            path = os.path.join(folder, name)
            yield from (f"{name}/{inner}" for inner in files_below(path, suffixes))


def lists_folder(year_dir: str) -> str:
    """Folder of the lists of the images that belong to a set."""
    return os.path.join(year_dir, *_LISTS)


def has_lists(year_dir: str) -> bool:
    """Whether a folder has lists of the images that belong to a set."""
    return bool(files.list_names(lists_folder(year_dir)))


def read_image_list(
    year_dir: str, set_name: str, annotations: Annotations | None = None
) -> list[str]:
    """Reads the image names of a set: ``<set>.txt``, or else the union of all ``*_<set>.txt``.

    If there are no lists at all, as in LabelImg's folders, every annotation is listed.

    Raises:
        UserError: Neither exists, or they list nothing.
    """
    annotations = annotations or find_annotations(year_dir)
    folder = lists_folder(year_dir)
    own = os.path.join(folder, f"{set_name}.txt")
    there = files.list_names(folder)
    found = [name for name in there if name.endswith(f"_{set_name}.txt")]
    lists = [own] if files.exists(own) else [os.path.join(folder, name) for name in found]
    if not lists and not there and annotations.paths:
        return list(annotations.paths)
    if not lists:
        sets = sorted(name.removesuffix(".txt") for name in there if name.endswith(".txt"))
        known = f"; there is {', '.join(sets[:10])}: choose one with `set`" if sets else ""
        nothing = "" if there else f", and {annotations.folder} has no annotations (*.xml)"
        raise UserError(
            f"No image list: neither {own} nor any {folder}/*_{set_name}.txt exists"
            f"{known}{nothing}."
        )
    names: dict[str, None] = {}
    for path in lists:
        for line in filter(None, map(str.strip, files.read_text(path).splitlines())):
            match = _CLASS_LIST_LINE.fullmatch(line)
            # A name may also end like that: cat 1.xml.
            flagged = match and not files.exists(annotations.path_of(line))
            names[match[1] if flagged else line] = None
    if not names:
        raise UserError(f"{', '.join(lists)} list no images.")
    return list(names)


def annotation_folder(year_dir: str, annotations_dir: str = ANNOTATIONS) -> str:
    """Folder of the XML files: the images' own if there is no folder for them.

    Without a folder of the usual name and without XML files beside the photos, folders of other
    usual names are tried.
    """
    folder = os.path.join(year_dir, annotations_dir)
    if files.is_folder(folder):
        return folder
    if alike := folders_named(year_dir, (annotations_dir,)):
        return alike[0]
    beside = next(files_below(year_dir, (".xml",), is_flat=True), None)
    if annotations_dir == ANNOTATIONS and beside is None:
        others = folders_named(year_dir, _OTHER_FOLDERS)
        return next(filter(has_xml, others), year_dir)
    return year_dir


def has_xml(folder: str) -> bool:
    """Whether there are XML files in or below a folder."""
    return next(files_below(folder, (".xml",)), None) is not None


def parse_xml(path: str) -> etree._Element:
    """Returns the root of an annotation; a `UserError` names a missing or invalid file."""
    try:
        return etree.fromstring(files.read_bytes(path))
    except OSError as error:
        raise UserError(f"The annotation {path} is missing or unreadable.") from error
    except (etree.XMLSyntaxError, ValueError) as error:
        raise UserError(f"The annotation {path} is not valid XML: {error}.") from error


def objects_in(root: etree._Element) -> Iterator[etree._Element]:
    """Yields the objects of an annotation, at any depth."""
    return root.iter("object")


def name_of(element: etree._Element) -> str:
    """Class of an object, in composed Unicode; "" if it has none."""
    return class_name(element.findtext("name") or "")


def discover_labels(annotations: Sequence[Annotations], *, skip_bad: bool = False) -> LabelMap:
    """Finds class ids in *all* annotations of the folders, so that train and val agree.

    VOC's own 1..20 if every name is VOC's; otherwise the names found, in alphabetical order.

    Args:
        annotations: Annotations of each folder.
        skip_bad: Skip annotations that cannot be used.

    Raises:
        UserError: There are no annotations, or none of them has an object.
    """
    found = read_classes(annotations, skip_bad=skip_bad)
    names: set[str] = set().union(*found.values())
    if not names:
        folders = ", ".join(part.folder for part in annotations)
        raise UserError(
            f"None of the {len(found)} annotations in {folders} has an object; set the classes "
            "with `label_map_json_path`."
        )
    return number_classes(names)


def number_classes(names: Collection[str]) -> LabelMap:
    """Numbers the classes of a data set: VOC's own 1..20 if all are VOC's, or else by alphabet."""
    return dict(enumerate(VOC_NAMES if set(names) <= set(VOC_NAMES) else sorted(names), start=1))


def read_classes(
    annotations: Sequence[Annotations], *, skip_bad: bool = False
) -> dict[str, set[str]]:
    """Returns the path of each annotation and the classes of its objects.

    Args:
        annotations: Annotations of each folder.
        skip_bad: Annotations that cannot be used have no classes.

    Raises:
        UserError: There are no annotations, or one cannot be used.
    """
    found: dict[str, set[str]] = {}
    paths = [path for part in annotations for path in part.paths.values()]
    if not paths:
        folders = ", ".join(part.folder for part in annotations)
        raise UserError(f"No annotations (*.xml) in {folders}.")
    for path in tqdm(paths, desc="finding classes", unit="xml"):
        found[path] = set()
        try:
            own = [name_of(element) for element in objects_in(parse_xml(path))]
            if not all(own):
                raise nameless(path)
        except UserError as error:
            if skip_bad:
                continue
            raise UserError(
                f"{error.sentence.rstrip('.')}. Repair or remove it, or skip such images with "
                "skip_bad."
            ) from error
        found[path].update(own)
    return found


def nameless(path: str) -> UserError:
    """Returns the error for an annotation with an object that has no class."""
    return UserError(f"The annotation {path} has an object without a name.")


def number_in(element: etree._Element, tag: str, path: str) -> float:
    """Reads a finite number; otherwise, a `UserError` names the annotation `path`."""
    text = element.findtext(tag)
    try:
        number = float(text)
        if math.isfinite(number):
            return number
    except (TypeError, ValueError):
        pass
    raise UserError(f"The annotation {path}: {tag} must be a number, got {text!r}.")


def flag_in(element: etree._Element, tag: str) -> int:
    """Reads 0 or 1; 0 for anything that is not a number, true or yes, such as Unspecified."""
    text = (element.findtext(tag) or "").strip().lower()
    try:
        return int(float(text) >= 1)
    except ValueError:
        return int(text in ("true", "yes"))


def stated_hw(root: etree._Element) -> tuple[int, int] | None:
    """Height and width that an annotation states; None if none, or zeros."""
    sides = []
    for side in ("height", "width"):
        try:
            sides.append(round(float(root.findtext(f"size/{side}"))))
        except (TypeError, ValueError, OverflowError):
            return None
    return (sides[0], sides[1]) if min(sides) > 0 else None
