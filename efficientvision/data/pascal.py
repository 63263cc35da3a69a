"""PASCAL VOC folders -> records and COCO ground truth.

Layout: ``<data_dir>/<year>/{Annotations/*.xml, JPEGImages/*, ImageSets/Main/*.txt}``, where "year"
may be any folder name; or a folder of images and XML files, as LabelImg leaves it. Conventions kept
from the original converter: image ids count from 1 in the order of the list; the boxes' 1-based
pixel coordinates are used as they are; areas in the records are fractions of the image.
"""

from __future__ import annotations

import functools
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from efficientvision import files
from efficientvision.data.annotation_frame import find_frame
from efficientvision.data.conversion import BuiltRecord, ConversionReport
from efficientvision.data.held_out import part_prefixes
from efficientvision.data.labels import LabelMap, read_labels, write_labels
from efficientvision.data.pascal_files import (
    annotation_folder,
    discover_labels,
    find_image,
    flag_in,
    name_of,
    number_in,
    objects_in,
    parse_xml,
    read_image_list,
    stated_hw,
    xml_path,
)
from efficientvision.data.photos import MAX_PIXELS, StoredPhoto, read_photo_file, store_photo
from efficientvision.data.record_files import write_shards
from efficientvision.errors import UserError

MERGED_YEARS = ("VOC2007", "VOC2012")
_IMAGE_FOLDERS = ("JPEGImages", "images", "Images", "")


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
    root = parse_xml(path)
    stem = os.path.splitext(os.path.basename(path))[0]
    filename = (root.findtext("filename") or "").strip()
    image_path = find_image(listed.image_dirs, filename, stem)
    photo = store_photo(read_photo_file(image_path), repr(image_path), max_pixels=max_pixels)
    height, width = photo.height, photo.width
    frame = find_frame(stated_hw(root), (height, width), photo.orientation, repr(image_path))
    skipped.update([*photo.notes, *frame.notes])
    objects = []
    for element in objects_in(root):
        name = name_of(element)
        if name not in class_ids:
            raise UserError(
                f"{path} has an object of class {name!r}, which is not in the label map "
                f"({', '.join(list(class_ids)[:25])}); add it with `label_map_json_path`."
            )
        sides = [
            number_in(element, f"bndbox/{side}", path) for side in ("ymin", "xmin", "ymax", "xmax")
        ]
        (ymin, xmin, ymax, xmax), *_ = frame.boxes([sides]).tolist()
        difficult = flag_in(element, "difficult")
        if difficult and ignore_difficult:
            skipped["difficult objects left out"] += 1
        elif xmax <= xmin or ymax <= ymin:
            skipped["degenerate boxes (xmax <= xmin or ymax <= ymin) dropped"] += 1
        elif xmin >= width or ymin >= height or xmax <= 0 or ymax <= 0:
            skipped["boxes wholly outside their image dropped"] += 1
        else:
            truncated = flag_in(element, "truncated")
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
            `held_out.part_prefixes`.
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
                f"{year_dir} is not a folder; `data_dir` must hold a folder named as `year`."
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
        labels = discover_labels([annotation_folder(d, annotations_dir) for d in year_dirs])
    images = []
    for image_id, (year_dir, name) in enumerate(listed, 1):
        xml = xml_path(annotation_folder(year_dir, annotations_dir), name)
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
