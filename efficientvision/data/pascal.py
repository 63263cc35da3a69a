"""PASCAL VOC folders -> records and COCO ground truth.

Layout: ``<data_dir>/<year>/{Annotations/*.xml, JPEGImages/*, ImageSets/Main/*.txt}``, where "year"
may be any folder name; or a folder of images and XML files, as LabelImg leaves it. Conventions kept
from the original converter: image ids count from 1 in the order of the list; the boxes' 1-based
pixel coordinates are used as they are; areas in the records are fractions of the image.
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from lxml import etree
from tqdm import tqdm

from efficientvision import files
from efficientvision.data.annotation_frame import find_frame
from efficientvision.data.coco_format import part_prefixes
from efficientvision.data.conversion import BuiltRecord, ConversionReport
from efficientvision.data.labels import VOC_NAMES, LabelMap, read_labels, write_labels
from efficientvision.data.photos import (
    MAX_PIXELS,
    PHOTO_SUFFIXES,
    StoredPhoto,
    read_photo_file,
    store_photo,
)
from efficientvision.data.record_files import write_shards
from efficientvision.errors import UserError

MERGED_YEARS = ("VOC2007", "VOC2012")
_IMAGE_FOLDERS = ("JPEGImages", "images", "Images", "")
# The lists of a class end each line with whether the image shows it.
_CLASS_LIST_LINE = re.compile(r"(.*\S)\s+(-1|0|1)")


@dataclass(frozen=True)
class PascalObject:
    """One labelled box: pixel corners of the stored photo, 1-based as they stand in the XML."""

    name: str
    class_id: int
    xmin: float
    ymin: float
    xmax: float
    ymax: float
    difficult: int
    truncated: int
    view: str


@dataclass(frozen=True)
class ListedImage:
    """One image of a list: the number that is its id, and its annotation."""

    image_id: int
    xml: str
    image_dirs: tuple[str, ...]


@dataclass(frozen=True)
class PascalImage:
    """An image with the objects that are kept; `height` and `width` are those of the record."""

    image_id: int
    path: str
    height: int
    width: int
    objects: tuple[PascalObject, ...]


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
    annotations = _annotation_folder(year_dir, annotations_dir)
    if not lists and not files.list_names(folder):
        names = [n[: -len(".xml")] for n in files.list_names(annotations) if n.endswith(".xml")]
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
            flagged = match and not files.exists(_xml_path(annotations, line))
            names[match[1] if flagged else line] = None
    if not names:
        raise UserError(f"{', '.join(lists)} list no images.")
    return list(names)


def _annotation_folder(year_dir: str, annotations_dir: str) -> str:
    """Where the XML files are: beside the images where there is no folder for them."""
    folder = os.path.join(year_dir, annotations_dir)
    return folder if files.is_folder(folder) else year_dir


def _xml_path(folder: str, name: str) -> str:
    path = os.path.join(folder, name + ".xml")
    stem, suffix = os.path.splitext(name)
    if suffix.lower() in PHOTO_SUFFIXES and not files.exists(path):
        return os.path.join(folder, stem + ".xml")
    return path


def _parse_xml(path: str) -> etree._Element:
    try:
        return etree.fromstring(files.read_bytes(path))
    except OSError as error:
        raise UserError(f"The annotation {path} is missing or unreadable.") from error
    except (etree.XMLSyntaxError, ValueError) as error:
        raise UserError(f"The annotation {path} is no valid XML: {error}.") from error


def _objects(root: etree._Element) -> Iterator[etree._Element]:
    return root.iter("object")


def _name_of(element: etree._Element) -> str:
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
        for element in _objects(_parse_xml(path)):
            if not _name_of(element):
                raise UserError(f"The annotation {path} has an object without a name.")
            names.add(_name_of(element))
    if not names:
        raise UserError(
            f"None of the {len(paths)} annotations in {', '.join(annotation_dirs)} has an object; "
            "give the classes with --label_map_json_path."
        )
    chosen = VOC_NAMES if names <= set(VOC_NAMES) else sorted(names)
    return dict(enumerate(chosen, start=1))


def _find_image(image_dirs: Sequence[str], filename: str, stem: str) -> str:
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


def _number(element: etree._Element, tag: str, path: str) -> float:
    text = element.findtext(tag)
    try:
        number = float(text)
        if math.isfinite(number):
            return number
    except (TypeError, ValueError):
        pass
    raise UserError(f"The annotation {path}: {tag} must be a number, got {text!r}.")


def _flag(element: etree._Element, tag: str) -> int:
    """0 or 1; 0 of anything that is neither a number nor true or yes, such as Unspecified."""
    text = (element.findtext(tag) or "").strip().lower()
    try:
        return int(float(text) >= 1)
    except ValueError:
        return int(text in ("true", "yes"))


def _stated_hw(root: etree._Element) -> tuple[int, int] | None:
    sides = []
    for side in ("height", "width"):
        try:
            sides.append(round(float(root.findtext(f"size/{side}"))))
        except (TypeError, ValueError, OverflowError):
            return None
    return (sides[0], sides[1]) if min(sides) > 0 else None


def read_annotation(
    listed: ListedImage,
    class_ids: Mapping[str, int],
    *,
    ignore_difficult: bool,
    skipped: Counter,
    max_pixels: int | None = MAX_PIXELS,
) -> tuple[PascalImage, StoredPhoto]:
    """Reads one XML and its image; counts in ``skipped`` what it changes or leaves out.

    Raises:
        UserError: bad XML, a class outside the label map, a missing or unreadable image, or one of
            another shape than the XML states.
    """
    path = listed.xml
    root = _parse_xml(path)
    stem = os.path.splitext(os.path.basename(path))[0]
    filename = (root.findtext("filename") or "").strip()
    image_path = _find_image(listed.image_dirs, filename, stem)
    photo = store_photo(read_photo_file(image_path), repr(image_path), max_pixels=max_pixels)
    height, width = photo.height, photo.width
    frame = find_frame(_stated_hw(root), (height, width), photo.orientation, repr(image_path))
    skipped.update([*photo.notes, *frame.notes])
    objects = []
    for element in _objects(root):
        name = _name_of(element)
        if name not in class_ids:
            raise UserError(
                f"{path} has an object of class {name!r}, which is not in the label map "
                f"({', '.join(list(class_ids)[:25])}); add it with --label_map_json_path."
            )
        sides = [
            _number(element, f"bndbox/{side}", path) for side in ("ymin", "xmin", "ymax", "xmax")
        ]
        (ymin, xmin, ymax, xmax), *_ = frame.boxes([sides]).tolist()
        difficult = _flag(element, "difficult")
        if difficult and ignore_difficult:
            skipped["difficult objects left out"] += 1
        elif xmax <= xmin or ymax <= ymin:
            skipped["degenerate boxes (xmax <= xmin or ymax <= ymin) dropped"] += 1
        elif xmin >= width or ymin >= height or xmax <= 0 or ymax <= 0:
            skipped["boxes wholly outside their image dropped"] += 1
        else:
            truncated = _flag(element, "truncated")
            view = (element.findtext("pose") or "").strip()
            corners = (xmin, ymin, xmax, ymax)
            objects.append(
                PascalObject(name, class_ids[name], *corners, difficult, truncated, view)
            )
    image = PascalImage(listed.image_id, image_path, height, width, tuple(objects))
    return image, photo


def build_record(
    listed: ListedImage,
    class_ids: Mapping[str, int],
    *,
    ignore_difficult: bool = False,
    max_pixels: int | None = MAX_PIXELS,
) -> BuiltRecord:
    """One image and its objects as a record; `facts` is the `PascalImage`."""
    from efficientvision.data.records import DetectionExample, encode_example

    counts: Counter = Counter()
    image, photo = read_annotation(
        listed,
        class_ids,
        ignore_difficult=ignore_difficult,
        skipped=counts,
        max_pixels=max_pixels,
    )
    objects = image.objects
    pixels = image.height * image.width
    serialized = encode_example(
        DetectionExample(
            encoded=photo.encoded,
            image_format=photo.image_format,
            filename=os.path.basename(image.path),
            source_id=str(image.image_id),
            height=image.height,
            width=image.width,
            boxes_yxyx=np.array([(o.ymin, o.xmin, o.ymax, o.xmax) for o in objects]).reshape(-1, 4),
            classes=[o.class_id for o in objects],
            class_names=[o.name for o in objects],
            areas=[(o.xmax - o.xmin) * (o.ymax - o.ymin) / pixels for o in objects],
            difficult=[o.difficult for o in objects],
            truncated=[o.truncated for o in objects],
            views=[o.view for o in objects],
        )
    )
    return BuiltRecord(serialized, tuple(counts.elements()), image, photo.remarks)


def coco_ground_truth(images: Sequence[PascalImage], labels: LabelMap) -> dict:
    """The ground truth of the images in COCO's format, with the ids of the records."""
    annotations = []
    for image in images:
        for o in image.objects:
            width, height = o.xmax - o.xmin, o.ymax - o.ymin
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image.image_id,
                    "category_id": o.class_id,
                    "bbox": [o.xmin, o.ymin, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                    "difficult": o.difficult,
                    "ignore": 0,
                    "segmentation": [],
                }
            )
    return {
        "info": {},
        "licenses": [],
        "type": "instances",
        "images": [
            {
                "id": image.image_id,
                "file_name": os.path.basename(image.path),
                "height": image.height,
                "width": image.width,
            }
            for image in images
        ],
        "annotations": annotations,
        "categories": [
            {"id": class_id, "name": name, "supercategory": "none"}
            for class_id, name in labels.items()
        ],
    }


