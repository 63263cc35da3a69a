"""Finds the lists in a folder that say which photo has which label."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from efficientvision import files
from efficientvision.data.part_names import PARTS, part_of
from efficientvision.errors import UserError

# Words beside that of the part in the name of a list.
_BESIDE = ("labels", "label", "list", "annotations", "classes", "masks")


def find_lists(
    data: str, suffixes: Sequence[str], is_list: Callable[[str], bool]
) -> dict[str, str]:
    """Returns part -> path of its list, in the order train, val, test.

    Args:
        data: Folder of the lists, or one list, which `is_list` need not accept.
        suffixes: Endings of lists, in lower case.
        is_list: Whether a file is a list; reads little of it.

    Returns:
        Parts by the names of the files (`train.csv`, `val_labels.csv`); a list with another name
        is "train". Empty if there are none.

    Raises:
        UserError: Two lists are of the same part.
    """
    if not files.is_folder(data):
        return {_part_of(data): data}
    found: dict[str, str] = {}
    for name in files.list_names(data):
        path = files.join(data, name)
        suffix = os.path.splitext(name)[1].lower()
        is_named = suffix in suffixes and not name.startswith(".") and files.is_file(path)
        if not is_named or not is_list(path):
            continue
        part = _part_of(path)
        if part in found:
            raise UserError(
                f"{found[part]} and {path} are both lists of the part {part!r}: name the one to "
                "use instead of the folder, or name them train, val and test."
            )
        found[part] = path
    return {part: found[part] for part in PARTS if part in found}


def _part_of(path: str) -> str:
    """The part of a list by its name, in which "train_labels" means what "train" means."""
    stem = os.path.splitext(files.base_name(path))[0]
    words = [word for word in stem.replace("-", "_").split("_") if word.lower() not in _BESIDE]
    return part_of("_".join(words)) or "train"
