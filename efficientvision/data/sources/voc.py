"""PASCAL VOC annotations: with and without lists, with folders of their own or beside photos."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Iterable, Sequence

from efficientvision import files
from efficientvision.data.conversion import ConversionReport
from efficientvision.data.pascal import write_part
from efficientvision.data.pascal_files import number_classes, read_classes
from efficientvision.data.pascal_photos import PhotoOf
from efficientvision.data.pascal_sets import ListedImage, PascalYear, list_images
from efficientvision.data.picture_folders import LeftOut
from efficientvision.data.sources.labelled_photos import (
    BACKGROUNDS,
    UNLABELLED,
    hold_out_val,
    no_val_photos,
    refuse_mostly_missing,
    refuse_mostly_unusable,
    same_path,
)
from efficientvision.data.sources.layout import BOXES, ConvertOptions, Layout
from efficientvision.data.sources.voc_folders import Found, find_images
from efficientvision.errors import UserError

VERSION = 1
NO_PHOTO = "annotations without a photo"
NEITHER = "listed names with neither an annotation nor a photo"


def find(folder: str) -> Layout | None:
    """Finds PASCAL VOC annotations and their photos in a folder.

    - A year's folder with `Annotations/`, `JPEGImages/` and lists in `ImageSets/Main/`, or the
      folder around one or several of them (VOCdevkit with VOC2007 and VOC2012);
    - the same without lists, or `images/` with `annotations/`, `annots/`, `labels/` or `xml/`;
    - photos and XML files in one folder;
    - any of these without lists in `train/`, `valid/` and `test/`.

    Args:
        folder: Local folder.

    Returns:
        The layout; None if there are no such annotations.

    Raises:
        UserError: It is unclear which list is meant.
    """
    if files.is_remote(folder) or not files.is_folder(folder):
        return None
    found = find_images(folder)
    if found is None:
        return None
    photos = list(dict.fromkeys(path for year in found.years for path in year.photos.all()))
    xmls = (path for year in found.years for path in year.annotations.paths.values())
    return Layout(
        format="voc",
        labels=BOXES,
        evidence=", ".join(dict.fromkeys(found.evidence)),
        inputs=[*found.lists, *xmls, *photos],
        is_split="val" in found.parts,
        version=VERSION,
        convert=functools.partial(_convert, found),
    )


def _convert(found: Found, output_dir: str, options: ConvertOptions) -> list[ConversionReport]:
    annotations = [year.annotations for year in found.years]
    classes = read_classes(annotations, skip_bad=options.skip_bad)
    names: set[str] = set().union(*classes.values())
    if not names:
        raise UserError(
            f"None of the {len(classes):,} annotations in {annotations[0].folder} has an object "
            "with a class."
        )
    labels = number_classes(names)
    reports = {part: ConversionReport() for part in found.parts}
    parts: dict[str, list[ListedImage]] = {}
    absent: list[str] = []
    for part, listed in found.parts.items():
        images = list_images(listed)
        kept = _with_photos(images, classes, reports[part], keep=options.background)
        if kept:
            parts[part] = kept
            where = listed[0][0].photos.folders[0]
            missing = [f"that of {i.xml}" for i in images if i.photo.path is None]
            refuse_mostly_missing(
                f"The part {part} of {found.years[0].folder}", len(kept), missing, where
            )
        elif images:
            absent.append(
                f"the part {part} is left out: none of its {len(images):,} names has both an "
                f"annotation and a photo (the first annotation: {images[0].xml})"
            )
    if not parts:
        why = absent[0] if absent else "its lists of images are empty"
        raise UserError(f"{found.years[0].folder}: {why}.")
    if "val" in found.parts and "val" not in parts and "train" in parts:
        raise _no_val(found)
    report = reports[next(iter(parts))]
    others = _unlisted(found, parts)
    if others and options.background and not found.lists:
        _add_backgrounds(found.years, parts, others, reports)
    elif others:
        reason = "photos that no list names" if found.lists else UNLABELLED
        report.skipped += _counted(reason, others)
    parts, lines = hold_out_val(
        parts,
        options,
        lambda image: image.photo.path or "",
        lambda image: classes.get(image.xml or "", ()),
    )
    report.details += [*lines, *absent, *found.notes]
    for part, images in parts.items():
        report = reports.setdefault(part, ConversionReport())
        write_part(
            images,
            os.path.join(output_dir, part),
            labels,
            report,
            written_with=list(parts),
            skip_bad=options.skip_bad,
            num_shards=options.num_shards,
            num_workers=options.num_workers,
        )
        refuse_mostly_unusable(report, len(images))
    return [reports[part] for part in parts]


def _no_val(found: Found) -> UserError:
    """The error for a part "val" whose photos are missing, or whose annotations are."""
    images = list_images(found.parts["val"])
    year = found.parts["val"][0][0]
    source, count = found.sources["val"], len(images)
    if all(image.photo.path is None for image in images):
        return no_val_photos(source, count, year.photos.folders[0])
    return no_val_photos(source, count, year.annotations.folder, lack="have an annotation")


def _with_photos(
    images: Sequence[ListedImage],
    classes: dict[str, set[str]],
    report: ConversionReport,
    *,
    keep: bool,
) -> list[ListedImage]:
    """Returns the images that have a photo; counts those without one, or without an annotation.

    Photos without an annotation become backgrounds if `keep` is set.
    """
    kept = []
    left_out = LeftOut()
    for image in images:
        has_labels = image.xml in classes
        if image.photo.path is None:
            left_out.add(NO_PHOTO if has_labels else NEITHER, f"{image.xml}")
        elif has_labels:
            kept.append(image)
        elif keep:
            report.skipped[BACKGROUNDS] += 1
            kept.append(ListedImage(image.image_id, None, image.photo))
        else:
            left_out.add(UNLABELLED, image.photo.path)
    report.skipped += left_out.counted()
    return kept


def _unlisted(found: Found, parts: dict[str, list[ListedImage]]) -> list[str]:
    """Paths of the photos that belong to no part."""
    taken = {
        same_path(image.photo.path)
        for images in parts.values()
        for image in images
        if image.photo.path is not None
    }
    photos = dict.fromkeys(path for year in found.years for path in year.photos.all())
    return [path for path in photos if same_path(path) not in taken]


def _add_backgrounds(
    years: Iterable[PascalYear],
    parts: dict[str, list[ListedImage]],
    photos: Sequence[str],
    reports: dict[str, ConversionReport],
) -> None:
    """Adds photos without an annotation to the part whose photos are in the same folder."""
    part_of_folder = {
        os.path.dirname(image.photo.path): part
        for part, images in reversed(parts.items())
        for image in images
        if image.photo.path is not None
    }
    last = {part: max(image.image_id for image in images) for part, images in parts.items()}
    for path in photos:
        part = part_of_folder.get(os.path.dirname(path), next(iter(parts)))
        last[part] += 1
        parts[part].append(ListedImage(last[part], None, PhotoOf(path)))
        reports[part].skipped[BACKGROUNDS] += 1


def _counted(reason: str, paths: Sequence[str]) -> Counter:
    left_out = LeftOut()
    left_out.add(reason, paths[0], len(paths))
    return left_out.counted()
