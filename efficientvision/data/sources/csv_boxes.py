"""CSV files of boxes -> records: a row for each box, the order of the columns by the heading.

Classes are the names found, in alphabetical order, numbered from 1; or those of `classes.csv`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from efficientvision.data.annotation_frame import seem_normalized
from efficientvision.data.conversion import ConversionReport
from efficientvision.data.labels import LabelMap
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
from efficientvision.data.sources.csv_files import CsvFiles, find_files
from efficientvision.data.sources.csv_set import CsvSet, part_of_place, read_set, shown
from efficientvision.data.sources.csv_table import ListedPhoto
from efficientvision.data.sources.labelled_photos import BACKGROUNDS, no_val_photos
from efficientvision.data.sources.layout import BOXES, ConvertOptions, Layout
from efficientvision.data.sources.listed_photos import MISSING, check_missing
from efficientvision.data.sources.yolo_labels import LARGEST_FRACTION
from efficientvision.errors import UserError

VERSION = 1

# Wording of the report's counts.
NOT_HERE = "photos of OpenImages' list that are not in the folder"
NO_PART = "photos in no list, and in no folder named after a part, left out"
GROUPS = "boxes around groups (IsGroupOf, iscrowd), which training skips"


def find(folder: str) -> Layout | None:
    """Recognises CSV files of boxes.

    Args:
        folder: Folder, or path of a CSV file.

    Raises:
        UserError: There are several and it is unclear which to take, or one cannot be used.
    """
    found = find_files(folder)
    if found is None:
        return None
    names = (name_in(found.folder, path) for path, _ in found.tables.values())
    return Layout(
        format="csv",
        labels=BOXES,
        evidence=", ".join(names),
        inputs=[*found.paths(), *found.photos, *found.photos_elsewhere()],
        is_split="val" in found.parts(),
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
    """Converts CSV files of boxes: writes `train-*.tfrecord` and so on; see `convert_set`.

    Args:
        folder: Folder, or path of a CSV file.
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
    found = find_files(folder)
    if found is None:
        raise UserError(
            f"{folder} has no CSV file of boxes: its heading must name the photo, the class and "
            "the sides of the box, such as path,xmin,ymin,xmax,ymax,class."
        )
    options = options_of(
        found.parts(),
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
    files: CsvFiles,
    output_dir: str,
    options: ConvertOptions,
    max_pixels: int | None = MAX_PIXELS,
) -> list[ConversionReport]:
    """Writes `train-*.tfrecord`, `val-*.tfrecord` ..., `json_<part>.json` and `labels.json`.

    Args:
        files: The files of the data set.
        output_dir: Folder to write to.
        options: Options of the conversion.
        max_pixels: Reject photos with more pixels; None: no limit.

    Returns:
        A report for each part.

    Raises:
        UserError: Something is wrong with the data.
    """
    found = read_set(files)
    report = ConversionReport(details=list(found.lines))
    report.skipped.update(+found.notes)
    is_open_images = any(table.columns.is_open_images for table in found.tables.values())
    for path, (names, count) in found.missing.items():
        allow_most = options.skip_bad or is_open_images
        check_missing(names, count, path, found.folder, allow_most=allow_most)
        report.skipped[NOT_HERE if is_open_images else MISSING] += len(names)
        report.details.append(f"the first missing photo of {path}: {names[0]}")
    _refuse_absent_val(found)
    for table in found.tables.values():
        unused = table.columns.unused
        report.details.append(
            f"{table.path}: columns {table.columns.kind}"
            + (f"; not used: {', '.join(unused)}" if unused else "")
        )
    in_fractions = _in_fractions(found, report)
    labels = _class_map(found, report)
    ids = {name: class_id for class_id, name in labels.items()}
    parts = {
        part: [_boxed(found, *each, ids, in_fractions) for each in sorted(of_part.items())]
        for part, of_part in found.parts.items()
    }
    _add_unlisted(found, parts, options, report)
    crowds = sum(sum(p.crowd) for of_part in found.parts.values() for p in of_part.values())
    if crowds:
        report.skipped[GROUPS] += crowds
    report.details += describe_overlap(parts)
    return write_parts(parts, output_dir, labels, options, report, max_pixels)


