"""PASCAL VOC folders -> records and COCO ground truth.

Layout: ``<data_dir>/<year>/{Annotations/*.xml, JPEGImages/*, ImageSets/Main/*.txt}``, where "year"
may be any folder name; or folders `images` and `annotations` (`annots`, `labels`, `xml`), or a
folder of images and XML files, as LabelImg leaves it. Conventions kept from the original converter:
image ids count from 1 in the order of the list; the boxes' 1-based pixel coordinates are used as
they are; areas in the records are fractions of the image.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from efficientvision import files
from efficientvision.data.annotation_frame import (
    CUT,
    OUTSIDE,
    cut_at_edge,
    find_frame,
    seem_normalized,
)
from efficientvision.data.conversion import BuiltRecord, ConversionReport
from efficientvision.data.held_out import part_prefixes
from efficientvision.data.labels import LabelMap, differing_ids, read_labels, write_labels
from efficientvision.data.pascal_files import (
    annotation_folder,
    discover_labels,
    files_below,
    flag_in,
    has_lists,
    lists_folder,
    name_of,
    nameless,
    number_in,
    objects_in,
    parse_xml,
    read_image_list,
    stated_hw,
)
from efficientvision.data.pascal_photos import names_another, stated_name
from efficientvision.data.pascal_sets import ListedImage, PascalYear, list_images
from efficientvision.data.photos import MAX_PIXELS, StoredPhoto, read_photo_file, store_photo
from efficientvision.data.record_files import write_shards
from efficientvision.data.truth_file import TrueImage, TrueObject, write_truth
from efficientvision.errors import UserError

MERGED_YEARS = ("VOC2007", "VOC2012")
RENAMED = "photos taken by the name of their XML file, as its <filename> names another"
WITHOUT_XML = "photos without an annotation skipped"


@dataclass(frozen=True)
class PascalObject:
    """One labelled box: pixel corners in the stored photo, 1-based as in the XML."""

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
    """An image with the objects that are kept; `height` and `width` are the record's."""

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
    """Reads one XML and its image; counts changes and omissions in ``skipped``.

    Raises:
        UserError: The XML is invalid, a class is not in the label map, or the image is missing,
            unreadable or of another shape than the XML states.
    """
    path = listed.xml
    root = parse_xml(path) if path is not None else None
    image_path = listed.photo.path
    if image_path is None:
        raise UserError(listed.photo.problem)
    photo = store_photo(read_photo_file(image_path), repr(image_path), max_pixels=max_pixels)
    image_hw = photo.height, photo.width
    if path is None or root is None:
        skipped.update(photo.notes)
        return PascalImage(listed.image_id, image_path, *image_hw, ()), photo
    frame = find_frame(stated_hw(root), image_hw, photo.orientation, repr(image_path))
    skipped.update([*photo.notes, *frame.notes])
    skipped[RENAMED] += int(names_another(stated_name(root), image_path))
    objects, corners = [], []
    for element in objects_in(root):
        name = name_of(element)
        if not name:
            raise nameless(path)
        if name not in class_ids:
            raise UserError(
                f"{path} has an object of class {name!r}, which is not in the label map "
                f"({', '.join(list(class_ids)[:25])}); add it with `label_map_json_path`."
            )
        sides = [
            number_in(element, f"bndbox/{side}", path) for side in ("ymin", "xmin", "ymax", "xmax")
        ]
        corners.append(sides)
        (box,) = frame.boxes([sides])
        difficult = flag_in(element, "difficult")
        if difficult and ignore_difficult:
            skipped["difficult objects left out"] += 1
            continue
        if (box[2:] <= box[:2]).any():
            skipped["degenerate boxes (xmax <= xmin or ymax <= ymin) dropped"] += 1
            continue
        cut, over = cut_at_edge(box, image_hw)
        skipped[OUTSIDE if cut is None else CUT] += int(over)
        if cut is not None:
            ymin, xmin, ymax, xmax = cut.tolist()
            truncated = flag_in(element, "truncated")
            view = (element.findtext("pose") or "").strip()
            objects.append(
                PascalObject(
                    name, class_ids[name], xmin, ymin, xmax, ymax, difficult, truncated, view
                )
            )
    if seem_normalized(corners, image_hw):
        raise UserError(
            f"{path}: all boxes are within 0..1.5, like fractions of the photo, but VOC's "
            "coordinates are pixels: multiply them by the photo's width and height."
        )
    image = PascalImage(listed.image_id, image_path, *image_hw, tuple(objects))
    return image, photo


