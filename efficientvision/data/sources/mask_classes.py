"""Chooses the reader for a folder's masks, by the class names or colours in a file beside them."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

import numpy as np

from efficientvision import files
from efficientvision.data.labels import LabelMap
from efficientvision.data.masks.mask_files import (
    IGNORED,
    Color,
    MaskFiles,
    label_table,
    read_class_names,
    read_palette,
)
from efficientvision.data.masks.nearest_colors import TOLERANCE
from efficientvision.data.masks.pairs import SpoiltPair
from efficientvision.data.masks.samples import Samples, read_samples
from efficientvision.data.photos import MAX_PIXELS
from efficientvision.errors import UserError

log = logging.getLogger(__name__)

# Files that tools write with the names or the colours of the classes, in any case.
CLASS_FILES = (
    *("palette.txt", "palette.csv", "class_dict.csv", "class_dict_seg.csv", "labelmap.txt"),
    *("label_colors.txt", "label_colours.txt", "colormap.txt"),
    *("classes.txt", "class_names.txt", "names.txt", "labels.txt"),
)
_NO_CLASS = re.compile(r"void|unlabell?ed|ignored?|unannotated", re.IGNORECASE)
# The readers name the option by which a converter gets the file.
_OPTION = re.compile(r"`(?:palette|class_names)(?:=([^`]*)`|`=)")
_SAMPLED = 32
BLACK_AND_WHITE = {(0, 0, 0): 0, (255, 255, 255): 1}


def find_class_file(*folders: str) -> str | None:
    """Returns the file of the classes' names or colours in one of the folders; None: none."""
    for folder in dict.fromkeys(folders):
        names = {name.lower(): name for name in files.list_names(folder)}
        for wanted in CLASS_FILES:
            if wanted in names and files.is_file(files.join(folder, names[wanted])):
                return files.join(folder, names[wanted])
    return None


def mask_reader(
    masks: Sequence[str], class_file: str | None, max_pixels: int | None = MAX_PIXELS
) -> tuple[MaskFiles, LabelMap | None]:
    """Returns the reader of mask files, and the classes' names if they are known.

    Masks are read as colours if the file has colours and the first masks are in them. Otherwise
    their values are the classes; but masks of black and white have the classes background and
    foreground. The pixels of a class named void, unlabelled or ignored are ignored, and a
    message says so.

    Args:
        masks: Paths of the masks.
        class_file: File with names or colours, as `find_class_file` finds it.
        max_pixels: Reject masks with more pixels; None: no limit.

    Raises:
        UserError: The file is neither a list of names nor of colours.
    """
    step = max(1, len(masks) // _SAMPLED)
    samples = _readable(masks[::step][:_SAMPLED], max_pixels)
    if class_file is None:
        if not _are_black_and_white(samples):
            return MaskFiles(None, label_table(()), max_pixels=max_pixels), None
        log.info(
            "The masks are black and white: black is the class background, white is foreground."
        )
        reader = MaskFiles(2, {}, dict(BLACK_AND_WHITE), 0, max_pixels)
        return reader, {0: "background", 1: "foreground"}
    colors, names = _read(class_file)
    ignored = [k for k, name in enumerate(names) if _NO_CLASS.fullmatch(name)]
    class_of = _without(ignored, len(names))
    if ignored:
        log.info(
            f"{class_file}: {' and '.join(names[k] for k in ignored)} is not taken as a class: its "
            "pixels are ignored."
        )
    labels = {class_of[k]: name for k, name in enumerate(names) if k not in ignored}
    if colors is not None and _are_in_colors(samples, colors):
        colors = {color: class_of.get(k, IGNORED) for color, k in colors.items()}
        return MaskFiles(len(labels), {}, colors, TOLERANCE, max_pixels), labels
    table = dict.fromkeys(range(len(names), IGNORED), -1) | class_of
    return MaskFiles(len(labels), table | {IGNORED: IGNORED}, max_pixels=max_pixels), labels


def _readable(masks: Sequence[str], max_pixels: int | None) -> list[Samples]:
    samples = []
    for path in masks:
        try:
            samples.append(read_samples(path, max_pixels))
        except SpoiltPair:
            continue  # The conversion reports it.
    return samples


def _read(class_file: str) -> tuple[dict[Color, int] | None, list[str]]:
    """Returns the colours, or None, and the names of a file."""
    try:
        return read_palette(class_file)
    except UserError as no_palette:
        try:
            return None, read_class_names(class_file)
        except UserError:
            sentence = _OPTION.sub(lambda match: match[1] or "", no_palette.sentence)
            raise UserError(sentence, no_palette.lines) from None


def _without(ignored: Sequence[int], count: int) -> dict[int, int]:
    """Maps numbers in a file to classes: those after an ignored one move up."""
    kept = [k for k in range(count) if k not in ignored]
    return dict.fromkeys(ignored, IGNORED) | {k: place for place, k in enumerate(kept)}


def _are_black_and_white(samples: Sequence[Samples]) -> bool:
    """Whether all masks are of 0 and 255, and both occur."""
    values: set[int] = set()
    for sample in samples:
        try:
            labels = sample.labels
        except SpoiltPair:
            return False
        if labels is None or sample.picture.mode == "P":
            return False
        values |= set(np.unique(labels).tolist())
    return values == {0, IGNORED}


def _are_in_colors(samples: Sequence[Samples], colors: dict[Color, int]) -> bool:
    """Whether the masks show the file's colours: colours, a palette of them, or its greys."""
    numbers: set[int] = set()
    for sample in samples:
        try:
            if sample.labels is None:
                return True
            if sample.picture.mode == "P":
                used = np.unique(sample.rgb.reshape(-1, 3), axis=0)
                return {tuple(color) for color in used.tolist()} <= colors.keys()
            numbers |= set(np.unique(sample.labels).tolist())
        except SpoiltPair:
            continue
    if not {(k, k, k) for k in numbers} <= colors.keys():
        return False
    are_labels = numbers <= {*colors.values(), IGNORED}
    return all(r == g == b for r, g, b in colors) or not are_labels
