"""Describes the content of a folder in which no labels were recognised."""

from __future__ import annotations

import os
from collections import Counter

from efficientvision import files
from efficientvision.data.picture_folders import is_hidden

_LISTED = 4


def files_in(data: str) -> str:
    """Counts the files in a folder and below it by their endings: "87 .jpg files and 3 .docx".

    A file is described by its name. Hidden files are left out.
    """
    if not files.is_folder(data):
        return f"the file {files.base_name(data)}"
    counts: Counter[str] = Counter()
    for _, folders, names in os.walk(data):
        folders[:] = [name for name in folders if not is_hidden(name)]
        endings = (os.path.splitext(name)[1].lower() for name in names if not is_hidden(name))
        counts.update(ending or "(no ending)" for ending in endings)
    if not counts:
        return "no files"
    shown = counts.most_common(_LISTED)
    rest = counts.total() - sum(count for _, count in shown)
    first, *more = [f"{count:,} {ending}" for ending, count in shown]
    first += " files" if shown[0][1] > 1 else " file"
    listed = [first, *more, *([f"{rest:,} others"] if rest else [])]
    return " and ".join([", ".join(listed[:-1]), listed[-1]]) if listed[1:] else first
