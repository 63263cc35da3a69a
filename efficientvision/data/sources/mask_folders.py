"""Folders of images and masks: side by side, in parts, mixed, or in Cityscapes' layout."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence

from efficientvision import files
from efficientvision.data.conversion import ConversionReport
from efficientvision.data.held_out import describe_split, hold_out
from efficientvision.data.labels import LabelMap
from efficientvision.data.masks import cityscapes
from efficientvision.data.masks.convert import convert
from efficientvision.data.masks.folders import Found, drop_other_palettes, find_pairs
from efficientvision.data.masks.layouts import (
    FOLDERS_OF_IMAGES,
    FOLDERS_OF_MASKS,
    is_folder_of_masks,
)
from efficientvision.data.masks.pairs import UNPAIRED, UNPAIRED_MASK, ReadMask
from efficientvision.data.part_names import PARTS
from efficientvision.data.photo_groups import group_keys
from efficientvision.data.picture_folders import LeftOut, find_parts, list_folders, walk_pictures
from efficientvision.data.sources.labelled_photos import no_val_photos
from efficientvision.data.sources.layout import MASKS, ConvertOptions, Layout
from efficientvision.data.sources.mask_classes import find_class_file, mask_reader
from efficientvision.errors import UserError

FORMAT = "masks"
# Increase it if the same files become other records.
_VERSION = 1
# Of the pictures of a folder in which images and masks are mixed, at least this share forms pairs.
_LEAST_PAIRED = 0.5
_UNPAIRED = (UNPAIRED, UNPAIRED_MASK)
_TOLD_BY_FILES = ("palette", "ignore_label", "class_names")
_BY_FILES = (
    " A data folder tells both by files: palette.txt with lines of R G B name, or classes.txt with "
    "the name of one class per line, in order; a class named void is ignored."
)


def find(folder: str) -> Layout | None:
    """Recognises images and masks; see `masks.folders.find_pairs` for their names and errors."""
    if not files.is_folder(folder):
        return None
    if files.is_folder(os.path.join(folder, "leftImg8bit")):
        return _cityscapes(folder)
    inner = {os.path.basename(path).lower(): path for path in list_folders(folder)}
    images = next((inner[name] for name in FOLDERS_OF_IMAGES if name in inner), None)
    masks = next((inner[name] for name in FOLDERS_OF_MASKS if name in inner), None)
    if images and masks:
        return _two_folders(folder, images, masks)
    parts = find_parts(folder)
    beside = [path for name, path in inner.items() if is_folder_of_masks(name)]
    if any(_both_inside(path) for path in parts.values()) or any(map(_has_pictures, beside)):
        evidence = ", ".join(f"{os.path.basename(path)}/" for path in [*parts.values(), *beside])
        return _layout(folder, find_pairs(folder, folder, compare_palettes=False), evidence)
    return _mixed(folder)


def _cityscapes(folder: str) -> Layout | None:
    found = cityscapes.find(folder)
    if not any(found.parts.values()):
        return None
    reader = cityscapes.READER, cityscapes.LABELS
    return mask_layout(
        FORMAT,
        found,
        "leftImg8bit/, gtFine/",
        functools.partial(convert_pairs, found, reader=reader),
        version=_VERSION,
    )


def _two_folders(folder: str, images: str, masks: str) -> Layout | None:
    if not (_has_pictures(images) and _has_pictures(masks)):
        return None
    found = find_pairs(images, masks, compare_palettes=False)
    evidence = ", ".join(f"{os.path.basename(path)}/" for path in (images, masks))
    return _layout(folder, found, evidence)


def _mixed(folder: str) -> Layout | None:
    try:
        found = find_pairs(folder, folder, compare_palettes=False)
    except UserError:
        return None  # Pictures, but not images and masks.
    paired = 2 * sum(map(len, found.parts.values()))
    if not paired or paired < _LEAST_PAIRED * (paired + len(found.spoilt)):
        return None
    return _layout(folder, found, "images and masks of the same names")


def _both_inside(folder: str) -> bool:
    names = {os.path.basename(path).lower(): path for path in list_folders(folder)}
    masks = [path for name, path in names.items() if name in FOLDERS_OF_MASKS]
    return bool(names.keys() & set(FOLDERS_OF_IMAGES)) and any(map(_has_pictures, masks))


def _has_pictures(folder: str) -> bool:
    return any(walk_pictures(folder, LeftOut()))


def _layout(folder: str, found: Found, evidence: str) -> Layout:
    places = {os.path.dirname(pair.mask) for pairs in found.parts.values() for pair in pairs}
    class_file = find_class_file(folder, *map(os.path.dirname, sorted(places)), *sorted(places))
    if class_file:
        evidence += f", {files.relative(class_file, folder)}"
    return mask_layout(
        FORMAT,
        found,
        evidence,
        functools.partial(convert_pairs, found, class_file=class_file),
        [class_file] if class_file else [],
        version=_VERSION,
    )


def mask_layout(
    data_format: str,
    found: Found,
    evidence: str,
    convert: functools.partial,
    more_inputs: Sequence[str] = (),
    *,
    version: int,
) -> Layout:
    """The layout of pairs that were found; unpaired files are not among its inputs."""
    paths = [p for pairs in found.parts.values() for pair in pairs for p in (pair.image, pair.mask)]
    return Layout(
        format=data_format,
        labels=MASKS,
        evidence=evidence,
        inputs=[*more_inputs, *paths],
        is_split="val" in found.parts,
        version=version,
        convert=convert,
    )


def convert_pairs(
    found: Found,
    output_dir: str,
    options: ConvertOptions,
    *,
    reader: tuple[ReadMask, LabelMap] | None = None,
    class_file: str | None = None,
    white_is_ignored: bool = False,
) -> list[ConversionReport]:
    """Writes the records of pairs, holding out a share of them if they are not split.

    Images without masks and masks without images are left out, and counted.

    Args:
        found: The pairs, by part.
        output_dir: Folder of the records.
        options: How to convert.
        reader: Mask reader and class names; None: as the masks and `class_file` say.
        class_file: File with the names or colours of the classes.
        white_is_ignored: Whether 255 is known to mean "no class".
    """
    paths = [pair.mask for pairs in found.parts.values() for pair in pairs]
    if not paths:
        reason = f": {found.spoilt[0]}" if found.spoilt else "."
        raise UserError(f"No image has a mask of its name{reason}")
    if found.parts.get("train") and found.parts.get("val") == []:
        raise _no_val(found)
    found = _without_unpaired(found)
    if reader is not None:
        read_mask, labels = reader
        white_is_ignored = True
    else:
        own, labels = mask_reader(paths, class_file)
        if own.colors is None:  # Colours are looked up; their indices do not matter.
            drop_other_palettes(found)
        white_is_ignored = white_is_ignored or own.colors is not None
        read_mask = own
    parts, sentence = found.parts, ""
    pairs = parts.get("train", [])
    if not parts.get("val") and len(pairs) > 1 and options.val_fraction:
        groups = group_keys([pair.image for pair in pairs])
        train, val = hold_out(pairs, options.val_fraction, options.seed, groups=groups)
        parts = parts | {"train": train, "val": val}
        sentence = describe_split(len(train), len(val), groups, stratified=False)
    found.parts = {part: parts[part] for part in PARTS if parts.get(part)}
    try:
        reports = convert(
            found,
            output_dir,
            read_mask,
            labels,
            skip_bad=options.skip_bad,
            white_is_ignored=white_is_ignored,
            num_shards=options.num_shards,
            num_workers=options.num_workers,
        )
    except UserError as error:
        if not any(f"`{name}" in str(error) for name in _TOLD_BY_FILES):
            raise
        raise UserError(error.sentence + _BY_FILES, error.lines) from error
    if sentence:
        reports[0].details.insert(0, sentence)
    return reports


def _no_val(found: Found) -> UserError:
    """The error for a part "val" without a pair."""
    if "val" in found.lists:
        path, count = found.lists["val"]
        folder = os.path.dirname(found.parts["train"][0].image)
        return no_val_photos(path, count, folder, lack="exist with their mask")
    reason = f" (such as: {found.spoilt[0].sentence.rstrip('.')})" if found.spoilt else ""
    return UserError(
        f"The part val has no image with its mask{reason}: add them, or remove its folder to hold "
        "out a share."
    )


def _without_unpaired(found: Found) -> Found:
    """A copy in which unpaired files are only counted."""
    left_out = LeftOut()
    left_out.update(found.left_out)
    for error in found.spoilt:
        if error.kind in _UNPAIRED:
            left_out.add(error.kind, error.sentence.rstrip("."))
    spoilt = [error for error in found.spoilt if error.kind not in _UNPAIRED]
    return Found(dict(found.parts), spoilt, left_out)
