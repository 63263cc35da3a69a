"""Images and masks in two folders, or in a list -> pairs."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from efficientvision import files
from efficientvision.data.masks.pairs import UNPAIRED, UNPAIRED_MASK, MaskPair, SpoiltPair
from efficientvision.data.photos import PHOTO_SUFFIXES
from efficientvision.errors import UserError

PARTS = ("train", "val")


@dataclass
class Found:
    """What a layout holds.

    Attributes:
        parts: name of a part -> its pairs, in the order of their names.
        spoilt: what cannot be a pair, and why.
    """

    parts: dict[str, list[MaskPair]] = field(default_factory=dict)
    spoilt: list[SpoiltPair] = field(default_factory=list)


def find_pairs(images_dir: str, masks_dir: str, mask_suffix: str = "") -> Found:
    """The pairs of two folders, or of their folders `train` and `val`, matched by name.

    Args:
        images_dir: the images; those of its sub-folders too.
        masks_dir: the masks, in sub-folders of the same names.
        mask_suffix: what a mask's name has more than its image's, before the ending: "_L".

    Raises:
        UserError: a folder is missing or holds no pictures.
    """
    parts = [part for part in PARTS if files.is_folder(os.path.join(images_dir, part))]
    found = Found()
    for part in parts or [""]:
        images = _pictures(os.path.join(images_dir, part), "--images_dir")
        masks = _pictures(os.path.join(masks_dir, part), "--masks_dir")
        pairs = []
        for name, path in images.items():
            mask = masks.pop(name + mask_suffix, None)
            if mask is not None:
                pairs.append(MaskPair(path, mask, name))
                continue
            expected = os.path.join(masks_dir, part, f"{name}{mask_suffix}.png")
            found.spoilt.append(
                SpoiltPair(f"{path} has no mask: there is no {expected}.", UNPAIRED)
            )
        found.spoilt += [
            SpoiltPair(
                f"{path} has no image: there is none of that name in "
                f"{os.path.join(images_dir, part).rstrip('/')}.",
                UNPAIRED_MASK,
            )
            for path in masks.values()
        ]
        found.parts[part or "train"] = pairs
    return found


def _pictures(folder: str, flag: str) -> dict[str, str]:
    """Path without its ending, relative to the folder -> path; sorted."""
    folder = folder.rstrip("/")
    if not files.is_folder(folder):
        raise UserError(f"{flag}: {folder} is no folder.")
    pictures: dict[str, str] = {}
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(names):
            if not name.lower().endswith(PHOTO_SUFFIXES):
                continue
            path = os.path.join(place, name)
            key = os.path.splitext(os.path.relpath(path, folder))[0].replace(os.sep, "/")
            if key in pictures:
                raise UserError(f"{flag}: {pictures[key]} and {path} differ in their ending only.")
            pictures[key] = path
    if not pictures:
        raise UserError(f"{flag}: {folder} holds no pictures ({' '.join(PHOTO_SUFFIXES)}).")
    return dict(sorted(pictures.items()))


def read_list(list_file: str, images_dir: str | None = None, masks_dir: str | None = None) -> Found:
    """The pairs of a list, lines of `image, mask` or `image mask`.

    Args:
        list_file: the list; paths may begin with a slash and are relative all the same.
        images_dir, masks_dir: what they are relative to; None: the list's folder.

    Returns:
        All under `"train"`.

    Raises:
        UserError: no such file, or a line of another form.
    """
    try:
        lines = files.read_text(list_file).splitlines()
    except OSError as error:
        raise UserError(f"Cannot read the list {list_file}: {error.strerror}.") from error
    folders = [folder or files.parent(list_file) for folder in (images_dir, masks_dir)]
    found = Found({"train": []})
    for number, line in enumerate(lines, start=1):
        fields = [word.strip() for word in (line.split(",") if "," in line else line.split())]
        if not line.strip():
            continue
        if len(fields) != 2 or not all(fields):
            raise UserError(
                f"{list_file}, line {number}: expected an image and its mask, got {line.strip()!r}."
            )
        image, mask = (
            os.path.join(folder, name.lstrip("/"))
            for folder, name in zip(folders, fields, strict=True)
        )
        missing = [path for path in (image, mask) if not files.is_file(path)]
        if missing:
            kind = UNPAIRED_MASK if missing[0] == image else UNPAIRED
            found.spoilt.append(
                SpoiltPair(f"{list_file}, line {number}: there is no {missing[0]}.", kind)
            )
            continue
        name = os.path.splitext(fields[0].lstrip("/"))[0]
        found.parts["train"].append(MaskPair(image, mask, os.path.basename(name)))
    return found


def split(pairs: Sequence[MaskPair], val_fraction: float, seed: int = 0) -> dict:
    """Holds out a share of the pairs, at random.

    Args:
        pairs: all of them, at least two.
        val_fraction: share (0..1) that becomes `"val"`: at least one, and not all.
        seed: of the choice.
    """
    if not 0 < val_fraction < 1:
        raise UserError(f"--val_fraction must be between 0 and 1, got {val_fraction:g}.")
    if len(pairs) < 2:
        raise UserError(f"--val_fraction needs two images or more, got {len(pairs)}.")
    count = min(max(round(len(pairs) * val_fraction), 1), len(pairs) - 1)
    chosen = set(random.Random(f"{seed}").sample(range(len(pairs)), count))
    return {
        "train": [pair for k, pair in enumerate(pairs) if k not in chosen],
        "val": [pair for k, pair in enumerate(pairs) if k in chosen],
    }
