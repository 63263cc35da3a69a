"""Finds images and masks in folders, and matches them."""

from __future__ import annotations

import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from efficientvision import files
from efficientvision.data.names import composed
from efficientvision.data.part_names import part_of
from efficientvision.data.photos import PHOTO_SUFFIXES
from efficientvision.data.picture_folders import (
    LeftOut,
    count_beside,
    find_parts,
    list_folders,
    walk_pictures,
)
from efficientvision.errors import UserError

log = logging.getLogger(__name__)

# Suffixes that tools commonly add to the names of masks.
SUFFIXES = (
    "_mask",
    "_masks",
    "-mask",
    "_label",
    "_labels",
    "_L",
    "_seg",
    "_segmentation",
    "_gt",
    "_annotation",
)
FOLDERS_OF_IMAGES = ("images", "image", "imgs", "img", "jpegimages", "photos")
FOLDERS_OF_MASKS = ("masks", "mask", "labels", "annotations", "segmentationclass")
_JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")

_PART_OF_MASKS = re.compile(
    r"(.+?)[ _-]?(?:masks?|labels?|annots?|annotations?|gt|segmentations?)", re.IGNORECASE
)

# Path without extension, relative to a folder -> path, or paths that differ in the extension.
Pictures = dict[str, str]
_Endings = dict[str, list[str]]


@dataclass(frozen=True)
class Place:
    """Folders of one part's images and masks; both may be the same folder."""

    part: str
    images: str
    masks: str


@dataclass(frozen=True)
class Paired:
    """Result of matching the pictures of a place, by name.

    Attributes:
        pairs: Paths of image and mask.
        images: Images without a mask.
        masks: Masks without an image.
        suffix: Suffix that a mask's name adds to its image's.
    """

    pairs: dict[str, tuple[str, str]]
    images: Pictures
    masks: Pictures
    suffix: str


class PictureLists:
    """Lists the pictures of folders, reading each folder once."""

    def __init__(self, left_out: LeftOut) -> None:
        self._left_out = left_out
        self._read: dict[str, _Endings] = {}

    def of(self, folder: str, argument: str) -> _Endings:
        """Returns the pictures in a folder and below, sorted by name.

        Raises:
            UserError: There is no such folder, or it has no pictures.
        """
        folder = folder.rstrip("/") or folder
        if folder in self._read:
            return self._read[folder]
        if not files.is_folder(folder):
            raise UserError(f"{argument}: {folder} is not a folder.")
        pictures: _Endings = defaultdict(list)
        for path in walk_pictures(folder, self._left_out):
            key = os.path.splitext(os.path.relpath(path, folder))[0]
            pictures[composed(key).replace(os.sep, "/")].append(path)
        if not pictures:
            raise UserError(f"{argument}: {folder} has no pictures ({' '.join(PHOTO_SUFFIXES)}).")
        self._read[folder] = dict(sorted(pictures.items()))
        return self._read[folder]


def is_folder_of_masks(name: str) -> bool:
    """Whether a folder's name is that of masks beside the photos of a part: `train_masks`."""
    match = _PART_OF_MASKS.fullmatch(name)
    return match is not None and part_of(match[1]) is not None


def find_places(images_dir: str, masks_dir: str, left_out: LeftOut) -> list[Place]:
    """Finds the parts of two folders, or of one; without parts, everything is "train".

    Args:
        images_dir, masks_dir: See `find_pairs`.
        left_out: Counts files beside the parts, and parts without images or masks.

    Raises:
        UserError: A folder is missing, two folders are the same part, or no part has both.
    """
    for argument, folder in (("images_dir", images_dir), ("masks_dir", masks_dir)):
        if not files.is_folder(folder):
            raise UserError(f"{argument}: {folder} is not a folder.")
    if os.path.realpath(images_dir) == os.path.realpath(masks_dir):
        if beside := _masks_beside(images_dir):
            used = [path for place in beside for path in (place.images, place.masks)]
            count_beside(images_dir, used, left_out, "which has no masks,")
            return beside
    of_images, of_masks = find_parts(images_dir), find_parts(masks_dir)
    if os.path.realpath(images_dir) == os.path.realpath(masks_dir):
        if of_images:
            count_beside(images_dir, of_images.values(), left_out)
        return [
            _one_folder(*each, left_out) for each in (of_images or {"train": images_dir}).items()
        ]
    if not of_images and not of_masks:
        return [Place("train", images_dir, masks_dir)]
    for folder, parts in ((images_dir, of_images), (masks_dir, of_masks)):
        if parts:
            count_beside(folder, parts.values(), left_out)
    places = []
    for part in dict.fromkeys([*of_images, *of_masks]):
        images = of_images.get(part, os.path.join(images_dir, part)) if of_images else images_dir
        masks = of_masks.get(part, os.path.join(masks_dir, part)) if of_masks else masks_dir
        missing = next((p for p in (images, masks) if not files.is_folder(p)), None)
        if missing == images or (missing and part == "test"):
            there, kind = (masks, "images") if missing == images else (images, "masks")
            for path in walk_pictures(there, left_out):
                left_out.add(f"pictures of the part {part}, which has no {kind},", path)
        else:
            places.append(Place(part, images, masks))
    if not places:
        raise UserError(f"No part of {images_dir} has masks in {masks_dir}.")
    return places


