"""PASCAL VOC folders -> records and COCO ground truth.

Layout: ``<data_dir>/<year>/{Annotations/*.xml, JPEGImages/*, ImageSets/Main/*.txt}``, where "year"
may be any folder name. Conventions kept from the original converter: image ids count from 1 in the
order of the list; the boxes' 1-based pixel coordinates are used as they are; areas in the records
are fractions of the image.
"""

from __future__ import annotations

import functools
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from lxml import etree
from PIL import Image
from tqdm import tqdm

from efficientvision import files
from efficientvision.data.conversion import ConversionReport
from efficientvision.data.labels import VOC_NAMES, LabelMap, read_labels, write_labels
from efficientvision.data.record_files import write_shards
from efficientvision.errors import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")
MERGED_YEARS = ("VOC2007", "VOC2012")


@dataclass(frozen=True)
class PascalObject:
    """One labelled box: 1-based pixel corners as they stand in the XML."""

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
class PascalImage:
    """One image of a list, with the objects that are kept."""

    image_id: int
    path: str
    height: int
    width: int
    objects: tuple[PascalObject, ...]


def read_image_list(year_dir: str, set_name: str) -> list[str]:
    """The image names of a set: ``<set>.txt``, else the union of the ``*_<set>.txt``.

    Raises:
        UserError: neither exists, or they list nothing.
    """
    folder = os.path.join(year_dir, "ImageSets", "Main")
    own = os.path.join(folder, f"{set_name}.txt")
    lists = [own] if files.exists(own) else files.matches(f"{folder}/*_{set_name}.txt")
    if not lists:
        raise UserError(
            f"No list of images: neither {own} nor any {folder}/*_{set_name}.txt exists."
        )
    names: dict[str, None] = {}
    for path in lists:
        lines = files.read_text(path).splitlines()
        names.update((line.split()[0], None) for line in lines if line.strip())
    if not names:
        raise UserError(f"{', '.join(lists)} list no images.")
    return list(names)


def _parse_xml(path: str) -> etree._Element:
    try:
        return etree.fromstring(files.read_bytes(path))
    except OSError as error:
        raise UserError(f"The annotation {path} is missing or unreadable.") from error
    except etree.XMLSyntaxError as error:
        raise UserError(f"The annotation {path} is no valid XML: {error}.") from error


def discover_labels(annotation_dirs: Sequence[str]) -> LabelMap:
    """Class ids from *all* annotations of the folders, so that train and val agree.

    VOC's own 1..20 if every name is one of VOC's; otherwise the names found, in alphabetical order.

    Raises:
        UserError: no annotations, or no object in any of them.
    """
    paths = sorted(p for d in annotation_dirs for p in files.matches(files.join(d, "*.xml")))
    if not paths:
        raise UserError(f"No annotations (*.xml) in {', '.join(annotation_dirs)}.")
    names: set[str] = set()
    for path in tqdm(paths, desc="finding classes", unit="xml"):
        names.update(o.findtext("name", "").strip() for o in _parse_xml(path).iter("object"))
    if not names:
        raise UserError(
            f"None of the {len(paths)} annotations in {', '.join(annotation_dirs)} has an object; "
            "give the classes with --label_map_json_path."
        )
    chosen = VOC_NAMES if names <= set(VOC_NAMES) else sorted(names)
    return dict(enumerate(chosen, start=1))


def _find_image(image_dir: str, filename: str, stem: str) -> str:
    candidates = [filename] if filename else []
    candidates += [stem + suffix for suffix in IMAGE_SUFFIXES]
    for name in candidates:
        path = os.path.join(image_dir, name)
        if files.is_file(path):
            return path
    raise UserError(f"The image {os.path.join(image_dir, candidates[0])} does not exist.")


def _number(element: etree._Element, tag: str, path: str, default: float | None = None) -> float:
    text = element.findtext(tag)
    try:
        return default if text is None and default is not None else float(text)
    except (TypeError, ValueError) as error:
        raise UserError(f"The annotation {path}: {tag} must be a number, got {text!r}.") from error


