"""Records of made pictures: a bright square on noise, for tests that train."""

import io
import pathlib

import numpy as np
import tensorflow as tf
from PIL import Image

from efficientvision.data.records import DetectionExample, encode_example

SIZE = 64
SIDE = 24


def made_record(index: int, *, cut: bool = False, noise: int = 80) -> bytes:
    """A serialised example with one object; its class is 1 or 2 by turns.

    Args:
        index: decides the picture; the image id is `index + 1`.
        cut: leave out the second half of the JPEG file.
        noise: values of the noise, from 0.
    """
    rng = np.random.default_rng(index)
    picture = rng.integers(0, noise, (SIZE, SIZE, 3), dtype=np.uint8)
    ymin, xmin = rng.integers(0, SIZE // 2, 2)
    picture[ymin : ymin + SIDE, xmin : xmin + SIDE] = 250
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "JPEG")
    content = encoded.getvalue()
    return encode_example(
        DetectionExample(
            encoded=content[: len(content) // 2] if cut else content,
            image_format="jpeg",
            filename=f"{index}.jpg",
            source_id=str(index + 1),
            height=SIZE,
            width=SIZE,
            boxes_yxyx=np.array([[ymin, xmin, ymin + SIDE, xmin + SIDE]], np.float32),
            classes=[1 + index % 2],
            class_names=["thing"],
            areas=[float(SIDE**2)],
            is_crowd=[0],
        )
    )


def write_made_records(
    path: pathlib.Path, count: int, *, cut: int | None = None, noise: int = 80
) -> pathlib.Path:
    """Writes `count` records, number `cut` of them damaged; returns the path."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for index in range(count):
            writer.write(made_record(index, cut=index == cut, noise=noise))
    return path
