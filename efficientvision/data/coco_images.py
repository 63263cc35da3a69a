"""Finds the photos that a COCO file lists in their folder."""

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

MISSING = "missing images skipped"
BY_TAIL = "images found by the last part of a path that leads out of the image folder"
TWICE = "images whose file is also listed under another id"
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
UNLISTED = "annotations skipped, as `image_info_file` does not list their images"


@dataclass(frozen=True)
class CocoImage:
    """One entry of ``images`` with its annotations."""

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
    lenient: bool = False,
) -> list[CocoImage]:
    """Finds the listed images and collects their annotations.

    Args:
        image_dir: Folder of the images.
        listed: File that lists the images.
        instances: File with their boxes, if any.
        captions: File with their captions, if any.
        report: Counts what is left out.
        skip_bad: Skip images that do not exist.
        outside: Accept paths that lead out of the folder.
        lenient: Find images by the end of any path, and skip those that are missing or lead out of
            the folder, even if these are all.

    Raises:
        UserError: Images are missing or lead out of the folder, or two of them lead to one file.
    """
    images, missing = [], []
    owner: dict[str, tuple[str, bool]] = {}
    for info in listed.images:
        name = info["file_name"]
        if name is None:
            raise UserError(f"{listed.path}: the image {info['id']!r} has no file_name.")
        path = image_path(image_dir, name, listed.path, outside, any_tail=lenient)
        if path is None:
            missing.append(name)
            continue
        spelt = {os.path.join(image_dir, spelling) for spelling in spellings(name)}
        by_tail = path not in spelt
        other, other_by_tail = owner.setdefault(path, (name, by_tail))
        if other != name and (by_tail or other_by_tail):
            raise UserError(
                f"{listed.path} lists {other!r} and {name!r}: neither path is in the image folder "
                f"as it is, and both may mean {path}, so it is unclear which of them the file is."
            )
        report.skipped += Counter({BY_TAIL: int(by_tail)})
        annotations = instances.by_image.get(info["id"], []) if instances else []
        sentences = None if captions is None else captions.captions.get(info["id"], [])
        images.append(CocoImage(path, info, annotations, sentences))
    report.skipped += Counter({TWICE: len(images) - len(owner)})
    if missing and not lenient and (not skip_bad or not images):
        raise _missing(missing, image_dir, listed, skip_bad)
    if missing:
        report.skipped[MISSING] += len(missing)
        report.details.append(f"the first missing image: {missing[0]}")
    return images


def _missing(missing: list[str], image_dir: str, listed: CocoFile, skip_bad: bool) -> UserError:
    first = os.path.join(image_dir, missing[0])
    if len(missing) == len(listed.images) and (skip_bad or missing[1:]):
        return UserError(
            f"None of the {len(missing)} images that {listed.path} lists exist; the first is "
            f"{first}. `image_dir` must be the folder that their file_name is relative to."
        )
    more = f" (and {len(missing) - 1} more)" if missing[1:] else ""
    return UserError(
        f"The image {first} is listed in {listed.path} but does not exist{more}. `skip_bad` skips "
        "missing images."
    )


def image_path(
    image_dir: str,
    name: str,
    list_file: str,
    outside: bool,
    *,
    by_tail: bool = True,
    any_tail: bool = False,
) -> str | None:
    """Returns the path of a listed image; None if there is no such file.

    Args:
        image_dir: Folder of the images.
        name: File name as listed.
        list_file: The file that lists it.
        outside: Accept names that lead out of the folder, as they are.
        by_tail: Otherwise, take the file in the folder whose path is the end of such a name:
            labelling tools write paths on their server.
        any_tail: Do so for names that do not lead out, too, and return None for a name that leads
            out and whose end is not in the folder.

    Raises:
        UserError: The name leads out, its end is not in the folder, and neither `outside` nor
            `any_tail` is set.
    """
    leads_out = _leads_out(name)
    for candidate in spellings(name) if outside or not leads_out else ():
        path = os.path.join(image_dir, candidate)
        if files.is_file(path):
            return path
    if not leads_out and not any_tail:
        return None
    for candidate in spellings(name) if by_tail else ():
        parts = [part for part in candidate.replace("\\", "/").split("/") if part not in ("", ".")]
        inside = parts[len(parts) - parts[::-1].index("..") :] if ".." in parts else parts
        for first in range(len(inside)):
            path = os.path.join(image_dir, *inside[first:])
            if files.is_file(path):
                return path
    if outside or any_tail:
        return None
    raise UserError(
        f"{list_file} lists the image {name!r}, whose path leads out of the image folder. "
        "`allow_outside` accepts such paths if the file exists; otherwise correct the path in the "
        f"file: it must be relative to {image_dir}."
    )


def _leads_out(name: str) -> bool:
    spelt = spellings(name)
    return any(os.path.isabs(n) or ".." in n.split("/") or _DRIVE.match(n) for n in spelt)


def unlisted(file: CocoFile, listed: CocoFile) -> Counter:
    """Counts the annotations in a file whose images are not listed.

    Raises:
        UserError: None of the images are listed.
    """
    known = {image["id"] for image in listed.images}
    of_image = {**file.by_image, **file.captions}
    strange = {image_id: entries for image_id, entries in of_image.items() if image_id not in known}
    if strange and len(strange) == len(of_image):
        raise UserError(
            f"{listed.path} lists none of the images that {file.path} has annotations for (the "
            f"first id there is {next(iter(strange))!r}, here "
            f"{next(iter(known), 'none')!r}): both files must use the same ids."
        )
    return Counter({UNLISTED: sum(map(len, strange.values()))} if strange else {})
