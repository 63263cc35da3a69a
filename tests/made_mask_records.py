"""Records of made pictures whose masks are a function of their pixels."""

import io
import pathlib

import numpy as np
from PIL import Image

from efficientvision.data.mask_records import MaskExample, encode_mask, encode_mask_example
from tests.made_class_records import write_class_records

CLASSES = 4
# Grey level of each class; far enough apart that a resized pixel tells its class inside a block.
LEVELS = np.array([60, 110, 160, 210], np.uint8)


def picture(index: int, size_hw=(40, 56), block: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 [h, w, 3], uint8 [h, w]): blocks of one class each, in the grey of their class."""
    rng = np.random.default_rng(index)
    height, width = size_hw
    classes = rng.integers(0, CLASSES, (-(-height // block), -(-width // block)))
    mask = np.kron(classes, np.ones((block, block), np.int64))[:height, :width].astype(np.uint8)
    return np.repeat(LEVELS[mask][..., np.newaxis], 3, axis=-1), mask


def encoded(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def made_mask_record(index: int, size_hw=(40, 56), *, mask=None, **fields) -> bytes:
    """A serialised example of `picture(index)`; `mask` takes the place of its own."""
    image, own = picture(index, size_hw)
    values = {
        "encoded": encoded(image),
        "image_format": "png",
        "filename": f"{index}.png",
        "source_id": str(index),
        "height": size_hw[0],
        "width": size_hw[1],
        "mask_encoded": encode_mask(own if mask is None else mask),
    }
    return encode_mask_example(MaskExample(**(values | fields)))


def write_records(path: pathlib.Path, count: int, sizes=((40, 56),)) -> str:
    """Writes `count` records, their sizes by turns; returns the path."""
    records = (made_mask_record(i, sizes[i % len(sizes)]) for i in range(count))
    return write_class_records(path, records)
