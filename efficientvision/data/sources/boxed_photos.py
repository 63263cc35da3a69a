"""Photos with boxes, whichever format they were labelled in -> records and ground truth.

Conventions are those of `data/pascal.py`: image ids count from 1 in the order of the photos, and
areas in the records are fractions of the image.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import operator
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from efficientvision import files
from efficientvision.data.annotation_frame import (
    CUT,
    OUTSIDE,
    AnnotationFrame,
    cut_at_edge,
    find_frame,
    seem_normalized,
)
from efficientvision.data.conversion import BuiltRecord, ConversionReport
from efficientvision.data.labels import LabelMap, differing_ids, write_labels
from efficientvision.data.names import ESCAPED, composed, is_utf8
from efficientvision.data.photos import MAX_PIXELS, read_photo_file, store_photo
from efficientvision.data.record_files import write_shards
from efficientvision.data.sources.labelled_photos import hold_out_val
from efficientvision.data.sources.layout import ConvertOptions
from efficientvision.data.truth_file import TrueImage, TrueObject, write_truth
from efficientvision.errors import UserError

# Wording of the report's counts.
EMPTY = "boxes with zero or negative width or height skipped"
NOT_FINITE = "boxes that are not finite skipped"
REPEATED = "boxes that repeat another one of their photo skipped"
WITHOUT_LABELS = "photos without labels left out (`background` keeps them as backgrounds)"
TURNED_LABELS = "photos with an EXIF turn (their boxes are taken as drawn on the upright photo)"

_LISTED_CLASSES = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoxedPhoto:
    """A photo and its boxes as its labels state them.

    Attributes:
        path: Path of the photo.
        name: Its name in the records.
        boxes_yxyx: Boxes [n] of (ymin, xmin, ymax, xmax), pixels or fractions of the photo.
        classes: Class ids [n], 1..K.
        in_fractions: Whether the boxes are fractions.
        stated_hw: Size of the annotated picture; None: the upright photo's.
        crowd: Flags [n]; None: the format has none.
        difficult: Flags [n]; None: the format has none.
        problem: A sentence on why the labels cannot be used; None: they can.
        image_id: Number in the records.
    """

    path: str
    name: str
    boxes_yxyx: Sequence[Sequence[float]] = ()
    classes: Sequence[int] = ()
    in_fractions: bool = False
    stated_hw: tuple[int, int] | None = None
    crowd: Sequence[int] | None = None
    difficult: Sequence[int] | None = None
    problem: str | None = None
    image_id: int = 0


Parts = dict[str, list[BoxedPhoto]]


def name_in(folder: str, path: str) -> str:
    """Returns the name of a photo in the records: its path below the data folder."""
    relative = files.relative(path, folder)
    inside = not relative.startswith("..") and not os.path.isabs(relative)
    return composed(relative if inside else os.path.basename(path)).replace(os.sep, "/")


def shortened(lines: Sequence[str]) -> list[str]:
    """Returns the lines of a table of classes, of which very many are only counted."""
    more = len(lines) - _LISTED_CLASSES
    rest = [f"  ... and {more} more, see labels.json"] if more > 0 else []
    return [*lines[:_LISTED_CLASSES], *rest]


def describe_overlap(parts: Parts) -> Iterator[str]:
    """Yields a warning for each two parts that have photos in common."""
    paths = {part: {photo.path for photo in photos} for part, photos in parts.items()}
    for one, other in itertools.combinations(paths, 2):
        common = paths[one] & paths[other]
        if common:
            yield (
                f"WARNING: {len(common)} of {len(paths[other])} photos for {other} are also photos "
                f"for {one}, so metrics are optimistic: re-split the data"
            )


def build_record(
    photo: BoxedPhoto, labels: LabelMap, max_pixels: int | None = MAX_PIXELS
) -> BuiltRecord:
    """Makes a record of one photo; `facts` is the `TrueImage`.

    Raises:
        UserError: The labels have a problem, or the photo cannot be decoded or has another shape
            than the labels state.
    """
    from efficientvision.data.records import DetectionExample, encode_example

    if photo.problem:
        raise UserError(photo.problem)
    stored = store_photo(read_photo_file(photo.path), repr(photo.path), max_pixels=max_pixels)
    image_hw = stored.height, stored.width
    notes = Counter(stored.notes)
    notes[ESCAPED] += not is_utf8(photo.path)
    if photo.stated_hw is None:
        frame = AnnotationFrame(image_hw, image_hw)
        notes[TURNED_LABELS] += stored.orientation != 1 and len(photo.classes) > 0
    else:
        frame = find_frame(photo.stated_hw, image_hw, stored.orientation, repr(photo.path))
        notes.update(frame.notes)
    given = np.asarray(photo.boxes_yxyx, np.float64).reshape(-1, 4)
    if photo.in_fractions:
        given = given * [*frame.stated_hw, *frame.stated_hw]
    elif seem_normalized(given.tolist(), image_hw):
        raise UserError(
            f"all boxes of {photo.path} are within 0..1.5, like fractions of the photo, but those "
            "of the other photos are pixels: multiply them by the photo's width and height"
        )
    kept, boxes = [], []
    for position, box in enumerate(frame.boxes(given)):
        cut, over = cut_at_edge(box, image_hw)
        notes[OUTSIDE if cut is None else CUT] += int(over)
        if cut is not None:
            kept.append(position)
            boxes.append(cut)
    corners = np.reshape(boxes, (-1, 4))
    classes = [photo.classes[k] for k in kept]
    pixel_areas = np.prod(corners[:, 2:] - corners[:, :2], axis=1).tolist()
    crowd = None if photo.crowd is None else [photo.crowd[k] for k in kept]
    difficult = None if photo.difficult is None else [photo.difficult[k] for k in kept]
    serialized = encode_example(
        DetectionExample(
            encoded=stored.encoded,
            image_format=stored.image_format,
            filename=photo.name,
            source_id=str(photo.image_id),
            height=stored.height,
            width=stored.width,
            boxes_yxyx=corners,
            classes=classes,
            class_names=[labels[class_id] for class_id in classes],
            areas=[area / (stored.height * stored.width) for area in pixel_areas],
            is_crowd=crowd,
            difficult=difficult,
        )
    )
    none = [0] * len(kept)
    objects = (
        TrueObject(
            *(class_id, xmin, ymin, xmax, ymax, area), is_crowd=is_crowd, difficult=is_difficult
        )
        for class_id, (ymin, xmin, ymax, xmax), area, is_crowd, is_difficult in zip(
            classes, corners.tolist(), pixel_areas, crowd or none, difficult or none, strict=True
        )
    )
    truth = TrueImage(photo.image_id, photo.name, *image_hw, tuple(objects))
    return BuiltRecord(serialized, tuple((+notes).elements()), truth, stored.remarks)


def options_of(
    parts: Collection[str], folder: str, val_fraction: float | None, **options: Any
) -> ConvertOptions:
    """Returns the options of a conversion that was asked for by name.

    Args:
        parts: Parts that the data has.
        folder: Its folder, for the error.
        val_fraction: Share (0..1) to hold out; None: none.
        **options: The other fields of `ConvertOptions`.

    Raises:
        UserError: A share is to be held out of data that has a part "val".
    """
    if val_fraction and "val" in parts:
        raise UserError(
            f"`val_fraction` holds photos out for validation, but {folder} names them already: "
            "remove it."
        )
    return ConvertOptions(val_fraction=val_fraction or 0.0, **options)


def write_parts(
    parts: Parts,
    output_dir: str,
    labels: LabelMap,
    options: ConvertOptions,
    first: ConversionReport,
    max_pixels: int | None = MAX_PIXELS,
) -> list[ConversionReport]:
    """Writes `<part>-*.tfrecord`, `json_<part>.json` and `labels.json`.

    Photos for validation are held out of "train" if there is no part "val".

    Args:
        parts: Photos by part.
        output_dir: Folder to write to.
        labels: Class id -> name.
        options: Options of the conversion.
        first: Report of the first part, with counts and lines so far.
        max_pixels: Reject photos with more pixels; None: no limit.

    Returns:
        A report for each part.

    Raises:
        UserError: Photos cannot be used; they are named, and nothing of their part is written.
    """
    numbered = {
        part: [dataclasses.replace(photo, image_id=k) for k, photo in enumerate(photos, start=1)]
        for part, photos in parts.items()
    }
    numbered, lines = hold_out_val(
        numbered, options, operator.attrgetter("path"), operator.attrgetter("classes")
    )
    first.details += lines
    build = functools.partial(build_record, labels=labels, max_pixels=max_pixels)
    prefixes = {part: os.path.join(output_dir, part) for part in numbered}
    reports: list[ConversionReport] = []
    for part, photos in numbered.items():
        report = ConversionReport() if reports else first
        report.labels = labels
        written = write_shards(
            photos,
            build,
            prefixes[part],
            num_shards=options.num_shards,
            num_workers=options.num_workers,
            skip_bad=options.skip_bad,
        )
        report.add(written)
        kept = [image for image in written.facts if image]
        report.num_images = len(kept)
        report.num_boxes = sum(len(image.objects) for image in kept)
        truth_file = write_truth(prefixes[part], kept, labels)
        report.details += differing_ids(prefixes[part], labels, prefixes.values())
        report.sidecars = [truth_file, write_labels(prefixes[part], labels)]
        reports.append(report)
    return reports
