"""PASCAL VOC folders: lists of images, annotations, class names."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lxml import etree

from efficientvision import files
from efficientvision.data.labels import VOC_NAMES, LabelMap
from efficientvision.data.names import class_name
from efficientvision.data.photos import PHOTO_SUFFIXES
from efficientvision.data.picture_folders import is_hidden
from efficientvision.errors import UserError
from efficientvision.progress import tqdm

_LISTS = ("ImageSets", "Main")
# The lists of a class end each line with whether the image shows it.
_CLASS_LIST_LINE = re.compile(r"(.*\S)\s+(-1|0|1)")


@dataclass(frozen=True)
class Annotations:
    """The XML files of a year's folder.

    Attributes:
        folder: where they are looked for.
        paths: name as a list has it (below `folder`, without the ending) -> path.
    """

    folder: str
    paths: dict[str, str]

    def path_of(self, name: str) -> str:
        """The annotation of a listed name, which may end as its photo does.

        The path where it should be, if there is none.
        """
        stem, suffix = os.path.splitext(name)
        if name not in self.paths and suffix.lower() in (*PHOTO_SUFFIXES, ".xml"):
            name = stem
        return self.paths.get(name, os.path.join(self.folder, f"{name}.xml"))


def find_annotations(year_dir: str, annotations_dir: str = "Annotations") -> Annotations:
    """The XML files of a folder and of those below it, in any case of letters.

    Without a folder for them they are taken from beside the photos, and from there alone.
    """
    folder = annotation_folder(year_dir, annotations_dir)
    paths: dict[str, str] = {}
    for name in files_below(folder, (".xml",), is_flat=folder == year_dir):
        stem = os.path.splitext(name)[0]
        # a.XML beside a.xml keeps its ending.
        paths[name if stem in paths else stem] = os.path.join(folder, name)
    return Annotations(folder, paths)


def files_below(folder: str, suffixes: Sequence[str], *, is_flat: bool = False) -> Iterator[str]:
    """Names, relative to a folder, of the files with one of the endings, in any case of letters.

    Args:
        folder: where to look; hidden files are skipped.
        suffixes: in small letters.
        is_flat: leave out the folders below it.
    """
    for name in files.list_names(folder):
        path = os.path.join(folder, name)
        if is_hidden(name):
            continue
        if name.lower().endswith(tuple(suffixes)):
            yield name
        elif not is_flat and files.is_folder(path):
            yield from (f"{name}/{inner}" for inner in files_below(path, suffixes))


def has_lists(year_dir: str) -> bool:
    """Whether a folder says in lists which images belong to a set."""
    return bool(files.list_names(os.path.join(year_dir, *_LISTS)))


def read_image_list(
    year_dir: str, set_name: str, annotations: Annotations | None = None
) -> list[str]:
    """The image names of a set: ``<set>.txt``, else the union of the ``*_<set>.txt``.

    Where there are no lists at all, as LabelImg leaves its folders, every annotation is listed.

    Raises:
        UserError: neither exists, or they list nothing.
    """
    annotations = annotations or find_annotations(year_dir)
    folder = os.path.join(year_dir, *_LISTS)
    own = os.path.join(folder, f"{set_name}.txt")
    there = files.list_names(folder)
    found = [name for name in there if name.endswith(f"_{set_name}.txt")]
    lists = [own] if files.exists(own) else [os.path.join(folder, name) for name in found]
    if not lists and not there and annotations.paths:
        return list(annotations.paths)
    if not lists:
        sets = sorted(name.removesuffix(".txt") for name in there if name.endswith(".txt"))
        known = f"; there is {', '.join(sets[:10])}: name one with `set`" if sets else ""
        nothing = "" if there else f", and {annotations.folder} has no annotations (*.xml)"
        raise UserError(
            f"No list of images: neither {own} nor any {folder}/*_{set_name}.txt exists"
            f"{known}{nothing}."
        )
    names: dict[str, None] = {}
    for path in lists:
        for line in filter(None, map(str.strip, files.read_text(path).splitlines())):
            match = _CLASS_LIST_LINE.fullmatch(line)
            # A name may end so, too: cat 1.xml.
            flagged = match and not files.exists(annotations.path_of(line))
            names[match[1] if flagged else line] = None
    if not names:
        raise UserError(f"{', '.join(lists)} list no images.")
    return list(names)


def annotation_folder(year_dir: str, annotations_dir: str) -> str:
    """Where the XML files are: beside the images where there is no folder for them."""
    folder = os.path.join(year_dir, annotations_dir)
    return folder if files.is_folder(folder) else named_alike(year_dir, annotations_dir) or year_dir


def named_alike(folder: str, wanted: str) -> str | None:
    """The folder inside of another one that has a name, in any case of letters; None: there is
    none."""
    paths = (
        os.path.join(folder, name)
        for name in files.list_names(folder)
        if name.lower() == wanted.lower()
    )
    return next(filter(files.is_folder, paths), None)


def parse_xml(path: str) -> etree._Element:
    """The root of an annotation; a `UserError` names a file that is missing or no XML."""
    try:
        return etree.fromstring(files.read_bytes(path))
    except OSError as error:
        raise UserError(f"The annotation {path} is missing or unreadable.") from error
    except (etree.XMLSyntaxError, ValueError) as error:
        raise UserError(f"The annotation {path} is no valid XML: {error}.") from error


def objects_in(root: etree._Element) -> Iterator[etree._Element]:
    """The objects of an annotation, wherever they stand."""
    return root.iter("object")


def name_of(element: etree._Element) -> str:
    """The class of an object in the one form of Unicode; "" where it has none."""
    return class_name(element.findtext("name") or "")


def discover_labels(annotations: Sequence[Annotations], *, skip_bad: bool = False) -> LabelMap:
    """Class ids from *all* annotations of the folders, so that train and val agree.

    VOC's own 1..20 if every name is one of VOC's; otherwise the names found, in alphabetical order.

    Args:
        annotations: of each folder.
        skip_bad: pass over those that cannot be used.

    Raises:
        UserError: no annotations, or no object in any of them.
    """
    folders = ", ".join(part.folder for part in annotations)
    paths = [path for part in annotations for path in part.paths.values()]
    if not paths:
        raise UserError(f"No annotations (*.xml) in {folders}.")
    names: set[str] = set()
    for path in tqdm(paths, desc="finding classes", unit="xml"):
        try:
            own = [name_of(element) for element in objects_in(parse_xml(path))]
            if not all(own):
                raise nameless(path)
        except UserError as error:
            if skip_bad:
                continue
            raise UserError(
                f"{error.sentence.rstrip('.')}. Mend or remove it, or leave such images out with "
                "skip_bad."
            ) from error
        names.update(own)
    if not names:
        raise UserError(
            f"None of the {len(paths)} annotations in {folders} has an object; give the classes "
            "with `label_map_json_path`."
        )
    chosen = VOC_NAMES if names <= set(VOC_NAMES) else sorted(names)
    return dict(enumerate(chosen, start=1))


def nameless(path: str) -> UserError:
    """The error of an annotation with an object that has no class."""
    return UserError(f"The annotation {path} has an object without a name.")


def number_in(element: etree._Element, tag: str, path: str) -> float:
    """A finite number; a `UserError` names the annotation `path` where it is none."""
    text = element.findtext(tag)
    try:
        number = float(text)
        if math.isfinite(number):
            return number
    except (TypeError, ValueError):
        pass
    raise UserError(f"The annotation {path}: {tag} must be a number, got {text!r}.")


def flag_in(element: etree._Element, tag: str) -> int:
    """0 or 1; 0 of anything that is neither a number nor true or yes, such as Unspecified."""
    text = (element.findtext(tag) or "").strip().lower()
    try:
        return int(float(text) >= 1)
    except ValueError:
        return int(text in ("true", "yes"))


def stated_hw(root: etree._Element) -> tuple[int, int] | None:
    """The height and width that an annotation states; None: none, or zeros."""
    sides = []
    for side in ("height", "width"):
        try:
            sides.append(round(float(root.findtext(f"size/{side}"))))
        except (TypeError, ValueError, OverflowError):
            return None
    return (sides[0], sides[1]) if min(sides) > 0 else None
