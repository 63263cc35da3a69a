"""Reads COCO JSON files as real tools write them, and brings them to one form.

Ids may be numbers or text; sizes, areas and flags may be missing, null or text. An entry that makes
no sense is an error that names it; everything left out is counted.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from efficientvision.data.annotation_frame import seem_normalized
from efficientvision.data.json_values import (
    called,
    field_of,
    flag_of,
    number_of,
    plain_id,
    read_json,
    short,
)
from efficientvision.data.labels import LabelMap
from efficientvision.data.names import class_name
from efficientvision.errors import UserError

# Wording of the report's counts.
EMPTY = "annotations with zero width or height skipped"
NO_BOX = "annotations without a box skipped"
NOT_FINITE = "annotations whose box is not finite skipped"
FROM_OUTLINE = "annotations without a box (made from their outline)"
ORPHANS = "annotations of images that the file does not list skipped"
UNNAMED = "categories without a name (named after their id)"
FLAT = "outlines that are one flat list of numbers (taken as one polygon)"
TWIN = "unused categories skipped, as another one has the same name"

_BIGGEST_ID = 10_000  # A head has an output for each number up to the largest class id.
_BIGGEST_NUMBER = 2**31


@dataclass
class CocoFile:
    """Content of a COCO file.

    Attributes:
        path: Path of the file.
        images: Dicts of `id` (int, or text that is no plain number), `file_name` (or None),
            `height` and `width` (int, or None where the file states none).
        by_image: Image id -> its annotations: dicts of `id`, `category_id` (int), `bbox` (x, y,
            width, height, floats), `area` (float or None), `iscrowd` and `difficult` (0 or 1),
            `segmentation`.
        captions: Image id -> its captions.
        labels: Class id -> name.
        category_ids: The file's category id -> class id.
        group_ids: Class ids (of category 0) that only name the group of the other categories.
        notes: How often something was skipped or added, by reason.
        details: Lines to print: the table of renumbered categories, the first orphan.
    """

    path: str
    images: list[dict[str, Any]] = field(default_factory=list)
    by_image: dict[Any, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    captions: dict[Any, list[str]] = field(default_factory=lambda: defaultdict(list))
    labels: LabelMap = field(default_factory=dict)
    category_ids: dict[Any, int] = field(default_factory=dict)
    group_ids: set[int] = field(default_factory=set)
    notes: Counter = field(default_factory=Counter)
    details: list[str] = field(default_factory=list)

    @property
    def is_renumbered(self) -> bool:
        """Whether class ids differ from the file's category ids."""
        return any(number != class_id for number, class_id in self.category_ids.items())

    def id_table(self) -> list[str]:
        """Returns the lines to print if categories were renumbered."""
        rows = [
            f"  {number!r} -> {class_id}  {self.labels.get(class_id, '(skipped)')}"
            for number, class_id in self.category_ids.items()
        ]
        heading = "category ids became class ids, which count from 1:"
        return [heading, *rows] if self.is_renumbered else []

    def as_ground_truth(self) -> dict[str, Any]:
        """Returns a dict in COCO's format, for evaluation."""
        annotations = [
            {**annotation, "image_id": image_id, "area": _area(annotation)}
            for image_id, of_image in self.by_image.items()
            for annotation in of_image
        ]
        categories = [{"id": number, "name": name} for number, name in self.labels.items()]
        return {"images": self.images, "annotations": annotations, "categories": categories}


def read_image_list(path: str) -> CocoFile:
    """Reads the `images` of any COCO file.

    Raises:
        UserError: There is no such file, an image has no id or file name, or two share an id.
    """
    notes: Counter = Counter()
    return _with_images(path, read_json(path, "images", notes=notes), notes)