def _masks_beside(folder: str) -> list[Place]:
    """Finds parts that each have their masks in a sibling folder: `train` and `train_masks`.

    Raises:
        UserError: Two folders are masks of one part, or a part other than the test part has none.
    """
    of_images = {
        part: path
        for part, path in find_parts(folder).items()
        if _one_folder(part, path, LeftOut()).masks == path
    }
    of_masks: dict[str, str] = {}
    for path in list_folders(folder):
        match = _PART_OF_MASKS.fullmatch(os.path.basename(path))
        part = part_of(match[1]) if match else None
        if part not in of_images or not any(walk_pictures(path, LeftOut())):
            continue
        if part in of_masks:
            raise UserError(
                f"{of_masks[part]} and {path} are both masks of the part {part!r}: set "
                "`masks_dir` to one of them, and `images_dir` to its images."
            )
        of_masks[part] = path
    missing = next((part for part in of_images if part not in {*of_masks, "test"}), None)
    if of_masks and missing:
        example = os.path.basename(next(iter(of_masks.values())))
        raise UserError(
            f"{of_images[missing]} has no folder of masks beside it, such as {example}."
        )
    return [
        Place(part, path, of_masks[part]) for part, path in of_images.items() if part in of_masks
    ]


def _one_folder(part: str, folder: str, left_out: LeftOut) -> Place:
    """Place of a part, or a whole data set, with folders `images` and `masks`, or both mixed."""
    inner = {os.path.basename(path).lower(): path for path in list_folders(folder)}
    images = next((inner[name] for name in FOLDERS_OF_IMAGES if name in inner), None)
    masks = next((inner[name] for name in FOLDERS_OF_MASKS if name in inner), None)
    if images is None or masks is None:
        return Place(part, folder, folder)
    count_beside(folder, (images, masks), left_out)
    return Place(part, images, masks)


def pair_up(place: Place, mask_suffix: str, lists: PictureLists) -> Paired:
    """Matches images and masks.

    Args:
        place: Folders of the images and masks.
        mask_suffix: Suffix that a mask's name adds to its image's; "": none, or a common one.
        lists: Lists the folders.

    Raises:
        UserError: A folder is missing or empty, or names are not unique.
    """
    images = lists.of(place.images, "images_dir")
    if place.images == place.masks:
        return _of_one_folder(images, mask_suffix, place.images)
    pictures = _unique(images, "images_dir")
    masks = _unique(lists.of(place.masks, "masks_dir"), "masks_dir")
    return _matched(pictures, masks, mask_suffix or _usual_suffix(pictures, masks))


def _matched(images: Pictures, masks: Pictures, suffix: str) -> Paired:
    pairs = {
        name: (p, masks[name + suffix]) for name, p in images.items() if name + suffix in masks
    }
    lonely_images = {name: path for name, path in images.items() if name not in pairs}
    taken = {name + suffix for name in pairs}
    lonely_masks = {name: path for name, path in masks.items() if name not in taken}
    return Paired(pairs, lonely_images, lonely_masks, suffix)


def _of_one_folder(pictures: _Endings, suffix: str, folder: str) -> Paired:
    """Matches masks in the images' folder: by name, or as the PNG of the same name as a JPEG."""
    names = dict.fromkeys(pictures)
    suffix = suffix or _usual_suffix(names, names)
    if suffix:
        unique = _unique(pictures, "images_dir")
        masks = {
            name: path
            for name, path in unique.items()
            if name.endswith(suffix)
            and (name.removesuffix(suffix) in unique or name + suffix not in unique)
        }
        images = {name: path for name, path in unique.items() if name not in masks}
        return _matched(images, masks, suffix)
    images, masks = {}, {}
    for name, paths in pictures.items():
        for path in paths:
            of_kind = images if path.lower().endswith(_JPEG_SUFFIXES) else masks
            if name in of_kind:
                raise UserError(
                    f"images_dir: {of_kind[name]} and {path} differ only in their extension."
                )
            of_kind[name] = path
    if not set(images) & set(masks):
        raise UserError(
            f"{folder} contains both images and masks, and their names do not tell which is which: "
            "set the suffix of the masks' names, such as `mask_suffix=_mask`."
        )
    return _matched(images, masks, "")


def _usual_suffix(images: Iterable[str], masks: Mapping[str, object]) -> str:
    """Finds the suffix that matches most masks, if none is found without one."""
    names = list(images)
    if images is not masks and any(name in masks for name in names):
        return ""
    counts = {suffix: sum(name + suffix in masks for name in names) for suffix in SUFFIXES}
    best = max(counts, key=counts.__getitem__)
    if not counts[best]:
        return ""
    log.info(f"Masks have their image's name plus {best} (`mask_suffix={best}`).")
    return best


def _unique(pictures: _Endings, argument: str) -> Pictures:
    for paths in pictures.values():
        if len(paths) > 1:
            raise UserError(
                f"{argument}: {paths[0]} and {paths[1]} differ only in their extension."
            )
    return {name: path for name, (path,) in pictures.items()}
