"""Finds images with classes in class folders."""

from __future__ import annotations

import collections
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from efficientvision import files
from efficientvision.data.class_layouts import (
    look_at_depth,
    refuse_parts_as_classes,
    unwrapped,
)
from efficientvision.data.names import class_name, composed
from efficientvision.data.photos import PHOTO_SUFFIXES, is_photo_name
from efficientvision.data.picture_folders import (
    READ_ALREADY,
    LeftOut,
    count_beside,
    find_parts,
    list_folders,
    no_picture,
    walk_pictures,
)
from efficientvision.errors import UserError


@dataclass(frozen=True)
class LabelledImage:
    """An image file and the names of its classes."""

    path: str
    source_id: str
    classes: tuple[str, ...]


Split = dict[str, list[LabelledImage]]


@dataclass
class FoundImages:
    """Content of a data folder.

    Attributes:
        parts: Part -> images in the order of their paths.
        left_out: Files that are not used.
    """

    parts: Split = field(default_factory=dict)
    left_out: LeftOut = field(default_factory=LeftOut)


def read_folders(data_dir: str) -> Split:
    """Returns only the images of `find_images`."""
    return find_images(data_dir).parts


def find_images(data_dir: str) -> FoundImages:
    """Finds the images of `data_dir/<part>/<class>/...`, or of `data_dir/<class>/...`.

    Args:
        data_dir: Contains the parts `train`, `val` and `test` under any of their usual names
            (`Training`, `valid`), any of which may be missing; or the class folders.

    Returns:
        The images; class folders without parts are all `"train"`. A part `"test"` is only
        included if its classes occur in the other parts.

    Raises:
        UserError: There is no such folder, or there are no images in folders in it.
    """
    if not files.is_folder(data_dir):
        raise UserError(f"{data_dir} is not a folder.")
    found = FoundImages()
    parts = _class_parts(data_dir)
    for part, folder in (parts or {"train": data_dir}).items():
        inner = unwrapped(folder, part, found.left_out) if parts else folder
        images = found.parts[part] = _read_classes(inner, found.left_out)
        source_ids = [image.source_id for image in images]
        if images and not parts:
            refuse_parts_as_classes(data_dir, source_ids)
        if part != "test":
            known = {image.classes[0] for image in found.parts.get("train", ())}
            look_at_depth(inner, source_ids, known if part == "val" else ())
    if parts:
        count_beside(data_dir, parts.values(), found.left_out)
        _drop_strange_test(found)
    if not any(found.parts.values()):
        raise UserError(
            f"{data_dir} contains no images: expected train/CLASS/IMAGE and "
            f"val/CLASS/IMAGE, or CLASS/IMAGE ({' '.join(PHOTO_SUFFIXES)})."
        )
    return found


def _class_parts(data_dir: str) -> dict[str, str]:
    """Parts that contain folders; a class may be named train or valid, too."""
    parts = find_parts(data_dir, lambda path: files.is_folder(path) and bool(list_folders(path)))
    folders = list_folders(data_dir)
    if not {"train", "val"} & set(parts) and len(folders) > len(parts):
        parts = {}
    if not parts and len(folders) == 1 and _class_parts(folders[0]):
        raise UserError(
            f"{data_dir} contains a single folder, which contains the parts: use {folders[0]}."
        )
    return parts


def _read_classes(folder: str, left_out: LeftOut) -> list[LabelledImage]:
    images = []
    for name in files.list_names(folder):
        path = os.path.join(folder, name)
        if files.is_file(path) and not name.startswith("."):
            reason = "pictures outside class folders" if is_photo_name(path) else None
            left_out.add(reason or no_picture(name), path)
    places = list_folders(folder, left_out)
    # A link from one class to another's folder would give its photos both classes.
    known = {os.path.realpath(place) for place in places}
    real = {os.path.realpath(place) for place in places if not os.path.islink(place)}
    for place in places:
        if os.path.islink(place) and os.path.realpath(place) in real:
            left_out.add(READ_ALREADY, place)
            continue
        before = len(images)
        name = class_name(os.path.basename(place))
        for path in walk_pictures(place, left_out, known):
            source_id = composed(os.path.relpath(path, folder)).replace(os.sep, "/")
            images.append(LabelledImage(path, source_id, (name,)))
        if len(images) == before:
            left_out.add("class folders without pictures", place)
    return images


def _drop_strange_test(found: FoundImages) -> None:
    """Drops a test part with other folders (`test/unknown/`), which would become classes."""
    known = {i.classes for part, images in found.parts.items() if part != "test" for i in images}
    strange = [i for i in found.parts.get("test", ()) if known and i.classes not in known]
    if strange:
        why = f"as {strange[0].classes[0]!r} is not a class of the other parts,"
        for image in found.parts.pop("test"):
            found.left_out.add(f"pictures of the part test, {why}", image.path)


def split(images: Sequence[LabelledImage], val_fraction: float, seed: int = 0) -> Split:
    """Holds out a random share of the images of each class (of each set of classes).

    Args:
        images: All images.
        val_fraction: Share (0..1) that becomes `"val"`: at least one of a class with two images.
        seed: Seed of the choice.
    """
    if not 0 < val_fraction < 1:
        raise UserError(f"val_fraction must be between 0 and 1, got {val_fraction:g}.")
    groups: dict[tuple[str, ...], list[LabelledImage]] = collections.defaultdict(list)
    for image in images:
        groups[image.classes].append(image)
    held_out = set()
    for classes in sorted(groups):
        members = sorted(groups[classes], key=lambda image: image.path)
        random.Random(f"{seed} {classes}").shuffle(members)
        count = round(len(members) * val_fraction)
        if len(members) > 1:
            count = min(max(count, 1), len(members) - 1)
        held_out.update(image.path for image in members[:count])
    return {
        "train": [image for image in images if image.path not in held_out],
        "val": [image for image in images if image.path in held_out],
    }
