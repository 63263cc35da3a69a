"""YOLO data sets -> records: `data.yaml`, darknet's `obj.data`, or folders `images/` and `labels/`.

Class ids count from 0 in label files and from 1 in records. Boxes are fractions of the upright
photo, as Ultralytics reads them.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping

from efficientvision.data.conversion import ConversionReport
from efficientvision.data.labels import LabelMap
from efficientvision.data.parallel import map_in_processes
from efficientvision.data.photos import MAX_PIXELS
from efficientvision.data.sources.boxed_photos import (
    WITHOUT_LABELS,
    BoxedPhoto,
    Parts,
    describe_overlap,
    name_in,
    options_of,
    shortened,
    write_parts,
)
from efficientvision.data.sources.labelled_photos import BACKGROUNDS
from efficientvision.data.sources.layout import BOXES, ConvertOptions, Layout
from efficientvision.data.sources.listed_photos import MISSING, check_missing
from efficientvision.data.sources.yolo_labels import LARGEST_FRACTION, LabelFile, read_label_file
from efficientvision.data.sources.yolo_set import YoloSet, find_set
from efficientvision.errors import UserError

VERSION = 1

# Wording of the report's counts.
ORPHANS = "label files that belong to no photo of the data set"
SHARED = "photos that share their label file with another photo"
EMPTY_LABELS = "photos with an empty label file, which are backgrounds"
UNNAMED = "classes without a name (named after their id)"
TWIN = "unused classes skipped, as another one has the same name"
_LISTED = 10


def find(folder: str) -> Layout | None:
    """Recognises a YOLO data set.

    Args:
        folder: Folder; or path of a `data.yaml`, under any name, or of darknet's `obj.data`.

    Raises:
        UserError: It is a YOLO data set, but its description is wrong.
    """
    found = find_set(folder)
    if found is None:
        return None
    photos = [path for of_part in found.parts.values() for path in of_part]
    labels = [path for of_part in found.parts.values() for path in of_part.values() if path]
    return Layout(
        format="yolo",
        labels=BOXES,
        evidence=found.evidence,
        inputs=[*found.inputs, *photos, *labels, *found.unused_labels],
        is_split="val" in found.parts,
        version=VERSION,
        convert=functools.partial(convert_set, found),
    )


def convert(
    folder: str,
    output_dir: str,
    *,
    val_fraction: float | None = None,
    split_seed: int = 0,
    background: bool = False,
    skip_bad: bool = False,
    max_pixels: int | None = MAX_PIXELS,
    num_shards: int = 32,
    num_workers: int | None = None,
) -> list[ConversionReport]:
    """Converts a YOLO data set: writes `train-*.tfrecord` and so on; see `convert_set`.

    Args:
        folder: Folder; or path of a `data.yaml` or `obj.data`.
        output_dir: Folder to write to.
        val_fraction: Share (0..1) to hold out if the data has no part "val"; None: none.
        split_seed: Seed of that choice.
        background: Keep photos without labels as backgrounds; otherwise they are left out.
        skip_bad: Skip photos that cannot be used, and count them.
        max_pixels: Reject photos with more pixels; None: no limit.
        num_shards: Number of shards per part; never more than images.
        num_workers: Number of processes; None: one per core.

    Returns:
        A report for each part.

    Raises:
        UserError: It is of another kind, or something is wrong with the data.
    """
    found = find_set(folder)
    if found is None:
        raise UserError(
            f"{folder} has no labels in YOLO's format: there is no data.yaml with train, val and "
            "names, no obj.data, and no folder labels/ of .txt files beside images/."
        )
    options = options_of(
        found.parts,
        folder,
        val_fraction,
        seed=split_seed,
        background=background,
        skip_bad=skip_bad,
        num_shards=num_shards,
        num_workers=num_workers,
    )
    return convert_set(found, output_dir, options, max_pixels)


def convert_set(
    found: YoloSet,
    output_dir: str,
    options: ConvertOptions,
    max_pixels: int | None = MAX_PIXELS,
) -> list[ConversionReport]:
    """Writes `train-*.tfrecord`, `val-*.tfrecord` ..., `json_<part>.json` and `labels.json`.

    Args:
        found: The data set.
        output_dir: Folder to write to.
        options: Options of the conversion.
        max_pixels: Reject photos with more pixels; None: no limit.

    Returns:
        A report for each part.

    Raises:
        UserError: Something is wrong with the data.
    """
    report = ConversionReport()
    report.skipped.update(+found.notes)
    report.skipped.update(found.left_out.counted())
    for path, (names, count) in found.missing.items():
        check_missing(names, count, path, found.folder, allow_most=options.skip_bad)
        report.skipped[MISSING] += len(names)
        report.details.append(f"the first missing photo of {path}: {names[0]}")
    paths = sorted({p for of_part in found.parts.values() for p in of_part.values() if p})
    read = map_in_processes(
        functools.partial(read_label_file, keypoint_numbers=found.data.keypoint_numbers),
        paths,
        num_workers=options.num_workers,
        description="reading labels",
    )
    label_files = dict(zip(paths, read, strict=True))
    _refuse_pixels(label_files)
    labels = _class_map(found, label_files, report)
    parts = _boxed(found, label_files, options, report)
    report.details = [*found.data.lines, *report.details, *describe_overlap(parts)]
    if found.unused_labels:
        report.skipped[ORPHANS] += len(found.unused_labels)
        report.details += [f"no photo for {path}" for path in found.unused_labels[:_LISTED]]
        if found.unused_labels[_LISTED:]:
            report.details.append(f"... and {len(found.unused_labels) - _LISTED} more")
    return write_parts(parts, output_dir, labels, options, report, max_pixels)


def _refuse_pixels(label_files: Mapping[str, LabelFile]) -> None:
    with_boxes = {path: file for path, file in label_files.items() if file.boxes_yxyx}
    large = {path: file for path, file in with_boxes.items() if file.largest > LARGEST_FRACTION}
    if large and 2 * len(large) > len(with_boxes):
        path, file = next(iter(large.items()))
        raise UserError(
            f"{path} has the coordinate {file.largest:g}, as {len(large)} of {len(with_boxes)} "
            "label files do, like pixels; but YOLO's coordinates are fractions of the photo "
            "(0..1): divide them by its width and height."
        )
    for path, file in large.items():
        file.problem = (
            f"{path} has the coordinate {file.largest:g}, but YOLO's coordinates are fractions of "
            "the photo (0..1)"
        )


def _class_map(
    found: YoloSet, label_files: Mapping[str, LabelFile], report: ConversionReport
) -> LabelMap:
    """Returns the classes of the records, and reports which class id of the labels is which.

    A label file with a class id beyond the named ones gets a problem.
    """
    names = dict(found.data.names)
    used = {k for file in label_files.values() for k in file.class_ids}
    count = max([k + 1 for k in names] + [found.data.num_classes or 0])
    for path, file in label_files.items():
        beyond = [k for k in file.class_ids if k >= count] if count else []
        if beyond and not file.problem:
            file.problem = (
                f"{path} has the class id {beyond[0]}, but the data set has only the classes "
                f"0..{count - 1}: add its name, or correct the label"
            )
    if count:
        used = {k for k in used if k < count}
    unnamed = sorted(used - set(names))
    names |= {k: f"class {k}" for k in unnamed}
    if unnamed:
        report.skipped[UNNAMED] += len(unnamed)
    if not names:
        first = next((file.problem for file in label_files.values() if file.problem), None)
        nothing = f"{found.folder}: no label file has a box, and no file names classes."
        raise UserError(first or nothing)
    for k, twin in _twins(names, used, found.data.path):
        names.pop(k)
        report.skipped[TWIN] += 1
        report.details.append(f"class id {k} is unused and has the name of {twin}")
    report.details.append("class ids of the labels became class ids that count from 1:")
    report.details += shortened([f"  {k} -> {k + 1}  {names[k]}" for k in sorted(names)])
    return {k + 1: names[k] for k in sorted(names)}


def _twins(names: Mapping[int, str], used: set[int], source: str) -> list[tuple[int, int]]:
    """Returns the unused class ids whose name another one has, with that one."""
    twins = []
    owner: dict[str, int] = {}
    for k, name in sorted(names.items(), key=lambda item: (item[0] not in used, item[0])):
        other = owner.setdefault(name, k)
        if other != k and k in used:
            raise UserError(
                f"{source}: the class ids {other} and {k} are both named {name!r}: rename one, or "
                "give their labels the same id."
            )
        if other != k:
            twins.append((k, other))
    return twins


def _boxed(
    found: YoloSet,
    label_files: Mapping[str, LabelFile],
    options: ConvertOptions,
    report: ConversionReport,
) -> Parts:
    """Joins the photos and their boxes, and counts what is left out or changed."""
    parts: Parts = {}
    for part, of_part in found.parts.items():
        if not any(of_part.values()):
            if part != "test":
                raise UserError(
                    f"None of the {len(of_part)} photos for {part} has a label file; the first is "
                    f"{next(iter(of_part), '')}. Labels belong into labels/ beside images/, or "
                    "beside the photos, as .txt files with the photos' names."
                )
            report.details.append(f"the part test has no labels: {len(of_part)} photos left out")
            continue
        sharing = Counter(path for path in of_part.values() if path)
        report.skipped.update({SHARED: sum(n for n in sharing.values() if n > 1)})
        photos = parts.setdefault(part, [])
        for path, label_path in of_part.items():
            if label_path is None:
                report.skipped[BACKGROUNDS if options.background else WITHOUT_LABELS] += 1
                if options.background:
                    photos.append(BoxedPhoto(path=path, name=name_in(found.folder, path)))
                continue
            file = label_files[label_path]
            report.skipped.update(file.notes)
            is_empty = not (file.class_ids or file.notes or file.problem)
            report.skipped[EMPTY_LABELS] += is_empty
            photos.append(
                BoxedPhoto(
                    path=path,
                    name=name_in(found.folder, path),
                    boxes_yxyx=file.boxes_yxyx,
                    classes=[k + 1 for k in file.class_ids],
                    in_fractions=True,
                    problem=file.problem,
                )
            )
    report.skipped = +report.skipped
    if not parts:
        raise UserError(f"None of the photos of {found.folder} has a label file.")
    return parts