def read_instances(
    path: str,
    required: Sequence[str] = ("annotations", "categories"),
    *,
    listed_categories: bool = True,
) -> CocoFile:
    """Reads images, boxes and categories of an instances file.

    Args:
        path: Path of the file.
        required: Lists, besides `images`, that the file must have.
        listed_categories: Whether an annotation of an unlisted category is an error; otherwise it
            keeps its number.

    Raises:
        UserError: There is no such file, it is of another kind, or an entry makes no sense.
    """
    notes: Counter = Counter()
    content = read_json(path, "images", notes=notes)
    annotations = content.get("annotations")
    if _holds(annotations, "caption") and not _holds(annotations, "bbox"):
        raise UserError(
            f"{path} contains captions, not boxes: use an instances file (the converter takes "
            "captions as `caption_annotations_file`)."
        )
    if _holds(annotations, "segments_info"):
        raise UserError(
            f"{path} is a panoptic file (its annotations have segments_info): use the instances "
            "file of these images."
        )
    for key in ("annotations", "categories"):
        missing = content.get(key) is None and key not in required
        if not missing and not isinstance(content.get(key), list):
            raise UserError(f"{path} has no list {key!r}; is it a COCO annotation file?")
    file = _with_images(path, content, notes)
    used = {plain_id(a.get("category_id")) for a in annotations or [] if isinstance(a, dict)}
    numbers = _read_categories(file, content.get("categories") or [], used)
    known = {image["id"] for image in file.images}
    orphans = []
    for position, annotation in enumerate(content.get("annotations") or []):
        where = f"{path}: annotation {called(annotation, position)}"
        image_id = plain_id(field_of(annotation, "image_id", where))
        if image_id not in known:
            orphans.append((annotation.get("id"), annotation.get("image_id")))
            continue
        category = plain_id(field_of(annotation, "category_id", where))
        is_number = isinstance(category, int) and 0 <= category <= _BIGGEST_NUMBER
        if category not in numbers and (listed_categories or not is_number):
            raise UserError(
                f"{where} has category_id {short(annotation.get('category_id'))}, which is not "
                "among the file's categories."
            )
        category = numbers.get(category, category)
        if clean := _clean_annotation(annotation, category, file.notes, where):
            file.by_image[image_id].append(clean)
    if orphans:
        file.notes[ORPHANS] += len(orphans)
        file.details.append(
            f"the first annotation of an unlisted image: id {orphans[0][0]!r}, image_id "
            f"{orphans[0][1]!r}"
        )
    _refuse_fractions(file)
    return file


def _refuse_fractions(file: CocoFile) -> None:
    boxes = [annotation["bbox"] for of_image in file.by_image.values() for annotation in of_image]
    if not boxes or max(boxes[0]) > 2:  # One look suffices for most files, however large.
        return
    sizes = [image[side] for image in file.images for side in ("height", "width") if image[side]]
    if seem_normalized(
        [[x, y, x + w, y + h] for x, y, w, h in boxes], (min(sizes, default=None),) * 2
    ):
        raise UserError(
            f"{file.path}: all {len(boxes)} boxes are within 0..1.5, like fractions of the photos, "
            "but COCO's boxes are pixels: multiply them by the photos' widths and heights."
        )


def read_captions(path: str) -> CocoFile:
    """Reads images and captions of a captions file.

    Raises:
        UserError: There is no such file, it is of another kind, or an entry makes no sense.
    """
    notes: Counter = Counter()
    content = read_json(path, "images", "annotations", notes=notes)
    if content["annotations"] and not _holds(content["annotations"], "caption"):
        raise UserError(
            f"{path} contains no captions: pass an instances file as object_annotations_file."
        )
    file = _with_images(path, content, notes)
    known = {image["id"] for image in file.images}
    for position, annotation in enumerate(content["annotations"]):
        where = f"{path}: annotation {called(annotation, position)}"
        image_id = plain_id(field_of(annotation, "image_id", where))
        if image_id not in known:
            file.notes[ORPHANS] += 1
        elif annotation.get("caption") is not None:
            file.captions[image_id].append(str(annotation["caption"]))
    return file


def _with_images(path: str, content: dict, notes: Counter) -> CocoFile:
    file = CocoFile(path, notes=notes)
    seen: dict[Any, str] = {}
    for position, image in enumerate(content["images"]):
        where = f"{path}: image {called(image, position)}"
        image_id = plain_id(field_of(image, "id", where))
        if image_id is None:
            raise UserError(f"{where} needs an id that is a number or text.")
        name = image.get("file_name")
        if name is not None and (not isinstance(name, str) or not name or "\0" in name):
            raise UserError(f"{where} has the file_name {short(name)}, which is not a file name.")
        if image_id in seen:
            raise UserError(
                f"{path} has the image id {image_id!r} twice, for {seen[image_id]!r} and {name!r}: "
                "renumber the images of merged files."
            )
        seen[image_id] = name
        sides = {}
        for side in ("height", "width"):
            number = number_of(image.get(side), f"{where}: {side}")
            sides[side] = round(number) if number and 1 <= number < 1e6 else None
        file.images.append({"id": image_id, "file_name": name, **sides})
    return file


