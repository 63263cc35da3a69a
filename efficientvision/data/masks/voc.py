"""PASCAL VOC's folder of segmentation -> pairs."""

from __future__ import annotations

import os

from efficientvision import files
from efficientvision.data.labels import BUILTIN_OF_MASKS
from efficientvision.data.masks.folders import Found, read_list
from efficientvision.data.masks.mask_files import MaskFiles, label_table
from efficientvision.data.masks.pairs import UNPAIRED, UNPAIRED_MASK, MaskPair, SpoiltPair
from efficientvision.errors import UserError

LABELS = BUILTIN_OF_MASKS["voc"]
AUGMENTED_LIST = os.path.join("list", "train_aug.txt")
# Palette PNGs of indices; the border of objects is 255.
READER = MaskFiles(len(LABELS), label_table(()))


def find(voc_dir: str, augmented: bool | None = None) -> Found:
    """The pairs of `ImageSets/Segmentation/{train,val}.txt`.

    Args:
        voc_dir: such as VOCdevkit/VOC2012.
        augmented: train with `list/train_aug.txt`, the list with the masks of SBD (10,582 images);
            None: if it is there.

    Raises:
        UserError: no such folder, or no lists in it.
    """
    folder = os.path.join(voc_dir, "ImageSets", "Segmentation")
    if not files.is_folder(voc_dir):
        raise UserError(f"--voc_dir={voc_dir} is no folder.")
    found = Found()
    list_file = os.path.join(voc_dir, AUGMENTED_LIST)
    if augmented is None:
        augmented = files.is_file(list_file)
    if augmented:
        listed = read_list(list_file, voc_dir, voc_dir)
        found = Found({"train": listed.parts["train"]}, listed.spoilt)
    for part in ("val",) if augmented else ("train", "val"):
        path = os.path.join(folder, f"{part}.txt")
        if files.is_file(path):
            found.parts[part] = []
            for name in files.read_text(path).split():
                _add(found, part, voc_dir, name)
    if not found.parts:
        raise UserError(
            f"--voc_dir={voc_dir}: there is neither {folder}/train.txt nor val.txt; name the "
            "folder that holds JPEGImages, such as VOCdevkit/VOC2012."
        )
    return found


def _add(found: Found, part: str, voc_dir: str, name: str) -> None:
    image = os.path.join(voc_dir, "JPEGImages", f"{name}.jpg")
    mask = os.path.join(voc_dir, "SegmentationClass", f"{name}.png")
    missing = next((path for path in (image, mask) if not files.is_file(path)), None)
    if missing:
        kind = UNPAIRED_MASK if missing == image else UNPAIRED
        found.spoilt.append(
            SpoiltPair(f"{name} is in the list of {part}, and there is no {missing}.", kind)
        )
    else:
        found.parts[part].append(MaskPair(image, mask, name))