def build_record(
    listed: ListedImage,
    class_ids: Mapping[str, int],
    *,
    ignore_difficult: bool = False,
    max_pixels: int | None = MAX_PIXELS,
) -> BuiltRecord:
    """Makes a record of one image and its objects; `facts` is the `TrueImage`."""
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
    truths = (
        TrueObject(
            *(o.class_id, o.xmin, o.ymin, o.xmax, o.ymax),
            area=(o.xmax - o.xmin) * (o.ymax - o.ymin),
            difficult=o.difficult,
        )
        for o in objects
    )
    truth = TrueImage(
        image.image_id, os.path.basename(image.path), image.height, image.width, tuple(truths)
    )
    return BuiltRecord(serialized, tuple(counts.elements()), truth, photo.remarks)


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
    """Converts one set: writes shards, ``json_<basename>.json`` and the class names beside them.

    Args:
        data_dir: Folder that contains the years' folders (VOCdevkit), or is one itself.
        year: Folder in it; "merged" for VOC2007 and VOC2012 together.
        set_name: Name of the image list: train, val, trainval, test, or any other list that exists.
        output_prefix: Path prefix of the shards.
        annotations_dir: Folder of the annotations inside the year's folder.
        label_map_json_path: ``{name: id}`` or ``{id: name}``; None: see `discover_labels`.
        ignore_difficult: Leave out objects marked difficult.
        skip_bad: Skip images that cannot be used, and count them.
        max_pixels: Reject photos with more pixels; None: no limit.
        val_fraction: Hold out this share (0..1) of the images as a val part; see
            `held_out.part_prefixes`.
        split_seed: Seed of the split.
        num_shards: Number of shards per part; never more than images.
        num_images: Convert only the first images, this many; None: all.
        num_workers: Number of processes; None: one per core.

    Returns:
        A report for each part.

    Raises:
        UserError: Something is wrong with the data.
    """
    year_dirs = [os.path.join(data_dir, y) for y in (MERGED_YEARS if year == "merged" else [year])]
    if year != "merged" and not files.is_folder(year_dirs[0]) and _is_year(data_dir):
        year_dirs = [data_dir]
    for year_dir in year_dirs:
        if not files.is_folder(year_dir):
            raise UserError(
                f"{year_dir} is not a folder; `data_dir` must contain the folder that `year` names."
            )
    years = [PascalYear(d, annotations_dir) for d in year_dirs]
    listed = [
        (place, name)
        for place in years
        for name in read_image_list(place.folder, set_name, place.annotations)
    ]
    if num_images is not None:
        if num_images < 1:
            raise UserError(f"num_images must be at least 1, got {num_images}.")
        listed = listed[:num_images]
    if label_map_json_path:
        labels = _given_labels(label_map_json_path)
    else:
        labels = discover_labels([place.annotations for place in years], skip_bad=skip_bad)
    images = list_images(listed)
    first = ConversionReport()
    for place in years:
        if num_images is None and not has_lists(place.folder):
            taken = {image.photo.path for image in images}
            without = sum(path not in taken for path in place.photos.all())
            first.skipped += Counter({WITHOUT_XML: without})
            if val_fraction is None:
                first.details.append(
                    f"no image lists in {lists_folder(place.folder)}: all annotations are "
                    "converted, whatever `set` says; `val_fraction` holds out a share of them"
                )
    reports = []
    parts = part_prefixes(images, output_prefix, val_fraction, split_seed)
    for prefix, part in parts.items():
        report = first if not reports else ConversionReport()
        write_part(
            part,
            prefix,
            labels,
            report,
            written_with=parts,
            ignore_difficult=ignore_difficult,
            skip_bad=skip_bad,
            max_pixels=max_pixels,
            num_shards=num_shards,
            num_workers=num_workers,
        )
        reports.append(report)
    return reports


def write_part(
    images: Sequence[ListedImage],
    prefix: str,
    labels: LabelMap,
    report: ConversionReport,
    *,
    written_with: Collection[str] = (),
    ignore_difficult: bool = False,
    skip_bad: bool = False,
    max_pixels: int | None = MAX_PIXELS,
    num_shards: int | None = 100,
    num_workers: int | None = None,
) -> None:
    """Writes the records of a part, their ground truth and the class names.

    Args:
        images: Images of the part.
        prefix: Path prefix of the shards.
        labels: Class id -> name.
        report: Gets the files, the numbers and what was left out.
        written_with: Prefixes of the same conversion, see `differing_ids`.
        ignore_difficult, skip_bad, max_pixels, num_shards, num_workers: See `convert`.

    Raises:
        UserError: Images cannot be used.
    """
    build = functools.partial(
        build_record,
        class_ids={name: class_id for class_id, name in labels.items()},
        ignore_difficult=ignore_difficult,
        max_pixels=max_pixels,
    )
    written = write_shards(
        images, build, prefix, num_shards=num_shards, num_workers=num_workers, skip_bad=skip_bad
    )
    report.labels = labels
    report.add(written)
    kept = [image for image in written.facts if image]
    report.num_images = len(kept)
    report.num_boxes = sum(len(image.objects) for image in kept)
    truth_file = write_truth(prefix, kept, labels)
    report.details += differing_ids(prefix, labels, written_with)
    report.sidecars = [truth_file, write_labels(prefix, labels)]


def _given_labels(path: str) -> LabelMap:
    """Reads a label map file; each name must stand for one id."""
    labels = read_labels(path)
    ids: dict[str, int] = {}
    for class_id, name in labels.items():
        if name in ids:
            raise UserError(
                f"{path} has the class {name!r} twice, with the ids {ids[name]} and {class_id}: "
                "it is unclear which of them its objects should get."
            )
        ids[name] = class_id
    return labels


def _is_year(folder: str) -> bool:
    """Whether a folder itself contains annotations."""
    place = annotation_folder(folder)
    return place != folder or next(files_below(folder, (".xml",), is_flat=True), None) is not None
