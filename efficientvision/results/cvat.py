"""Import files of CVAT, in its format "CVAT for images 1.1"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from efficientvision import files
from efficientvision.data.names import printable

Photo = Mapping[str, Any]


def write_cvat(
    path: str, photos: Iterable[tuple[Photo, Sequence[Photo]]], names: Mapping[int, str]
) -> None:
    """Writes boxes, tags (classes of a photo) or masks, one photo at a time.

    Args:
        path: Path of the XML file.
        photos: Pairs of a line of a `Journal` and its annotations to write.
        names: Class number -> name: the labels of the CVAT task.
    """
    with files.writing(path) as file:
        for line in _lines(photos, names):
            file.write(f"{line}\n".encode())


def _lines(
    photos: Iterable[tuple[Photo, Sequence[Photo]]], names: Mapping[int, str]
) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="utf-8"?>'
    yield "<annotations>\n <version>1.1</version>"
    yield " <meta><task><labels>"
    for name in names.values():
        yield f"  <label><name>{escape(_text(name))}</name><attributes></attributes></label>"
    yield " </labels></task></meta>"
    for number, (photo, found) in enumerate(photos):
        size = f'width="{photo["width"]}" height="{photo["height"]}"'
        yield f' <image id="{number}" name={quoteattr(_text(photo["photo"]))} {size}>'
        for annotation in found:
            category = annotation["category_id"]
            label = quoteattr(_text(names.get(category, f"class {category}")))
            yield f"  {_element(annotation, label)}"
        yield " </image>"
    yield "</annotations>"


def _element(annotation: Photo, label: str) -> str:
    if "bbox" not in annotation:
        return f'<tag label={label} source="auto"></tag>'
    x, y, width, height = annotation["bbox"]
    common = f'label={label} source="auto" occluded="0"'
    if not annotation["segmentation"]:
        corners = f'xtl="{x:.2f}" ytl="{y:.2f}" xbr="{x + width:.2f}" ybr="{y + height:.2f}"'
        return f'<box {common} {corners} z_order="0"></box>'
    from pycocotools import mask as mask_api

    left, top, width, height = map(round, (x, y, width, height))
    mask = mask_api.decode(annotation["segmentation"])[top : top + height, left : left + width]
    place = f'left="{left}" top="{top}" width="{width}" height="{height}"'
    runs = ", ".join(map(str, _run_lengths(mask.ravel())))
    return f'<mask {common} rle="{runs}" {place} z_order="0"></mask>'


def _run_lengths(mask: np.ndarray) -> list[int]:
    """Lengths of alternating runs of 0 and 1, beginning with 0."""
    edges = np.flatnonzero(np.diff(mask)) + 1
    lengths = np.diff(np.concatenate([[0], edges, [len(mask)]])).tolist()
    return [0, *lengths] if mask[0] else lengths


def _text(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return "".join(c if c >= " " or c in "\t\n\r" else "?" for c in printable(text))
