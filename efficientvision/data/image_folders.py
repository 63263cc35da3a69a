"""Class folders, or a list of labelled images -> records.

Conventions are torchvision's `ImageFolder`: the folder names, sorted, are the classes; class ids
count from 1. Files are stored unchanged if TensorFlow decodes them to what people see, and become
PNG otherwise.
"""

from __future__ import annotations

import collections
import functools
import os
from collections.abc import Mapping

from efficientvision.data.conversion import BuiltRecord, ConversionReport
from efficientvision.data.labelled_images import (
    LabelledImage,
    Split,
    find_images,
    read_folders,
    split,
)
from efficientvision.data.labelled_lists import read_csv
from efficientvision.data.labels import LabelMap, read_labels, write_labels
from efficientvision.data.names import ESCAPED, is_utf8
from efficientvision.data.photos import MAX_PIXELS, read_photo_file, store_photo
from efficientvision.data.picture_folders import LeftOut
from efficientvision.data.record_files import write_shards
from efficientvision.errors import UserError

__all__ = [
    "LabelledImage",
    "Split",
    "build_record",
    "class_map",
    "convert",
    "find_images",
    "read_csv",
    "read_folders",
    "split",
]

_LISTED_CLASSES = 5


def class_map(parts: Split, label_map_file: str | None = None) -> LabelMap:
    """Returns {class id: name}: the names of all parts, sorted, from 1; or those of a file.

    Raises:
        UserError: The file lacks a name that an image has, or gives it two ids.
    """
    used = {name for images in parts.values() for image in images for name in image.classes}
    if not label_map_file:
        return dict(enumerate(sorted(used), start=1))
    labels = read_labels(label_map_file)
    counts = collections.Counter(labels.values())
    if missing := sorted(used - set(counts)):
        raise UserError(
            f"{label_map_file} has no id for the class {missing[0]!r}"
            f"{f' and {len(missing) - 1} more' if missing[1:] else ''}."
        )
    if twice := sorted(name for name in used if counts[name] > 1):
        raise UserError(f"{label_map_file} has several ids for the class {twice[0]!r}.")
    return labels


def build_record(
    image: LabelledImage, id_of: Mapping[str, int], max_pixels: int | None = MAX_PIXELS
) -> BuiltRecord:
    """Makes a record of one image; its fact is the number of its labels.

    Args:
        image: File and its classes.
        id_of: Class name -> id.
        max_pixels: Reject photos with more pixels; None: no limit.

    Raises:
        UserError: The image cannot be decoded; the error names it.
    """
    from efficientvision.data.class_records import ClassExample, encode_class_example

    photo = store_photo(read_photo_file(image.path), image.path, max_pixels=max_pixels)
    serialized = encode_class_example(
        ClassExample(
            encoded=photo.encoded,
            image_format=photo.image_format,
            filename=os.path.basename(image.path),
            source_id=image.source_id,
            height=photo.height,
            width=photo.width,
            classes=[id_of[name] for name in image.classes],
            class_names=image.classes,
        )
    )
    notes = photo.notes if is_utf8(image.path) else (*photo.notes, ESCAPED)
    return BuiltRecord(serialized, notes, len(image.classes), photo.remarks)


def convert(
    parts: Split,
    output_dir: str,
    *,
    label_map_file: str | None = None,
    left_out: LeftOut | None = None,
    skip_bad: bool = False,
    max_pixels: int | None = MAX_PIXELS,
    num_shards: int | None = 32,
    num_workers: int | None = None,
) -> list[ConversionReport]:
    """Writes `<output_dir>/<part>-00000-of-00032.tfrecord` ... and `labels.json`.

    Args:
        parts: Result of `find_images` or `split`.
        output_dir: Folder to write the records to.
        label_map_file: Class ids, if they are not those of the sorted names.
        left_out: Files left out before; counted in the first part's report.
        skip_bad: Skip images that cannot be decoded, and count them.
        max_pixels: Reject photos with more pixels; None: no limit.
        num_shards: See `write_shards`.
        num_workers: Number of processes; None: one per core.

    Raises:
        UserError: Images cannot be decoded; they are named, and nothing of their part is written.
    """
    labels = class_map(parts, label_map_file)
    build = functools.partial(
        build_record, id_of={name: i for i, name in labels.items()}, max_pixels=max_pixels
    )
    reports = []
    for part, images in parts.items():
        if not images:
            continue
        prefix = os.path.join(output_dir, part)
        report = ConversionReport(labels=labels, unit="labels")
        written = write_shards(
            images,
            build,
            prefix,
            num_shards=num_shards,
            num_workers=num_workers,
            skip_bad=skip_bad,
        )
        report.add(written)
        counts = [count for count in written.facts if count is not None]
        report.num_images, report.num_boxes = len(counts), sum(counts)
        report.sidecars = [write_labels(prefix, labels)]
        reports.append(report)
    if parts.get("train"):
        reports[0].details += _unlearnt_classes(parts)
    if left_out is not None:
        reports[0].skipped.update(left_out.counted())
    return reports


def _unlearnt_classes(parts: Split) -> list[str]:
    """Lists classes of other parts that no training image has: often a misspelt folder."""
    learnt = {name for image in parts["train"] for name in image.classes}
    others = {name for images in parts.values() for image in images for name in image.classes}
    names = sorted(others - learnt)
    if not names:
        return []
    more = f" and {len(names) - _LISTED_CLASSES} more" if len(names) > _LISTED_CLASSES else ""
    return [f"no training image has the class {', '.join(names[:_LISTED_CLASSES])}{more}"]
