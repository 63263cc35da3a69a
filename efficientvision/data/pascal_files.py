"""PASCAL VOC folders: lists of images, annotations, class names."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence

from lxml import etree

from efficientvision import files
from efficientvision.data.labels import VOC_NAMES, LabelMap
from efficientvision.data.photos import PHOTO_SUFFIXES
from efficientvision.errors import UserError
from efficientvision.progress import tqdm

# The lists of a class end each line with whether the image shows it.
_CLASS_LIST_LINE = re.compile(r"(.*\S)\s+(-1|0|1)")


def read_image_list(
    year_dir: str, set_name: str, annotations_dir: str = "Annotations"
) -> list[str]:
    """The image names of a set: ``<set>.txt``, else the union of the ``*_<set>.txt``.

    Where there are no lists at all, as LabelImg leaves its folders, every annotation is listed.

    Raises:
        UserError: neither exists, or they list nothing.
    """
    folder = os.path.join(year_dir, "ImageSets", "Main")
    own = os.path.join(folder, f"{set_name}.txt")
    found = [name for name in files.list_names(folder) if name.endswith(f"_{set_name}.txt")]
    lists = [own] if files.exists(own) else [os.path.join(folder, name) for name in found]
    annotations = annotation_folder(year_dir, annotations_dir)
    if not lists and not files.list_names(folder):
        found = [name for name in files.list_names(annotations) if not name.startswith(".")]
        names = [name.removesuffix(".xml") for name in found if name.endswith(".xml")]
        if names:
            return names
    if not lists:
        raise UserError(
            f"No list of images: neither {own} nor any {folder}/*_{set_name}.txt exists."
        )
    names: dict[str, None] = {}
    for path in lists:
        for line in filter(None, map(str.strip, files.read_text(path).splitlines())):
            match = _CLASS_LIST_LINE.fullmatch(line)
            # A name may end so, too: cat 1.xml.
            flagged = match and not files.exists(xml_path(annotations, line))
            names[match[1] if flagged else line] = None
    if not names:
        raise UserError(f"{', '.join(lists)} list no images.")
    return list(names)


def annotation_folder(year_dir: str, annotations_dir: str) -> str:
    """Where the XML files are: beside the images where there is no folder for them."""
    folder = os.path.join(year_dir, annotations_dir)
    return folder if files.is_folder(folder) else year_dir


def xml_path(folder: str, name: str) -> str:
    """The annotation of a listed name, which may end as its photo does."""
    path = os.path.join(folder, name + ".xml")
    stem, suffix = os.path.splitext(name)
    if suffix.lower() in PHOTO_SUFFIXES and not files.exists(path):
        return os.path.join(folder, stem + ".xml")
    return path


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
    """The class of an object; "" where it has none."""
    return (element.findtext("name") or "").strip()


def discover_labels(annotation_dirs: Sequence[str]) -> LabelMap:
    """Class ids from *all* annotations of the folders, so that train and val agree.

    VOC's own 1..20 if every name is one of VOC's; otherwise the names found, in alphabetical order.

    Raises:
        UserError: no annotations, or no object in any of them.
    """
    paths = [
        files.join(folder, name)
        for folder in annotation_dirs
        for name in files.list_names(folder)
        if name.endswith(".xml") and not name.startswith(".")
    ]
    if not paths:
        raise UserError(f"No annotations (*.xml) in {', '.join(annotation_dirs)}.")
    names: set[str] = set()
    for path in tqdm(paths, desc="finding classes", unit="xml"):
        for element in objects_in(parse_xml(path)):
            if not name_of(element):
                raise UserError(f"The annotation {path} has an object without a name.")
            names.add(name_of(element))
    if not names:
        raise UserError(
            f"None of the {len(paths)} annotations in {', '.join(annotation_dirs)} has an object; "
            "give the classes with `label_map_json_path`."
        )
    chosen = VOC_NAMES if names <= set(VOC_NAMES) else sorted(names)
    return dict(enumerate(chosen, start=1))


def find_image(image_dirs: Sequence[str], filename: str, stem: str) -> str:
    """The photo of an annotation: by the name that it states, else by its own.

    Raises:
        UserError: there is none.
    """
    # Windows' tools write whole paths.
    names = [filename, re.split(r"[\\/]", filename)[-1]] if filename else []
    names += [stem + s for suffix in PHOTO_SUFFIXES for s in (suffix, suffix.upper())]
    names += [stem]
    for name in dict.fromkeys(names):
        inside = not os.path.isabs(name) and ".." not in name.split("/")
        for folder in image_dirs:
            path = os.path.join(folder, name)
            if inside and files.is_file(path):
                return path
    wanted = next((n for n in names if not os.path.isabs(n)), stem)
    raise UserError(f"The image {os.path.join(image_dirs[0], wanted)} does not exist.")


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
