"""Lists with lines of `image,mask` or `image mask`: one file, or one for each part."""

from __future__ import annotations

import functools
import os

from efficientvision import files
from efficientvision.data.masks.folders import Found, names_pairs, read_list
from efficientvision.data.sources.layout import Layout
from efficientvision.data.sources.lists import find_lists
from efficientvision.data.sources.mask_classes import find_class_file
from efficientvision.data.sources.mask_folders import convert_pairs, mask_layout

FORMAT = "list"
# Increase it if the same files become other records.
_VERSION = 1


def find(data: str) -> Layout | None:
    """Recognises lists of images and masks in a folder, or one list by its path."""
    lists = find_lists(data, (".csv", ".txt"), names_pairs)
    if not lists:
        return None
    found = Found()
    for part, path in lists.items():
        listed = read_list(path, compare_palettes=False)
        found.parts[part] = listed.parts["train"]
        found.lists[part] = path, len(listed.parts["train"]) + len(listed.spoilt)
        found.spoilt += listed.spoilt
        found.left_out.update(listed.left_out)
    class_file = find_class_file(files.parent(next(iter(lists.values()))))
    extra = [class_file] if class_file else []
    return mask_layout(
        FORMAT,
        found,
        ", ".join(map(os.path.basename, [*lists.values(), *extra])),
        functools.partial(convert_pairs, found, class_file=class_file),
        [*lists.values(), *extra],
        version=_VERSION,
    )
