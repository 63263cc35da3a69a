"""PASCAL VOC's segmentation folders -> pairs."""

from __future__ import annotations

import os
from collections import Counter

from efficientvision import files
from efficientvision.data.labels import BUILTIN_OF_MASKS
from efficientvision.data.masks.folders import REPEATED, Found, drop_other_palettes, read_list
from efficientvision.data.masks.mask_files import MaskFiles, label_table
from efficientvision.data.masks.pairs import UNPAIRED, UNPAIRED_MASK, MaskPair, SpoiltPair
from efficientvision.data.names import composed
from efficientvision.data.picture_folders import existing_file
from efficientvision.errors import UserError

LABELS = BUILTIN_OF_MASKS["voc"]
PARTS = ("train", "val")
AUGMENTED_LIST = os.path.join("list", "train_aug.txt")
# Indexed PNGs with a palette; the border of objects is 255.
_IMAGE_SUFFIXES = (".jpg", ".JPG", ".jpeg", ".png")
_LISTED = 5
READER = MaskFiles(len(LABELS), label_table(()))


def find(voc_dir: str, augmented: bool | None = None) -> Found:
    """Finds the pairs of `ImageSets/Segmentation/{train,val}.txt`.

    Args:
        voc_dir: Folder such as VOCdevkit/VOC2012.
        augmented: Train with `list/train_aug.txt`, the list with SBD's masks (10,582 images);
            None: if it exists.

    Raises:
        UserError: There is no such folder, or it has no lists.
    """
    folder = os.path.join(voc_dir, "ImageSets", "Segmentation")
    if not files.is_folder(voc_dir):
        raise UserError(f"`voc_dir={voc_dir}` is not a folder.")
    found = Found()
    list_file = os.path.join(voc_dir, AUGMENTED_LIST)
    if augmented is None:
        augmented = files.is_file(list_file)
    if augmented:
        listed = read_list(list_file, voc_dir, voc_dir, compare_palettes=False)
        found = Found({"train": listed.parts["train"]}, listed.spoilt, listed.left_out)
    for part in PARTS[1:] if augmented else PARTS:
        path = os.path.join(folder, f"{part}.txt")
        if files.is_file(path):
            found.parts[part] = []
            lines = [line.strip() for line in files.read_text(path).splitlines() if line.strip()]
            found.lists[part] = path, len(set(lines))
            for name in dict.fromkeys(lines):
                _add(found, part, voc_dir, name)
            for name, count in Counter(lines).items():
                if count > 1:
                    found.left_out.add(REPEATED, f"{name} in {path}", count - 1)
    if not found.parts:
        if lists := [name for name in files.list_names(folder) if name.endswith(".txt")]:
            raise UserError(
                f"{folder} has {', '.join(lists[:_LISTED])}, but the lists "
                f"must be called train.txt and val.txt: copy {lists[0]} to train.txt, or split "
                "its names between both."
            )
        raise UserError(
            f"{voc_dir} has neither {os.path.join(folder, 'train.txt')} nor val.txt; choose the "
            "folder that contains JPEGImages, such as VOCdevkit/VOC2012."
        )
    drop_other_palettes(found)
    return found


def _add(found: Found, part: str, voc_dir: str, name: str) -> None:
    images, masks = (os.path.join(voc_dir, k) for k in ("JPEGImages", "SegmentationClass"))
    image = _first(images, [name + suffix for suffix in _IMAGE_SUFFIXES])
    mask = existing_file(masks, f"{name}.png")
    if image is None or mask is None:
        missing = os.path.join(masks if image else images, f"{name}{'.png' if image else '.jpg'}")
        kind = UNPAIRED if image else UNPAIRED_MASK
        found.spoilt.append(
            SpoiltPair(f"{name} is in the list of {part}, but there is no {missing}.", kind)
        )
    else:
        found.parts[part].append(MaskPair(image, mask, composed(name)))


def _first(folder: str, names: list[str]) -> str | None:
    return next((path for name in names if (path := existing_file(folder, name))), None)
