"""Detection records made to order: photos with bright rectangles where their boxes are."""

import io
import pathlib

import numpy as np
from PIL import Image

from efficientvision.data.record_files import write_shards
from efficientvision.data.records import DetectionExample, encode_example

HEIGHT, WIDTH = 60, 90


def photo(height=HEIGHT, width=WIDTH, boxes=(), image_format="PNG", seed=0):
    """A dark photo with a bright rectangle for each box [ymin, xmin, ymax, xmax] in pixels."""
    pixels = np.random.default_rng(seed).integers(0, 60, (height, width, 3), np.uint8)
    for ymin, xmin, ymax, xmax in np.asarray(boxes, int).reshape(-1, 4):
        pixels[ymin:ymax, xmin:xmax] = 220
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, image_format)
    return file.getvalue()


def example(index, boxes=((10, 20, 30, 60),), classes=None, **fields):
    """An example of one photo; `fields` replace what it would say of itself."""
    classes = [1] * len(boxes) if classes is None else list(classes)
    known = {
        "encoded": photo(seed=index),
        "image_format": "png",
        "filename": f"{index}.png",
        "source_id": str(index + 1),
        "height": HEIGHT,
        "width": WIDTH,
        "boxes_yxyx": np.array(boxes, np.float64).reshape(-1, 4),
        "classes": classes,
        "class_names": [f"name {c}" for c in classes],
        "areas": [1.0] * len(classes),
        "is_crowd": [0] * len(classes),
    }
    return DetectionExample(**{**known, **fields})


def write_examples(folder: pathlib.Path, examples, name="set", num_shards=1) -> str:
    """Writes examples in shards; returns their pattern."""
    prefix = str(folder / name)
    write_shards(list(examples), encode_example, prefix, num_shards=num_shards, num_workers=1)
    return f"{prefix}-*"