def read_annotation(
    path: str,
    image_dir: str,
    image_id: int,
    class_ids: Mapping[str, int],
    *,
    ignore_difficult: bool,
    skipped: Counter,
) -> PascalImage:
    """Reads one XML and the size of its image; counts in ``skipped`` what it leaves out.

    Raises:
        UserError: bad XML, a class outside the label map, a missing or unreadable image.
    """
    root = _parse_xml(path)
    stem = os.path.splitext(os.path.basename(path))[0]
    image_path = _find_image(image_dir, root.findtext("filename", "").strip(), stem)
    try:
        with files.reading(image_path) as file, Image.open(file) as image:
            width, height = image.size
    except (OSError, SyntaxError) as error:
        raise UserError(f"The image {image_path} cannot be read: {error}.") from error
    stated = (root.findtext("size/width"), root.findtext("size/height"))
    if stated != (str(width), str(height)):
        skipped["annotations state another image size (the image's own was used)"] += 1
    objects = []
    for element in root.iter("object"):
        name = element.findtext("name", "").strip()
        if name not in class_ids:
            raise UserError(
                f"{path} has an object of class {name!r}, which is not in the label map "
                f"({', '.join(list(class_ids)[:25])}); add it with --label_map_json_path."
            )
        sides = [
            _number(element, f"bndbox/{side}", path) for side in ("xmin", "ymin", "xmax", "ymax")
        ]
        xmin, ymin, xmax, ymax = sides
        difficult = int(_number(element, "difficult", path, 0.0))
        if difficult and ignore_difficult:
            skipped["difficult objects left out"] += 1
        elif xmax <= xmin or ymax <= ymin:
            skipped["degenerate boxes (xmax <= xmin or ymax <= ymin) dropped"] += 1
        elif xmin >= width or ymin >= height or xmax <= 0 or ymax <= 0:
            skipped["boxes wholly outside their image dropped"] += 1
        else:
            truncated = int(_number(element, "truncated", path, 0.0))
            view = element.findtext("pose", "").strip()
            objects.append(PascalObject(name, class_ids[name], *sides, difficult, truncated, view))
    return PascalImage(image_id, image_path, height, width, tuple(objects))


def encode_image(image: PascalImage) -> bytes:
    """One image and its objects as a serialised record."""
    from efficientvision.data.records import DetectionExample, encode_example, image_format_of

    encoded = files.read_bytes(image.path)
    objects = image.objects
    pixels = image.height * image.width
    return encode_example(
        DetectionExample(
            encoded=encoded,
            image_format=image_format_of(encoded, image.path),
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
    num_shards: int = 100,
    num_images: int | None = None,
    num_workers: int | None = None,
) -> ConversionReport:
    """Converts one set: shards, ``json_<basename>.json`` and the class names beside them.

    Everything is read and checked before anything is written.

    Args:
        data_dir: the folder that holds the years (VOCdevkit).
        year: a folder in it; "merged" for VOC2007 and VOC2012 together.
        set_name: train, val, trainval, test, or any list that is there.
        output_prefix: path prefix of the shards.
        annotations_dir: the annotations' folder inside the year's.
        label_map_json_path: ``{name: id}`` or ``{id: name}``; None: see :func:`discover_labels`.
        ignore_difficult: leave out objects marked difficult.
        num_shards: at most; never more than images.
        num_images: only the first so many.
        num_workers: processes; None: one per core.

    Raises:
        UserError: anything wrong with the data, in words.
    """
    year_dirs = [os.path.join(data_dir, y) for y in (MERGED_YEARS if year == "merged" else [year])]
    for year_dir in year_dirs:
        if not files.is_folder(year_dir):
            raise UserError(
                f"{year_dir} is not a folder; --data_dir must hold a folder named as --year."
            )
    listed = [(d, name) for d in year_dirs for name in read_image_list(d, set_name)]
    if num_images is not None:
        if num_images < 1:
            raise UserError(f"num_images must be at least 1, got {num_images}.")
        listed = listed[:num_images]
    if label_map_json_path:
        labels = read_labels(label_map_json_path)
    else:
        labels = discover_labels([os.path.join(d, annotations_dir) for d in year_dirs])
    class_ids = {name: class_id for class_id, name in labels.items()}
    report = ConversionReport(labels=labels)
    read = functools.partial(
        read_annotation,
        class_ids=class_ids,
        ignore_difficult=ignore_difficult,
        skipped=report.skipped,
    )
    images = []
    for image_id, (year_dir, name) in enumerate(tqdm(listed, desc="annotations", unit="xml"), 1):
        path = os.path.join(year_dir, annotations_dir, name + ".xml")
        stem, suffix = os.path.splitext(name)
        if suffix in IMAGE_SUFFIXES and not files.exists(path):
            path = os.path.join(year_dir, annotations_dir, stem + ".xml")
        images.append(read(path, os.path.join(year_dir, "JPEGImages"), image_id))
    report.num_images = len(images)
    report.num_boxes = sum(len(image.objects) for image in images)
    report.files = write_shards(
        images, encode_image, output_prefix, num_shards=num_shards, num_workers=num_workers
    )
    folder, basename = os.path.split(output_prefix)
    json_path = os.path.join(folder, f"json_{basename}.json")
    files.write_text(json_path, json.dumps(coco_ground_truth(images, labels)))
    report.sidecars = [json_path, write_labels(output_prefix, labels)]
    return report
