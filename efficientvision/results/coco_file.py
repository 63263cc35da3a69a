"""`predictions.json`: results in COCO's format of data sets, with scores."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO

from efficientvision import files

Photos = Callable[[], Iterator[Mapping[str, Any]]]


def write_coco(path: str, photos: Photos, names: Mapping[int, str], description: str) -> int:
    """Writes results as `{info, images, annotations, categories}`, which `pycocotools.COCO` reads.

    `annotations` alone is a list of COCO results (`COCO.loadRes`). Photos are numbered from 1. Only
    one photo at a time is in memory.

    Args:
        path: Path of the file.
        photos: Returns an iterator over the lines of a `Journal`; called twice.
        names: Class number -> name.
        description: Goes into `info`.

    Returns:
        The number of annotations.
    """
    categories = [{"id": number, "name": name} for number, name in sorted(names.items())]
    with files.writing(path) as file:
        _put(file, f'{{"info": {json.dumps({"description": description})},\n"images": [')
        _put_list(
            file,
            (
                {
                    "id": number,
                    "file_name": photo["photo"],
                    "width": photo["width"],
                    "height": photo["height"],
                }
                for number, photo in enumerate(photos(), start=1)
            ),
        )
        _put(file, '],\n"annotations": [')
        count = _put_list(file, _numbered(photos()))
        _put(file, f'],\n"categories": {json.dumps(categories)}}}\n')
    return count


def _numbered(photos: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    count = 0
    for image_id, photo in enumerate(photos, start=1):
        for annotation in photo["annotations"]:
            count += 1
            yield {"id": count, "image_id": image_id, **annotation}


def _put_list(file: BinaryIO, items: Iterable[Mapping[str, Any]]) -> int:
    count = 0
    for count, item in enumerate(items, start=1):
        _put(file, f"{',' if count > 1 else ''}\n{json.dumps(item)}")
    return count


def _put(file: BinaryIO, text: str) -> None:
    file.write(text.encode())
