"""Catches folders that would become classes although their names or depth say they are not."""

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
    """Returns a part's folder of classes: `seg_train/seg_train` where archives nest `seg_train`."""
    inner = list_folders(folder)
    if len(inner) != 1 or part_of(os.path.basename(inner[0])) != part or not list_folders(inner[0]):
        return folder
    count_beside(folder, inner, left_out)
    return inner[0]


def refuse_parts_as_classes(data_dir: str, source_ids: Iterable[str]) -> None:
    """Stops a conversion that would turn parts of the data set (train, val ...) into classes.

    Args:
        data_dir: Folder of the classes.
        source_ids: Paths of the images in it, starting with the class.

    Raises:
        UserError: All classes have names of parts, or one of them contains parts.
    """
    inner: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for source_id in source_ids:
        name, *below = source_id.split("/")
        depths = inner[name]
        if len(below) > 1:
            depths[below[0]] = max(depths.get(below[0], 0), len(below))
    if all(map(part_of, inner)):
        raise UserError(
            f"{data_dir}: {_listed(inner)} would be the classes, but these are names of "
            "parts, and they contain no class folders: expected train/CLASS/IMAGE, or a list of "
            "path,label with `csv_file`."
        )
    for name, depths in inner.items():
        parts = {part_of(below) for below in depths} - {None}
        if "train" not in parts or len(parts) < 2:
            continue
        path = os.path.join(data_dir, name)
        holds = f"{data_dir}: its folder {name} contains the parts {_listed(depths)}"
        if max(depth for below, depth in depths.items() if part_of(below)) > 2:
            raise UserError(f"{holds}: use {path} instead.")
        raise UserError(f"{holds}, so it is not a class: expected train/CLASS/IMAGE.")


def look_at_depth(folder: str, source_ids: Collection[str], known: Collection[str] = ()) -> None:
    """Warns that folders inside a class count as one class, if all its pictures lie deeper.

    Args:
        folder: Folder of the classes.
        source_ids: Paths of the images in it, starting with the class.
        known: Classes of another part.

    Raises:
        UserError: There is only one class, which is probably a folder around the real classes.
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
            f"{folder} contains a single folder, {first}, which contains {_listed(folders)}: if "
            f"those are the classes, use {os.path.join(folder, first)}, or move them up."
        )
    if len(inner) > 1:
        log.info(
            f"{folder}: the classes are {_listed(inner)}; folders inside them, such as "
            f"{first}/{next(iter(folders))}, are not classes of their own."
        )


def _listed(names: Mapping[str, object]) -> str:
    shown = sorted(names)[:_SHOWN]
    return ", ".join(shown) + (f" and {len(names) - _SHOWN} more" if names.keys() - shown else "")
