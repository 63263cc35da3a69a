"""Tiny photos for data sets that tests make on the spot."""

import os
import pathlib
import zlib

import numpy as np
from PIL import Image

from efficientvision.data.record_files import iter_records, match_files
from efficientvision.data.records import DetectionExample, decode_example
from efficientvision.data.sources import yolo
from efficientvision.data.sources.layout import ConvertOptions

# A label file with one box in the middle, half as wide and high as the photo.
ONE = "0 0.5 0.5 0.5 0.5\n"


def photo(path: str | os.PathLike, size: tuple[int, int] = (40, 20), orientation: int = 1) -> str:
    """Writes a photo of (width, height) as the file has it; each name has its own grey."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = zlib.crc32(path.name.encode("utf8")) % 256
    image = Image.fromarray(np.full((size[1], size[0], 3), grey, np.uint8))
    exif = Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    image.save(path, exif=exif)
    return str(path)


def text(path: str | os.PathLike, content: str) -> str:
    """Writes a text file; lines end as they are given."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode("utf8"))
    return str(path)


def records(folder: str | os.PathLike, part: str) -> list[DetectionExample]:
    """Reads the records of a part, in the order of their ids."""
    paths = match_files(os.path.join(folder, f"{part}-*.tfrecord"))
    read = [decode_example(record) for path in paths for record in iter_records(path)]
    return sorted(read, key=lambda example: int(example.source_id))


def labelled(folder, name, labels=ONE, images="images", label_folder="labels") -> None:
    """Writes a photo and its YOLO labels: `images/name.png`, `labels/name.txt`."""
    photo(folder / images / f"{name}.png")
    text(folder / label_folder / f"{name}.txt", labels)


def write_yolo(folder, out, **options):
    """Finds and converts a YOLO data set; returns its layout and the reports."""
    options = ConvertOptions(**{"num_workers": 1, "val_fraction": 0.5, **options})
    layout = yolo.find(str(folder))
    return layout, layout.convert(str(out), options)


def photo_names(out: str | os.PathLike, part: str) -> list[str]:
    """Returns the names of the photos of a part."""
    return [example.filename for example in records(out, part)]