def _read_categories(file: CocoFile, categories: list, used: set) -> dict[Any, int]:
    """Fills in the labels; returns {the file's category id: class id}.

    `used` contains the category ids that annotations have.
    """
    names: dict[Any, str] = {}
    for position, category in enumerate(categories):
        where = f"{file.path}: category {called(category, position)}"
        number = plain_id(field_of(category, "id", where))
        if number is None:
            raise UserError(f"{where} needs an id that is a number or text.")
        name = category.get("name")
        if name is None or not str(name).strip():
            file.notes[UNNAMED] += 1
            name = f"class {number}"
        if number in names:
            raise UserError(
                f"{file.path} has the category id {number!r} twice, as {names[number]!r} and "
                f"{str(name)!r}: give each category its own id."
            )
        names[number] = class_name(str(name))
    twins = _twins(file, names, used)
    whole = all(isinstance(number, int) for number in names)
    if whole and all(1 <= number <= _BIGGEST_ID for number in names):
        numbers = {number: number for number in names}
    elif whole and names and max(names) - min(names) < _BIGGEST_ID:
        # Shifted, not ranked: a file of the same data that lacks a category then gets the same ids.
        numbers = {number: number + 1 - min(names) for number in names}
    else:
        numbers = {number: k for k, number in enumerate(sorted(names, key=str), start=1)}
    file.category_ids = {number: numbers[number] for number in names}
    groups = {class_name(str(category.get("supercategory"))) for category in categories}
    if 0 in names and 0 not in used and len(names) > 1 and names[0] in groups:
        file.group_ids.add(numbers[0])
    file.labels = dict(sorted((numbers[n], name) for n, name in names.items() if n not in twins))
    file.details += file.id_table()
    return numbers


def _twins(file: CocoFile, names: dict[Any, str], used: set) -> set:
    """Returns the ids of unused categories that share their name with another one.

    Roboflow's files begin with one named after the data set, which may be the name of a class.
    """
    twins: set = set()
    last: dict[str, Any] = {}
    for number, name in names.items():
        other = last.setdefault(name, number)
        if other == number:
            continue
        if other in used and number in used:
            raise UserError(
                f"{file.path} has two categories named {name!r}, of the ids {other!r} "
                f"and {number!r}: rename one, or give their annotations the same id."
            )
        twins.add(number if other in used else other)
        last[name] = other if other in used else number
    if twins:
        file.notes[TWIN] += len(twins)
    return twins


def _clean_annotation(
    annotation: dict, category: int, notes: Counter, where: str
) -> dict[str, Any] | None:
    segmentation = annotation.get("segmentation") or []
    if _is_flat(segmentation):
        segmentation = [segmentation]
        notes[FLAT] += 1
    box = _read_box(annotation.get("bbox"), where)
    if box is None:
        box = _outline_box(segmentation)
        notes[NO_BOX if box is None else FROM_OUTLINE] += 1
        if box is None:
            return None
    if not all(map(math.isfinite, box)):
        notes[NOT_FINITE] += 1
        return None
    if box[2] <= 0 or box[3] <= 0:
        notes[EMPTY] += 1
        return None
    area = number_of(annotation.get("area"), f"{where}: area")
    return {
        "id": annotation.get("id"),
        "category_id": category,
        "bbox": box,
        "area": area if area is not None and 0 <= area < math.inf else None,
        "iscrowd": flag_of(annotation.get("iscrowd"), f"{where}: iscrowd"),
        "difficult": flag_of(annotation.get("difficult"), f"{where}: difficult"),
        "segmentation": segmentation,
    }


def _read_box(value: Any, where: str) -> list[float] | None:
    if value is None or value == []:
        return None
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        raise UserError(
            f"{where}: bbox must be four numbers [x, y, width, height], got {short(value)}."
        )
    sides = [number_of(side, f"{where}: bbox") for side in value]
    return [math.nan if side is None else side for side in sides]


def _is_flat(segmentation: Any) -> bool:
    """Whether an outline is x, y, x, y, ... instead of a list of such polygons."""
    return (
        isinstance(segmentation, list)
        and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in segmentation[:6])
        and len(segmentation) >= 6
    )


def _outline_box(segmentation: Any) -> list[float] | None:
    """Returns the bounding box of polygons; None if there are none."""
    if not isinstance(segmentation, list) or not segmentation:
        return None
    xs, ys = [], []
    for polygon in segmentation:
        if not isinstance(polygon, list) or len(polygon) < 6:
            return None
        if not all(isinstance(v, (int, float)) and math.isfinite(v) for v in polygon):
            return None
        xs += polygon[0::2]
        ys += polygon[1::2]
    return [float(min(xs)), float(min(ys)), float(max(xs) - min(xs)), float(max(ys) - min(ys))]


def _area(annotation: dict[str, Any]) -> float:
    _, _, width, height = annotation["bbox"]
    return width * height if annotation["area"] is None else annotation["area"]


def _holds(entries: Any, key: str) -> bool:
    return isinstance(entries, list) and any(isinstance(e, dict) and key in e for e in entries)
