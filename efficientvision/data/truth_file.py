"""Ground truth that converters write beside records: COCO's format with the records' boxes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import NamedTuple

from efficientvision import files
from efficientvision.data.labels import LabelMap


class TrueObject(NamedTuple):
    """An object as stored in a record: pixel corners and area in the stored photo."""

    class_id: int
    xmin: float
    ymin: float
    xmax: float
    ymax: float
    area: float
    is_crowd: int = 0
    difficult: int = 0


class TrueImage(NamedTuple):
    """An image as stored in a record.

    Attributes:
        differs: Whether its original annotations would give other numbers.
    """

    image_id: int | str
    file_name: str
    height: int
    width: int
    objects: tuple[TrueObject, ...]
    differs: bool = True


def truth_path(output_prefix: str) -> str:
    """Path of the ground truth for records of a prefix: ``json_<name>.json`` beside them."""
    folder, name = os.path.split(output_prefix)
    return os.path.join(folder, f"json_{name}.json")


def write_truth(output_prefix: str, images: Iterable[TrueImage], labels: LabelMap) -> str:
    """Writes the ground truth of the records of a prefix; returns the path."""
    path = truth_path(output_prefix)
    files.write_text(path, json.dumps(_coco_format(list(images), labels)))
    return path


def _coco_format(images: list[TrueImage], labels: LabelMap) -> dict:
    annotations = []
    for image in images:
        for o in image.objects:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image.image_id,
                    "category_id": o.class_id,
                    "bbox": [o.xmin, o.ymin, o.xmax - o.xmin, o.ymax - o.ymin],
                    "area": o.area,
                    "iscrowd": o.is_crowd,
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
            {"id": i.image_id, "file_name": i.file_name, "height": i.height, "width": i.width}
            for i in images
        ],
        "annotations": annotations,
        "categories": [
            {"id": class_id, "name": name, "supercategory": "none"}
            for class_id, name in labels.items()
        ],
    }
