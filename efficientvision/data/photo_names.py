"""Names for the files that are written for photos: their own, and each one only once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

from efficientvision import files
from efficientvision.data.names import composed
from efficientvision.files import AnyPath


def photo_names(paths: Sequence[AnyPath], root: AnyPath | None = None) -> list[str]:
    """Returns a name for each photo, without ending, to which endings of files can be added.

    It is the photo's path below `root` without its ending: `sub folder/photo`. Photos that differ
    only in their endings keep them, `photo.jpg` and `photo.png`; whatever is still equal (also on
    file systems that ignore case) gets a number.

    Args:
        paths: Paths of the photos.
        root: Folder that contains them; None: the nearest one that contains all.

    Returns:
        Names with `/` between folders, in the order of the photos, none of them twice.
    """
    below = paths_below(paths, root)
    stems = [os.path.splitext(name)[0] for name in below]
    count = Counter(map(_key, stems))
    names: list[str] = []
    taken: set[str] = set()
    for name, stem in zip(below, stems, strict=True):
        wanted = stem if count[_key(stem)] == 1 else name
        free, number = wanted, 1
        # A free name must also leave alone the plain name of another photo.
        while _key(free) in taken or (free != stem and count[_key(free)]):
            number += 1
            free = f"{wanted}-{number}"
        taken.add(_key(free))
        names.append(free)
    return names


def paths_below(paths: Sequence[AnyPath], root: AnyPath | None = None) -> list[str]:
    """Returns paths relative to a folder, with `/` between folders.

    Paths outside of the folder, and remote ones, are shortened to the file's name.

    Args:
        paths: Paths of files.
        root: The folder; None: the nearest one that contains all.
    """
    texts = [files.as_text(path) for path in paths]
    if any(map(files.is_remote, texts)):
        return list(map(files.base_name, texts))
    folder = _common_folder(texts) if root is None else files.absolute(root)
    below = [files.relative(files.absolute(text), folder).replace(os.sep, "/") for text in texts]
    return [
        files.base_name(text) if path.startswith("../") or os.path.isabs(path) else path
        for text, path in zip(texts, below, strict=True)
    ]


def _common_folder(paths: list[str]) -> str:
    parents = {files.parent(files.absolute(path)) for path in paths}
    try:
        return os.path.commonpath(parents)
    except ValueError:  # No paths, or different drives of Windows.
        return os.sep


def _key(name: str) -> str:
    """The same for all names that some file system takes for one."""
    return composed(name).casefold()
