"""Records of made pictures with classes: a bright square of the class's colour on noise."""

import io
import pathlib

import numpy as np
import tensorflow as tf
from PIL import Image

from efficientvision.data.class_records import ClassExample, encode_class_example

SIZE = 48
NAMES = {1: "blue", 2: "green", 3: "red"}


def picture(index: int, class_id: int) -> np.ndarray:
    """uint8 [SIZE, SIZE, 3]: a square in one of three colours (class 1: blue)."""
    rng = np.random.default_rng(index)
    pixels = rng.integers(0, 80, (SIZE, SIZE, 3), dtype=np.uint8)
    y, x = rng.integers(0, SIZE // 2, 2)
    pixels[y : y + SIZE // 2, x : x + SIZE // 2, 3 - class_id] = 250
    return pixels


def encoded_picture(index: int, class_id: int, image_format: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(index, class_id)).save(file, image_format, quality=95)
    return file.getvalue()


def made_class_record(index: int, classes=None, **fields) -> bytes:
    """A serialised example; its class is 1, 2, 3 by turns unless `classes` says otherwise."""
    classes = [1 + index % 3] if classes is None else list(classes)
    values = {
        "encoded": encoded_picture(index, 1 + index % 3),
        "image_format": "jpeg",
        "filename": f"{index}.jpg",
        "source_id": str(index),
        "height": SIZE,
        "width": SIZE,
        "classes": classes,
        "class_names": [NAMES.get(c, f"class {c}") for c in classes],
    }
    return encode_class_example(ClassExample(**(values | fields)))


def write_class_records(path: pathlib.Path, records) -> str:
    """Writes serialised examples; returns the path."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return str(path)
