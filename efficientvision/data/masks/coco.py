"""COCO instances -> masks of PASCAL VOC's 21 classes: EdgeNets' source of more training data."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from efficientvision import files
from efficientvision.data.coco_images import image_path
from efficientvision.data.coco_json import read_instances
from efficientvision.data.labels import BUILTIN_OF_MASKS
from efficientvision.data.masks.folders import Found
from efficientvision.data.masks.pairs import DAMAGED, UNPAIRED, MaskPair, SpoiltPair
from efficientvision.data.outlines import object_mask
from efficientvision.errors import UserError

LABELS = BUILTIN_OF_MASKS["voc"]
# COCO's category for each of VOC's classes; the first is the background.
CATEGORIES = (0, 5, 2, 16, 9, 44, 6, 3, 17, 62, 21, 67, 18, 19, 4, 1, 64, 20, 63, 7, 72)
# Training windows of smaller photos would be mostly padding.
MIN_SIDE = 256
# A mask with nothing but background teaches nothing here.
MIN_VALUES = 2


@dataclass(frozen=True)
class Instances:
    """The objects of one image that belong to VOC's classes, in the order of the file."""

    name: str
    annotations: tuple[dict[str, Any], ...]
    stated_hw: tuple[int, int] | None = None


def rasterize(instances: Instances, image_hw: tuple[int, int]) -> np.ndarray:
    """Draws the objects, uint8 [h, w]; where they overlap, the first in the file wins.

    The size is the one that the file states, or else the image's.

    Raises:
        SpoiltPair: An outline makes no sense.
    """
    height, width = instances.stated_hw or image_hw
    mask = np.zeros((height, width), np.uint8)
    for annotation in instances.annotations:
        try:
            inside = object_mask(annotation, height, width).astype(bool)
        except UserError as error:
            raise SpoiltPair(f"{instances.name}: {error}", DAMAGED) from error
        mask[inside & (mask == 0)] = CATEGORIES.index(annotation["category_id"])
    return mask


def find(
    images_dir: str, instances_file: str, allow_outside: bool = False
) -> tuple[Found, Counter]:
    """Finds the images of an instances file; the part is named after their folder.

    Args:
        images_dir: Folder of the images.
        instances_file: JSON in COCO's format.
        allow_outside: Accept image paths that lead out of `images_dir`.

    Returns:
        (pairs, number of images left out for each reason).

    Raises:
        UserError: The folder or the file is missing, or the file is not in COCO's format.
    """
    if not files.is_folder(images_dir):
        raise UserError(f"`coco_images={images_dir}` is not a folder.")
    file = read_instances(instances_file)
    part = f"coco_{os.path.basename(images_dir.rstrip('/'))}"
    found, skipped = Found({part: []}), Counter(file.notes)
    for info in file.images:
        if info["file_name"] is None:
            raise UserError(f"{instances_file}: the image {info['id']} has no file_name.")
        path = image_path(
            images_dir, info["file_name"], instances_file, allow_outside, by_tail=False
        )
        kept = [a for a in file.by_image.get(info["id"], []) if a["category_id"] in CATEGORIES[1:]]
        sides = info["height"], info["width"]
        if all(sides) and min(sides) < MIN_SIDE:
            skipped[f"images with a side below {MIN_SIDE} pixels left out"] += 1
        elif not kept:
            skipped["images without objects of VOC's classes left out"] += 1
        elif path is None:
            place = os.path.join(images_dir, info["file_name"])
            sentence = f"{place} is listed in {instances_file} but missing."
            found.spoilt.append(SpoiltPair(sentence, UNPAIRED))
        else:
            name = os.path.splitext(info["file_name"])[0]
            stated_hw = sides if all(sides) else None
            instances = Instances(info["file_name"], tuple(kept), stated_hw)
            found.parts[part].append(MaskPair(path, instances, name))
    return found, skipped
