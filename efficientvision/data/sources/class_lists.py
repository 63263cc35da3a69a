"""Lists of `path,label` lines: one file, or `train.csv`, `val.csv` and `test.csv`."""

from __future__ import annotations

import functools
import os

from efficientvision.data.labelled_lists import labels_pictures, read_csv
from efficientvision.data.sources.class_folders import convert_images
from efficientvision.data.sources.layout import CLASSES, Layout
from efficientvision.data.sources.lists import find_lists

FORMAT = "list"
# Increase it if the same list and photos become other records.
_VERSION = 1


def find(data: str) -> Layout | None:
    """Recognises lists of labelled photos in a folder, or one list by its path.

    Raises:
        UserError: Several lists are of the same part, or a list cannot be used.
    """
    lists = find_lists(data, (".csv", ".txt"), labels_pictures)
    if not lists:
        return None
    parts = {part: read_csv(path) for part, path in lists.items()}
    paths = [image.path for images in parts.values() for image in images]
    return Layout(
        format=FORMAT,
        labels=CLASSES,
        evidence=", ".join(map(os.path.basename, lists.values())),
        inputs=[*lists.values(), *paths],
        is_split=bool(parts.get("val")),
        version=_VERSION,
        convert=functools.partial(convert_images, parts),
    )
