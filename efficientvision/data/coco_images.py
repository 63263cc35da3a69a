"""The photos that a COCO file lists, found in their folder."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass

from efficientvision import files
from efficientvision.data.coco_json import CocoFile
from efficientvision.data.conversion import ConversionReport
from efficientvision.data.picture_folders import spellings
from efficientvision.errors import UserError

MISSING = "images that do not exist left out"
BY_TAIL = "images found by the end of a path that leads out of the images' folder"
TWICE = "images whose file is listed under another id too"
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
UNLISTED = "annotations of images that `image_info_file` does not list left out"


@dataclass(frozen=True)
class CocoImage:
    """One entry of ``images`` with what the annotation files say about it."""

    path: str
    info: dict
    annotations: list[dict]
    captions: list[str] | None


def find_images(
    image_dir: str,
    listed: CocoFile,
    instances: CocoFile | None,
    captions: CocoFile | None,
    report: ConversionReport,
    *,
    skip_bad: bool,
    outside: bool,
) -> list[CocoImage]:
    """The images of a list, with their annotations.

    Args:
        image_dir: folder of the images.
        listed: which images.
        instances: their boxes, if any.
        captions: their captions, if any.
        report: counts what is left out.
        skip_bad: leave out images that do not exist.
        outside: take images by paths that lead out of the folder.

    Raises:
        UserError: images do not exist, or lead out of the folder, or two of them to one file.
    """
    images, missing = [], []
    owner: dict[str, tuple[str, bool]] = {}
    for info in listed.images:
        name = info["file_name"]
        if name is None:
            raise UserError(f"{listed.path}: the image {info['id']!r} has no file_name.")
        path = image_path(image_dir, name, listed.path, outside)
        if path is None:
            missing.append(name)
            continue
        spelt = {os.path.join(image_dir, spelling) for spelling in spellings(name)}
        by_tail = path not in spelt
        other, other_by_tail = owner.setdefault(path, (name, by_tail))
        if other != name and (by_tail or other_by_tail):
            raise UserError(
                f"{listed.path} lists {other!r} and {name!r}, whose paths lead out of the images' "
                f"folder and both end as {path}: which of them that is, the file does not tell."
            )
        report.skipped += Counter({BY_TAIL: int(by_tail)})
        annotations = instances.by_image.get(info["id"], []) if instances else []
        sentences = None if captions is None else captions.captions.get(info["id"], [])
        images.append(CocoImage(path, info, annotations, sentences))
    report.skipped += Counter({TWICE: len(images) - len(owner)})
    if missing and (not skip_bad or not images):
        raise _missing(missing, image_dir, listed, skip_bad)
    if missing:
        report.skipped[MISSING] += len(missing)
        report.details.append(f"the first image that does not exist: {missing[0]}")
    return images


def _missing(missing: list[str], image_dir: str, listed: CocoFile, skip_bad: bool) -> UserError:
    first = os.path.join(image_dir, missing[0])
    if len(missing) == len(listed.images) and (skip_bad or missing[1:]):
        return UserError(
            f"None of the {len(missing)} images that {listed.path} lists exists, the first: "
            f"{first}. `image_dir` is the folder that their file_name is relative to."
        )
    more = f" (and {len(missing) - 1} more)" if missing[1:] else ""
    return UserError(
        f"The image {first} is listed in {listed.path} but does not exist{more}. `skip_bad` leaves "
        "such images out."
    )


def image_path(
    image_dir: str, name: str, list_file: str, outside: bool, *, by_tail: bool = True
) -> str | None:
    """The path of an image that a file lists; None: there is no such file.

    Args:
        image_dir: the images' folder.
        name: as it is listed.
        list_file: where.
        outside: take names that lead out of the folder, as they are.
        by_tail: else take the file that is called as their end, as labelling tools write the paths
            on their server.

    Raises:
        UserError: the name leads out, its end is not in the folder, and `outside` is not set.
    """
    leads_out = _leads_out(name)
    for candidate in spellings(name) if outside or not leads_out else ():
        path = os.path.join(image_dir, candidate)
        if files.is_file(path):
            return path
    if not leads_out:
        return None
    for candidate in spellings(name) if by_tail else ():
        parts = [part for part in candidate.replace("\\", "/").split("/") if part not in ("", ".")]
        inside = parts[len(parts) - parts[::-1].index("..") :] if ".." in parts else parts
        for first in range(len(inside)):
            path = os.path.join(image_dir, *inside[first:])
            if files.is_file(path):
                return path
    if outside:
        return None
    raise UserError(
        f"{list_file} lists the image {name!r}, whose path leads out of the images' folder: "
        "`allow_outside` takes it all the same, if it is there; else put its path from "
        f"{image_dir} into the file."
    )


def _leads_out(name: str) -> bool:
    spelt = spellings(name)
    return any(os.path.isabs(n) or ".." in n.split("/") or _DRIVE.match(n) for n in spelt)


def unlisted(file: CocoFile, listed: CocoFile) -> Counter:
    """Counts the annotations of a file whose images are not in the list.

    Raises:
        UserError: that is so of all of them.
    """
    known = {image["id"] for image in listed.images}
    of_image = {**file.by_image, **file.captions}
    strange = {image_id: entries for image_id, entries in of_image.items() if image_id not in known}
    if strange and len(strange) == len(of_image):
        raise UserError(
            f"{listed.path} lists none of the images that {file.path} has annotations of (the "
            f"first id there is {next(iter(strange))!r}, here "
            f"{next(iter(known), 'none')!r}): the ids of both files must be the same."
        )
    return Counter({UNLISTED: sum(map(len, strange.values()))} if strange else {})
