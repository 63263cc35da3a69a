"""PASCAL VOC's segmentation: `JPEGImages`, `SegmentationClass` and `ImageSets/Segmentation`."""

from __future__ import annotations

import functools
import os

from efficientvision import files
from efficientvision.data.masks import voc
from efficientvision.data.picture_folders import list_folders
from efficientvision.data.sources.layout import Layout
from efficientvision.data.sources.mask_classes import find_class_file
from efficientvision.data.sources.mask_folders import convert_pairs, mask_layout

FORMAT = "voc"
# Increase it if the same files become other records.
_VERSION = 2


def find(folder: str) -> Layout | None:
    """Recognises a year's folder, or a folder around a single one; see `masks.voc.find`.

    The classes are VOC's, unless there is a file with other names or colours beside the folders.
    """
    year = folder if _is_year(folder) else None
    if year is None:
        inner = [path for path in _below(folder, 2) if _is_year(path)]
        year = inner[0] if len(inner) == 1 else None
    if year is None:
        return None
    found = voc.find(year)
    class_file = find_class_file(year, folder)
    evidence = files.relative(os.path.join(year, "SegmentationClass"), folder)
    return mask_layout(
        FORMAT,
        found,
        f"{evidence}/{f', {os.path.basename(class_file)}' if class_file else ''}",
        functools.partial(
            convert_pairs,
            found,
            reader=None if class_file else (voc.READER, voc.LABELS),
            class_file=class_file,
            white_is_ignored=True,
        ),
        [*_lists(year), *([class_file] if class_file else [])],
        version=_VERSION,
    )


def _lists(year: str) -> list[str]:
    """Paths of the lists of the parts, whether they exist or not."""
    names = [os.path.join("ImageSets", "Segmentation", f"{part}.txt") for part in voc.PARTS]
    return [os.path.join(year, name) for name in (*names, voc.AUGMENTED_LIST)]


def _below(folder: str, depth: int) -> list[str]:
    inner = list_folders(folder) if depth and files.is_folder(folder) else []
    return [*inner, *(path for place in inner for path in _below(place, depth - 1))]


def _is_year(folder: str) -> bool:
    lists = os.path.join(folder, "ImageSets", "Segmentation")
    return files.is_folder(lists) and files.is_folder(os.path.join(folder, "SegmentationClass"))
