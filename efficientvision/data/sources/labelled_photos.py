"""Steps common to layouts of photos with boxes: hold out a part, compare labels and photos."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import TypeVar

from efficientvision.data.conversion import LEFT_OUT, ConversionReport
from efficientvision.data.held_out import describe_split, group_keys, hold_out
from efficientvision.data.names import composed
from efficientvision.data.part_names import PARTS
from efficientvision.data.picture_folders import LeftOut, walk_pictures
from efficientvision.data.sources.layout import ConvertOptions
from efficientvision.errors import UserError

Item = TypeVar("Item")

UNLABELLED = "photos without labels"
BACKGROUNDS = "photos without labels, kept as backgrounds"


def hold_out_val(
    parts: dict[str, list[Item]],
    options: ConvertOptions,
    path_of: Callable[[Item], str],
    classes_of: Callable[[Item], Collection[Hashable]],
) -> tuple[dict[str, list[Item]], list[str]]:
    """Divides `"train"` if no part is for validation: near-copies together, each class its share.

    Args:
        parts: Part -> items.
        options: `val_fraction`; 0 divides nothing.
        path_of: Item -> path of its photo.
        classes_of: Item -> classes of its objects.

    Returns:
        The parts, in the order of `PARTS`, and lines to print.

    Raises:
        UserError: The share is out of range, or there is only one photo.
    """
    parts, lines = dict(parts), []
    items = parts.get("train", []) if "val" not in parts else []
    if items and options.val_fraction:
        groups = group_keys([path_of(item) for item in items])
        strata = [classes_of(item) for item in items]
        train, val = hold_out(
            items, options.val_fraction, options.seed, groups=groups, strata=strata
        )
        parts["train"], parts["val"] = train, val
        lines.append(describe_split(len(train), len(val), groups, stratified=True))
    elif items:
        lines.append(
            "there are no photos for validation; `val_fraction=0.1` would hold out a tenth"
        )
    return {part: parts[part] for part in PARTS if part in parts}, lines


def list_photos(folders: Collection[str]) -> dict[str, list[str]]:
    """Lists the photos in and below each folder, each photo for the innermost one only."""
    listed = {}
    for folder in dict.fromkeys(folders):
        around = os.path.join(folder, "")
        inner = tuple(os.path.join(f, "") for f in folders if f.startswith(around) and f != folder)
        paths = walk_pictures(folder, LeftOut())
        listed[folder] = [path for path in paths if not path.startswith(inner)]
    return listed


def same_path(path: str) -> str:
    """Brings a path to the form in which two paths of one file are equal."""
    return composed(os.path.normpath(path))


def no_val_photos(
    source: str, count: int, folder: str, *, lack: str = "exist", remove: str | None = None
) -> UserError:
    """Returns the error for a part "val" that is named, but has no photos.

    To hold out a share instead, or nothing, would differ from what the user asked for.

    Args:
        source: The file or folder that names the photos.
        count: Number of photos that it names.
        folder: Folder in which they were looked for.
        lack: What they do not do there.
        remove: What to remove to have a share held out; None: the source.
    """
    remove = remove or source
    if not count:
        return UserError(
            f"{source} lists no photos for val: add them, or remove {remove} to hold out a share."
        )
    return UserError(
        f"None of the {count:,} photos for val that {source} lists {lack} in {folder}: put them "
        f"there, or remove {remove} to hold out a share."
    )


def refuse_mostly_missing(labels: str, num_found: int, missing: Sequence[str], where: str) -> None:
    """Stops a conversion that would leave out more than half of what the labels list.

    Args:
        labels: The file or folder of labels.
        num_found: Number of photos found.
        missing: Names of the others.
        where: Folder in which they were looked for.

    Raises:
        UserError: Most are missing.
    """
    total = num_found + len(missing)
    if missing and num_found < len(missing):
        raise UserError(
            f"{labels} lists {total:,} photos, but {len(missing):,} of them are not in "
            f"{where} (the first: {missing[0]}). Put them there, or remove them from the list."
        )


def refuse_mostly_unusable(report: ConversionReport, count: int) -> None:
    """Stops a conversion in which more than half of the photos of a part could not be used.

    Args:
        report: The report of the part.
        count: Number of its photos.

    Raises:
        UserError: Most could not be used.
    """
    bad = report.skipped[LEFT_OUT]
    if 2 * bad > count:
        lines = [line for line in report.details if line.startswith("left out: ")]
        raise UserError(
            f"{bad:,} of {count:,} photos cannot be used, so labels and photos hardly belong "
            "together (the first are listed below).",
            lines=lines,
        )
