"""Cityscapes' folders -> pairs; label ids -> the 19 classes used in training and evaluation."""

from __future__ import annotations

import os

import numpy as np

from efficientvision import files
from efficientvision.data.labels import BUILTIN_OF_MASKS
from efficientvision.data.masks.folders import Found
from efficientvision.data.masks.mask_files import IGNORED, MaskFiles
from efficientvision.data.masks.pairs import UNPAIRED, MaskPair, SpoiltPair
from efficientvision.errors import UserError

LABELS = BUILTIN_OF_MASKS["cityscapes"]
# Label ids of the classes in the order of their trainIds 0..18; all others are ignored.
CLASS_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
_NUM_IDS = 34
_IMAGE_ENDING = "_leftImg8bit.png"


class CityscapesMasks:
    """Reads `*_labelIds.png` and `*_labelTrainIds.png`, told apart by their names."""

    def __init__(self) -> None:
        ids = dict.fromkeys(range(_NUM_IDS), IGNORED)
        ids |= {label: k for k, label in enumerate(CLASS_IDS)}
        ids |= dict.fromkeys(range(_NUM_IDS, IGNORED), -1) | {IGNORED: IGNORED}
        self._ids = MaskFiles(len(LABELS), ids)
        # EdgeNets' networks have a 20th output for ignored pixels, which its own masks may contain.
        self._train_ids = MaskFiles(len(LABELS), {len(LABELS): IGNORED})

    def __call__(self, path: str, image_hw: tuple[int, int]) -> np.ndarray:
        reader = self._train_ids if path.endswith("_labelTrainIds.png") else self._ids
        return reader(path, image_hw)


READER = CityscapesMasks()


def find(cityscapes_dir: str, coarse: bool = False) -> Found:
    """Finds the pairs of `leftImg8bit/{train,val}` and `gtFine`.

    Masks are `*_labelIds.png`, or where these are missing `*_labelTrainIds.png`. The masks of
    `test` contain no labels and are left out.

    Args:
        cityscapes_dir: Folder that contains leftImg8bit and gtFine.
        coarse: Add the part "coarse": `leftImg8bit/train_extra` with the masks of `gtCoarse`.

    Raises:
        UserError: There are no such folders.
    """
    found = Found()
    wanted = [("train", "train", "gtFine"), ("val", "val", "gtFine")]
    if coarse:
        wanted.append(("coarse", "train_extra", "gtCoarse"))
    for part, folder, annotation in wanted:
        images = os.path.join(cityscapes_dir, "leftImg8bit", folder)
        if not files.is_folder(images):
            if part == "coarse":
                raise UserError(f"`coarse`: {images} is not a folder.")
            continue
        found.parts[part] = []
        for path in files.matches(os.path.join(images, "*", "*" + _IMAGE_ENDING)):
            _add(found, part, path, os.path.join(cityscapes_dir, annotation, folder), annotation)
    if not found.parts:
        raise UserError(
            f"`cityscapes_dir={cityscapes_dir}` contains neither leftImg8bit/train nor "
            "leftImg8bit/val: unpack leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip "
            "there."
        )
    return found


def has_test(cityscapes_dir: str) -> bool:
    """Whether there are images in the test part, which has no labels."""
    return files.is_folder(os.path.join(cityscapes_dir, "leftImg8bit", "test"))


def _add(found: Found, part: str, image: str, folder: str, annotation: str) -> None:
    city = os.path.basename(files.parent(image))
    stem = os.path.basename(image).removesuffix(_IMAGE_ENDING)
    masks = [
        os.path.join(folder, city, f"{stem}_{annotation}_{kind}.png")
        for kind in ("labelIds", "labelTrainIds")
    ]
    mask = next((path for path in masks if files.is_file(path)), None)
    if mask is None:
        sentence = f"{image} has no mask: there is no {masks[0]}, and no labelTrainIds either."
        found.spoilt.append(SpoiltPair(sentence, UNPAIRED))
    else:
        name = os.path.basename(image).removesuffix(".png")
        found.parts[part].append(MaskPair(image, mask, name))
