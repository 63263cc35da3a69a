"""Class folders: `CLASS/PHOTO`, or `train/CLASS/PHOTO`, `val/CLASS/PHOTO`, `test/CLASS/PHOTO`."""

from __future__ import annotations

import functools
import os

from efficientvision import files
from efficientvision.data.conversion import ConversionReport
from efficientvision.data.held_out import describe_split, hold_out
from efficientvision.data.image_folders import convert
from efficientvision.data.labelled_images import FoundImages, Split, find_images
from efficientvision.data.masks.layouts import FOLDERS_OF_IMAGES, is_folder_of_masks
from efficientvision.data.part_names import PARTS, part_of
from efficientvision.data.photo_groups import group_keys
from efficientvision.data.picture_folders import LeftOut, find_parts, list_folders, walk_pictures
from efficientvision.data.sources.layout import CLASSES, ConvertOptions, Layout
from efficientvision.errors import UserError

FORMAT = "folders"
# Increase it if the same photos become other records.
_VERSION = 1
_SHOWN = 3
# Cityscapes' photos; other layouts keep them in a folder with one of the usual names.
_NO_CLASSES = {*FOLDERS_OF_IMAGES, "leftimg8bit"}


def find(folder: str) -> Layout | None:
    """Recognises class folders; see `labelled_images.find_images` for their parts and errors."""
    if not files.is_folder(folder):
        return None
    parts = find_parts(folder, lambda path: files.is_folder(path) and bool(list_folders(path)))
    places = [*parts.values()] if {"train", "val"} & set(parts) else [folder]
    names = [os.path.basename(path) for place in places for path in _with_pictures(place)]
    if not names or any(name.lower() in _NO_CLASSES for name in names):
        return None
    # `train` and `train_masks` are images and masks, and parts without classes are no classes.
    if all(part_of(name) or is_folder_of_masks(name) for name in names):
        return None
    found = find_images(folder)
    return Layout(
        format=FORMAT,
        labels=CLASSES,
        evidence=_evidence(folder, found),
        inputs=[image.path for images in found.parts.values() for image in images],
        is_split="val" in found.parts,
        version=_VERSION,
        convert=functools.partial(_convert, found),
    )


def _with_pictures(folder: str) -> list[str]:
    """Folders in a folder that contain pictures, directly or below."""
    return [path for path in list_folders(folder) if any(walk_pictures(path, LeftOut()))]


def _evidence(folder: str, found: FoundImages) -> str:
    firsts = [os.path.relpath(images[0].path, folder) for images in found.parts.values() if images]
    names = [first.split(os.sep)[0] for first in firsts]
    if not (len(names) > 1 or part_of(names[0])):
        images = next(images for images in found.parts.values() if images)
        names = sorted({image.source_id.split("/")[0] for image in images})
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"{name}/" for name in names[:_SHOWN]) + more


def _convert(
    found: FoundImages, output_dir: str, options: ConvertOptions
) -> list[ConversionReport]:
    return convert_images(found.parts, output_dir, options, found.left_out)


def convert_images(
    parts: Split, output_dir: str, options: ConvertOptions, left_out: LeftOut | None = None
) -> list[ConversionReport]:
    """Writes the records of labelled photos; a share is held out if there is no part "val".

    Args:
        parts: Part -> its photos.
        output_dir: Folder of the records.
        options: How to convert.
        left_out: Files left out before, for the report.

    Raises:
        UserError: There is a part "val" without photos, or photos cannot be used.
    """
    images, sentence = parts.get("train", []), ""
    if images and parts.get("val") == []:
        raise UserError(
            "The part val has no photos: add them, or remove its folder to hold out a share."
        )
    if not parts.get("val") and len(images) > 1 and options.val_fraction:
        groups = group_keys([image.path for image in images])
        strata = [image.classes for image in images]
        train, val = hold_out(
            images, options.val_fraction, options.seed, groups=groups, strata=strata
        )
        parts = parts | {"train": train, "val": val}
        sentence = describe_split(len(train), len(val), groups, stratified=True)
    reports = convert(
        {part: parts[part] for part in PARTS if parts.get(part)},
        output_dir,
        left_out=left_out,
        skip_bad=options.skip_bad,
        num_shards=options.num_shards,
        num_workers=options.num_workers,
    )
    if sentence:
        reports[0].details.insert(0, sentence)
    return reports
