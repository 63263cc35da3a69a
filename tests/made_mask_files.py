"""Folders of made images and label maps, as data sets have them, and what their records hold."""

import pathlib

import numpy as np
import tensorflow as tf
from PIL import Image

from efficientvision.data.mask_records import decode_mask, parse_mask_example
from efficientvision.data.record_files import iter_records
from tests.made_mask_records import picture


def save(path: pathlib.Path, pixels: np.ndarray, palette: list[int] | None = None) -> pathlib.Path:
    """Writes an array as a picture, with a palette if there is one; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette)
    image.save(path)
    return path


def write_pairs(folder: pathlib.Path, count: int = 3, ending: str = ".png") -> pathlib.Path:
    """`images/<k><ending>` and `labels/<k>.png` of `picture(k)`; returns the folder."""
    for k in range(count):
        image, mask = picture(k)
        save(folder / "images" / f"{k}{ending}", image)
        save(folder / "labels" / f"{k}.png", mask)
    return folder


def read_masks(report) -> dict[str, np.ndarray]:
    """Source id -> mask of the records of a conversion."""
    masks = {}
    for path in report.files:
        for record in iter_records(path):
            parsed = parse_mask_example(tf.constant(record))
            masks[parsed["source_id"].numpy().decode()] = decode_mask(
                parsed["mask_encoded"].numpy()
            )
    return masks