def convert(
    data_dir: str,
    year: str,
    set_name: str,
    output_prefix: str,
    *,
    annotations_dir: str = "Annotations",
    label_map_json_path: str | None = None,
    ignore_difficult: bool = False,
    skip_bad: bool = False,
    max_pixels: int | None = MAX_PIXELS,
    val_fraction: float | None = None,
    split_seed: int = 0,
    num_shards: int = 100,
    num_images: int | None = None,
    num_workers: int | None = None,
) -> list[ConversionReport]:
    """Converts one set: shards, ``json_<basename>.json`` and the class names beside them.

    Args:
        data_dir: the folder that holds the years (VOCdevkit), or is one itself.
        year: a folder in it; "merged" for VOC2007 and VOC2012 together.
        set_name: train, val, trainval, test, or any list that is there.
        output_prefix: path prefix of the shards.
        annotations_dir: the annotations' folder inside the year's.
        label_map_json_path: ``{name: id}`` or ``{id: name}``; None: see :func:`discover_labels`.
        ignore_difficult: leave out objects marked difficult.
        skip_bad: leave out images that cannot be used, and count them.
        max_pixels: refuse larger photos; None: no limit.
        val_fraction: hold out this share (0..1) of the images as a val part; see
            `coco_format.part_prefixes`.
        split_seed: of the choice.
        num_shards: of each part, at most; never more than images.
        num_images: only the first so many.
        num_workers: processes; None: one per core.

    Returns:
        A report of each part.

    Raises:
        UserError: anything wrong with the data, in words.
    """
    year_dirs = [os.path.join(data_dir, y) for y in (MERGED_YEARS if year == "merged" else [year])]
    if year != "merged" and not files.is_folder(year_dirs[0]) and _is_year(data_dir):
        year_dirs = [data_dir]
    for year_dir in year_dirs:
        if not files.is_folder(year_dir):
            raise UserError(
                f"{year_dir} is not a folder; --data_dir must hold a folder named as --year."
            )
    listed = [
        (d, name) for d in year_dirs for name in read_image_list(d, set_name, annotations_dir)
    ]
    if num_images is not None:
        if num_images < 1:
            raise UserError(f"num_images must be at least 1, got {num_images}.")
        listed = listed[:num_images]
    if label_map_json_path:
        labels = read_labels(label_map_json_path)
    else:
        labels = discover_labels([_annotation_folder(d, annotations_dir) for d in year_dirs])
    images = []
    for image_id, (year_dir, name) in enumerate(listed, 1):
        xml = _xml_path(_annotation_folder(year_dir, annotations_dir), name)
        folders = [os.path.join(year_dir, folder) for folder in _IMAGE_FOLDERS]
        there = tuple(folder for folder in folders if files.is_folder(folder))
        images.append(ListedImage(image_id, xml, there))
    build = functools.partial(
        build_record,
        class_ids={name: class_id for class_id, name in labels.items()},
        ignore_difficult=ignore_difficult,
        max_pixels=max_pixels,
    )
    reports = []
    for prefix, part in part_prefixes(images, output_prefix, val_fraction, split_seed).items():
        report = ConversionReport(labels=labels)
        written = write_shards(
            part,
            build,
            prefix,
            num_shards=num_shards,
            num_workers=num_workers,
            skip_bad=skip_bad,
        )
        report.add(written)
        kept = [image for image in written.facts if image]
        report.num_images = len(kept)
        report.num_boxes = sum(len(image.objects) for image in kept)
        folder, basename = os.path.split(prefix)
        json_path = os.path.join(folder, f"json_{basename}.json")
        files.write_text(json_path, json.dumps(coco_ground_truth(kept, labels)))
        report.sidecars = [json_path, write_labels(prefix, labels)]
        reports.append(report)
    return reports


def _is_year(folder: str) -> bool:
    """Whether a folder holds annotations itself."""
    names = files.list_names(folder) if files.is_folder(folder) else []
    return "Annotations" in names or any(name.endswith(".xml") for name in names)
