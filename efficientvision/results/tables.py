"""`predictions.csv`, YOLO's text files, and the counts by class."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from efficientvision import files
from efficientvision.data.names import printable

Photo = Mapping[str, Any]


def write_csv(path: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Writes a table row by row, and returns the number of rows."""
    count = 0
    with files.writing(path) as file:
        text = io.TextIOWrapper(file, "utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            count += 1
            writer.writerow([printable(c) if isinstance(c, str) else c for c in row])
        text.detach()
    return count


def yolo_text(photo: Photo, indices: Mapping[int, int], *, scores: bool) -> str:
    """Returns YOLO's lines of a photo: class, centre x and y, width and height, and the score.

    Args:
        photo: A line of a `Journal` whose annotations are boxes.
        indices: Class number -> YOLO's index from 0.
        scores: Whether to add the score.
    """
    sides = photo["width"], photo["height"]
    lines = []
    for annotation in photo["annotations"]:
        x, y, width, height = annotation["bbox"]
        box = (x + width / 2, y + height / 2, width, height)
        fields = [f"{value / side:.6f}" for value, side in zip(box, sides * 2, strict=True)]
        more = [f"{annotation['score']:.5f}"] if scores else []
        lines.append(" ".join([str(indices[annotation["category_id"]]), *fields, *more]))
    return "".join(line + "\n" for line in lines)


class ClassCounts(NamedTuple):
    """Counts of results over all photos.

    Attributes:
        num_photos: Number of photos.
        empty: Number of photos in which nothing was found.
        found: Class number -> number of annotations.
        photos: Class number -> number of photos that have the class.
        shares: Class number -> share of all pixels, 0..1; empty without areas of pixels.
    """

    num_photos: int
    empty: int
    found: Counter[int]
    photos: Counter[int]
    shares: dict[int, float]


def count_classes(photos: Iterable[tuple[Photo, Sequence[Photo]]], *, areas: bool) -> ClassCounts:
    """Counts the annotations of each class.

    Args:
        photos: Pairs of a photo and its annotations that count.
        areas: Whether annotations are areas of pixels.
    """
    number = empty = pixels = 0
    found: Counter[int] = Counter()
    with_class: Counter[int] = Counter()
    covered: Counter[int] = Counter()
    for photo, listed in photos:
        number += 1
        empty += not listed
        pixels += photo["width"] * photo["height"]
        known = [one for one in listed if "category_id" in one]
        found.update(one["category_id"] for one in known)
        with_class.update({one["category_id"] for one in known})
        for one in known if areas else ():
            covered[one["category_id"]] += one["area"]
    shares = {category: area / pixels for category, area in covered.items()}
    return ClassCounts(number, empty, found, with_class, shares)


def counts_table(counts: ClassCounts, names: Mapping[int, str], *, objects: bool) -> list[str]:
    """Formats the counts as aligned lines, the most frequent class first.

    Args:
        counts: The counts.
        names: Class number -> name.
        objects: Whether a photo can have several annotations of a class.
    """
    header = ["class", *["objects"] * objects, "photos", *["pixels"] * bool(counts.shares)]
    rows = [header]
    for category, found in counts.found.most_common():
        row = [printable(names.get(category, f"class {category}"))]
        row += [f"{found:,}"] * objects + [f"{counts.photos[category]:,}"]
        if counts.shares:
            row.append(f"{counts.shares[category]:.2%}")
        rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    ]