def _refuse_absent_val(found: CsvSet) -> None:
    """Refuses files that name photos for val of which none exists."""
    count = found.listed["val"]
    if count and "val" not in found.parts and "train" in found.parts:
        table = found.tables.get("val") or found.tables[""]
        remove = None if "val" in found.tables else "their rows"
        raise no_val_photos(table.path, count, found.folder, remove=remove)


def _photos(found: CsvSet) -> Iterator[ListedPhoto]:
    for of_part in found.parts.values():
        yield from of_part.values()


def _in_fractions(found: CsvSet, report: ConversionReport) -> bool:
    """Decides whether the coordinates are fractions, by their values or else by the format."""
    corners = [box for photo in _photos(found) for box in photo.boxes_yxyx]
    stated = [side for photo in _photos(found) for side in photo.stated_hw or ()]
    by_format = all(table.columns.fractions for table in found.tables.values())
    largest = max((abs(side) for box in corners for side in box), default=0.0)
    if by_format:
        result = largest <= LARGEST_FRACTION
    else:
        result = seem_normalized(corners, [min(stated, default=None)])
    unit = "fractions of the photo" if result else "pixels"
    report.details.append(f"coordinates are {unit} (the largest is {largest:g})")
    return result


def _class_map(found: CsvSet, report: ConversionReport) -> LabelMap:
    """Returns the classes of the records; a photo with another class gets a problem."""
    used = {shown(found.shown_names, name) for photo in _photos(found) for name in photo.classes}
    if found.class_ids:
        ids = found.class_ids
        for photo in _photos(found):
            strange = [name for name in photo.classes if shown(found.shown_names, name) not in ids]
            if strange and not photo.problem:
                photo.problem = (
                    f"it has the class {strange[0]!r}, which the file of classes does not name"
                )
    else:
        numbers = all(name.isdecimal() for name in used)
        ids = {name: k for k, name in enumerate(sorted(used, key=int if numbers else None), 1)}
    if not ids:
        first = next((photo.problem for photo in _photos(found) if photo.problem), None)
        path = next(iter(found.tables.values())).path
        raise UserError(first or f"{path} lists no boxes, so there is nothing to learn.")
    labels = {class_id: name for name, class_id in sorted(ids.items(), key=lambda item: item[1])}
    report.details.append("class ids:")
    report.details += shortened([f"  {class_id}  {name}" for class_id, name in labels.items()])
    return labels


def _boxed(
    found: CsvSet, path: str, photo: ListedPhoto, ids: dict[str, int], in_fractions: bool
) -> BoxedPhoto:
    has = {role for table in found.tables.values() for role in table.columns.place}
    return BoxedPhoto(
        path=path,
        name=name_in(found.folder, path),
        boxes_yxyx=photo.boxes_yxyx,
        classes=[ids.get(shown(found.shown_names, name), 0) for name in photo.classes],
        in_fractions=in_fractions,
        stated_hw=photo.stated_hw,
        crowd=photo.crowd if "crowd" in has else None,
        difficult=photo.difficult if "difficult" in has else None,
        problem=photo.problem and f"{path}: {photo.problem}",
    )


def _add_unlisted(
    found: CsvSet, parts: Parts, options: ConvertOptions, report: ConversionReport
) -> None:
    """Adds the photos that no list names as backgrounds, or counts them."""
    if not options.background:
        if found.unlisted:
            report.skipped[WITHOUT_LABELS] += len(found.unlisted)
            report.details.append(f"the first photo in no list: {found.unlisted[0]}")
        return
    for path in found.unlisted:
        only = next(iter(parts)) if len(parts) == 1 else None
        part = only or part_of_place(path, found.folder)
        if part in parts:
            parts[part].append(BoxedPhoto(path=path, name=name_in(found.folder, path)))
            report.skipped[BACKGROUNDS] += 1
        else:
            report.skipped[NO_PART] += 1
