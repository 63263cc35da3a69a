"""Folders that would become classes by their place, though they are none by their name or depth."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from efficientvision.data.part_names import part_of
from efficientvision.data.picture_folders import LeftOut, count_beside, list_folders
from efficientvision.errors import UserError

log = logging.getLogger(__name__)

_SHOWN = 4


def unwrapped(folder: str, part: str, left_out: LeftOut) -> str:
    """The folder of a part's classes: `seg_train/seg_train` of `seg_train`, as archives unpack."""
    inner = list_folders(folder)
    if len(inner) != 1 or part_of(os.path.basename(inner[0])) != part or not list_folders(inner[0]):
        return folder
    count_beside(folder, inner, left_out)
    return inner[0]


def refuse_parts_as_classes(data_dir: str, source_ids: Iterable[str]) -> None:
    """Stops a conversion in which parts of the data set would become classes.

    Args:
        data_dir: the folder of the classes.
        source_ids: the images' paths in it, the class first.

    Raises:
        UserError: all classes are called as parts, or one of them holds parts.
    """
    inner: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for source_id in source_ids:
        name, *below = source_id.split("/")
        depths = inner[name]
        if len(below) > 1:
            depths[below[0]] = max(depths.get(below[0], 0), len(below))
    if all(map(part_of, inner)):
        raise UserError(
            f"data_dir {data_dir}: {_listed(inner)} would be the classes, and these are names of "
            "parts, which hold no folders of classes: expected train/CLASS/IMAGE, or a list of "
            "path,label with `csv_file`."
        )
    for name, depths in inner.items():
        parts = {part_of(below) for below in depths} - {None}
        if "train" not in parts or len(parts) < 2:
            continue
        path = os.path.join(data_dir, name)
        holds = f"data_dir {data_dir}: its folder {name} holds the parts {_listed(depths)}"
        if max(depth for below, depth in depths.items() if part_of(below)) > 2:
            raise UserError(f"{holds}: give {path}.")
        raise UserError(f"{holds}, and is no class by that: expected train/CLASS/IMAGE.")


def look_at_depth(folder: str, source_ids: Collection[str], known: Collection[str] = ()) -> None:
    """Says, of classes whose pictures all stand deeper, that their folders count as one class.

    Args:
        folder: the folder of the classes.
        source_ids: the images' paths in it, the class first.
        known: classes of another part.

    Raises:
        UserError: there is one such class only, which most likely is a folder around the classes.
    """
    if not source_ids or any(source_id.count("/") == 1 for source_id in source_ids):
        return
    inner: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for source_id in source_ids:
        name, below, _ = source_id.split("/", 2)
        inner[name][below] = None
    first, folders = next(iter(inner.items()))
    if len(inner) == 1 and first not in known:
        raise UserError(
            f"{folder} holds one folder, {first}, and that the folders {_listed(folders)}: if "
            f"those are the classes, give {os.path.join(folder, first)}, or move them up."
        )
    if len(inner) > 1:
        log.info(
            f"{folder}: the classes are {_listed(inner)}; folders in them, such as "
            f"{first}/{next(iter(folders))}, are no classes of their own."
        )


def _listed(names: Mapping[str, object]) -> str:
    shown = sorted(names)[:_SHOWN]
    return ", ".join(shown) + (f" and {len(names) - _SHOWN} more" if names.keys() - shown else "")
