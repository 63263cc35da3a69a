"""Folders of images by class, or a list of images with their classes -> records.

Conventions are torchvision's `ImageFolder`: the folders' names, sorted, are the classes; class ids
count from 1. Images stay as they are if they are JPEG or PNG, and become PNG otherwise.
"""

from __future__ import annotations

import collections
import csv
import functools
import io
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from efficientvision import files
from efficientvision.data.conversion import ConversionReport
from efficientvision.data.labels import LabelMap, read_labels, write_labels
from efficientvision.data.photos import PHOTO_SUFFIXES
from efficientvision.data.record_files import write_shards
from efficientvision.errors import UserError

PARTS = ("train", "val")
_DECODE_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


@dataclass(frozen=True)
class LabelledImage:
    """An image file and the names of its classes."""

    path: str
    source_id: str
    classes: tuple[str, ...]


Split = dict[str, list[LabelledImage]]


def read_folders(data_dir: str) -> Split:
    """The images of `data_dir/<part>/<class>/...`, or of `data_dir/<class>/...`.

    Args:
        data_dir: holds `train` and `val` (either may be missing), or the classes' folders.

    Returns:
        Part -> images in the order of their paths; of classes without parts, all under `"train"`.

    Raises:
        UserError: no such folder, or no images in folders in it.
    """
    if not files.is_folder(data_dir):
        raise UserError(f"--data_dir={data_dir} is no folder.")
    parts = [part for part in PARTS if files.is_folder(os.path.join(data_dir, part))]
    if not parts:
        found = {"train": _read_classes(data_dir)}
    else:
        found = {part: _read_classes(os.path.join(data_dir, part)) for part in parts}
    if not any(found.values()):
        raise UserError(
            f"--data_dir={data_dir} holds no images: expected train/CLASS/IMAGE and "
            "val/CLASS/IMAGE, or CLASS/IMAGE."
        )
    return found


def _read_classes(folder: str) -> list[LabelledImage]:
    images = []
    for name in sorted(entry.name for entry in os.scandir(folder) if entry.is_dir()):
        for place, folders, names in os.walk(os.path.join(folder, name), followlinks=True):
            folders.sort()
            for file_name in sorted(names):
                if file_name.lower().endswith(PHOTO_SUFFIXES):
                    path = os.path.join(place, file_name)
                    source_id = os.path.relpath(path, folder).replace(os.sep, "/")
                    images.append(LabelledImage(path, source_id, (name,)))
    return images


def read_csv(csv_file: str, image_dir: str | None = None) -> list[LabelledImage]:
    """The images of a list `path,label`; several labels are separated by `;`, none is allowed.

    A first line whose path is no file's, `path,label` for example, is a heading.

    Args:
        csv_file: the list.
        image_dir: what paths are relative to; None: the list's folder.

    Raises:
        UserError: no such file, a line of another form, or an image that does not exist.
    """
    folder = image_dir or files.parent(csv_file)
    try:
        rows = list(csv.reader(io.StringIO(files.read_text(csv_file), newline="")))
    except OSError as error:
        raise UserError(f"Cannot read {csv_file}: {error.strerror}.") from error
    images = []
    for number, row in enumerate(rows, start=1):
        if not any(field.strip() for field in row):
            continue
        if len(row) != 2:
            raise UserError(
                f"{csv_file}, line {number}: expected path,label, got {len(row)} fields; separate "
                "several labels by ; and put a path with a comma into quotes."
            )
        path = os.path.join(folder, row[0].strip())
        if not files.is_file(path):
            if number == 1:
                continue
            raise UserError(f"{csv_file}, line {number}: there is no image {path}.")
        labels = tuple(dict.fromkeys(filter(None, (part.strip() for part in row[1].split(";")))))
        images.append(LabelledImage(path, row[0].strip(), labels))
    if not images:
        raise UserError(f"{csv_file} lists no image that exists.")
    return images


def split(images: Sequence[LabelledImage], val_fraction: float, seed: int = 0) -> Split:
    """Holds out a share of the images of each class (of each set of classes), at random.

    Args:
        images: all of them.
        val_fraction: share (0..1) that becomes `"val"`: of each class at least one of two images.
        seed: of the choice.
    """
    if not 0 < val_fraction < 1:
        raise UserError(f"--val_fraction must be between 0 and 1, got {val_fraction:g}.")
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


def class_map(parts: Split, label_map_file: str | None = None) -> LabelMap:
    """{class id: name}: the names of all parts, sorted, from 1; or those of a file.

    Raises:
        UserError: the file lacks a name that an image has.
    """
    used = {name for images in parts.values() for image in images for name in image.classes}
    if not label_map_file:
        return dict(enumerate(sorted(used), start=1))
    labels = read_labels(label_map_file)
    if missing := sorted(used - set(labels.values())):
        raise UserError(
            f"{label_map_file} has no id for the class {missing[0]!r}"
            f"{f' and {len(missing) - 1} more' if missing[1:] else ''}."
        )
    return labels


def encode_image(image: LabelledImage, id_of: Mapping[str, int]) -> bytes:
    """One image as a serialised record.

    Raises:
        UserError: it cannot be decoded; the sentence names it.
    """
    from efficientvision.data.class_records import ClassExample, encode_class_example

    encoded = files.read_bytes(image.path)
    try:
        with Image.open(io.BytesIO(encoded)) as picture:
            picture.load()
            width, height = picture.size
            image_format = {"JPEG": "jpeg", "PNG": "png"}.get(picture.format)
            if image_format is None:
                png = io.BytesIO()
                picture.convert("RGB").save(png, "PNG")
                encoded, image_format = png.getvalue(), "png"
    except UnidentifiedImageError as error:
        reason = "is empty (0 bytes)" if not encoded else "is not a picture"
        raise UserError(f"{image.path} {reason}: replace or remove it.") from error
    except _DECODE_ERRORS as error:
        raise UserError(
            f"{image.path} cannot be decoded ({error}): replace or remove it."
        ) from error
    return encode_class_example(
        ClassExample(
            encoded=encoded,
            image_format=image_format,
            filename=os.path.basename(image.path),
            source_id=image.source_id,
            height=height,
            width=width,
            classes=[id_of[name] for name in image.classes],
            class_names=image.classes,
        )
    )


def convert(
    parts: Split,
    output_dir: str,
    *,
    label_map_file: str | None = None,
    num_shards: int = 32,
    num_workers: int | None = None,
) -> list[ConversionReport]:
    """Writes `<output_dir>/<part>-00000-of-00032.tfrecord` ... and `labels.json`.

    Args:
        parts: from `read_folders` or `split`.
        output_dir: folder of the records.
        label_map_file: class ids, if they are not to be those of the sorted names.
        num_shards: of each part, at most; never more than images.
        num_workers: processes; None: one per core.

    Raises:
        UserError: an image cannot be decoded: it is named, and nothing of its part is written.
    """
    labels = class_map(parts, label_map_file)
    build = functools.partial(encode_image, id_of={name: i for i, name in labels.items()})
    reports = []
    for part, images in parts.items():
        if not images:
            continue
        prefix = os.path.join(output_dir, part)
        report = ConversionReport(labels=labels, num_images=len(images), unit="labels")
        report.num_boxes = sum(len(image.classes) for image in images)
        report.files = write_shards(
            images, build, prefix, num_shards=num_shards, num_workers=num_workers
        )
        report.sidecars = [write_labels(prefix, labels)]
        reports.append(report)
    return reports
