"""Masks in records as others store them: TensorFlow would make other classes of most of them."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientvision.data.checks import find_bad_record, iterate
from efficientvision.data.inspection.masks import MaskReport
from efficientvision.data.inspection.report import inspect_records
from efficientvision.data.mask_records import (
    MaskExample,
    decode_mask,
    encode_mask,
    encode_mask_example,
    parse_mask_example,
)
from efficientvision.errors import UserError
from efficientvision.tasks.segmentation.checks import scan_masks
from efficientvision.tasks.segmentation.pipeline import segmentation_dataset

CLASSES = np.repeat(np.arange(4, dtype=np.uint8), 6).reshape(4, 6)


def encoded(image, file_format="PNG", **options):
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def palette_image():
    image = Image.fromarray(CLASSES)
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])
    return image


MASKS = {
    "JPEG": lambda: encoded(Image.fromarray(CLASSES), "JPEG"),
    "16 bit": lambda: encoded(Image.fromarray(CLASSES.astype(np.uint16))),
    "colour": lambda: encoded(Image.fromarray(np.stack([CLASSES] * 3, axis=-1))),
    "palette": lambda: encoded(palette_image()),
    "black and white": lambda: encoded(Image.fromarray(CLASSES > 1)),
    "BMP": lambda: encoded(Image.fromarray(CLASSES), "BMP"),
    "cut short": lambda: encode_mask(CLASSES)[:-8],
    "empty": lambda: b"",
}
WORDS = {
    "JPEG": "must be a PNG of one 8-bit channel, is a JPEG of mode L",
    "16 bit": "must be a PNG of one 8-bit channel, is a PNG of mode I;16",
    "cut short": "cannot be decoded",
    "empty": r"cannot be decoded \(cannot identify its format\)",
}


def record(mask, **changes):
    photo = encoded(Image.fromarray(np.full((4, 6, 3), 90, np.uint8)))
    fields = {"height": 4, "width": 6} | changes
    return encode_mask_example(MaskExample(photo, "png", "a.png", "1", mask_encoded=mask, **fields))


def write(folder, *records):
    path = str(folder / "masks.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for content in records:
            writer.write(content)
    return path


@pytest.mark.parametrize("kind", MASKS)
def test_other_kinds_of_masks_are_refused_in_python_and_in_the_graph(tmp_path, kind):
    mask = MASKS[kind]()
    with pytest.raises(UserError, match=WORDS.get(kind, "must be a PNG of one 8-bit channel, is")):
        decode_mask(mask)
    with pytest.raises(tf.errors.InvalidArgumentError):
        parsed = parse_mask_example(tf.constant(record(mask)))
        tf.io.decode_png(parsed["mask_encoded"])
    path = write(tmp_path, record(mask))
    assert f"record 0 of {path}, image '1' (a.png), is spoilt: " in find_bad_record(path)


def test_plain_masks_come_back(tmp_path):
    mask = encode_mask(CLASSES)
    np.testing.assert_array_equal(decode_mask(mask), CLASSES)
    parsed = parse_mask_example(tf.constant(record(mask)))
    assert parsed["mask_encoded"].numpy() == mask


def test_every_door_names_the_record(tmp_path):
    path = write(tmp_path, record(encode_mask(CLASSES)), record(MASKS["16 bit"]()))

    def draw(training):
        dataset = segmentation_dataset(path, image_hw=(8, 8), batch_size=2, training=training)
        list(iterate(dataset.take(1), path, of_masks=True))

    for door in (lambda: scan_masks(path), lambda: draw(True), lambda: draw(False)):
        with pytest.raises(UserError, match=f"record 1 of {path}.*is a PNG of mode I;16"):
            door()


def test_the_size_of_the_image_is_its_own(tmp_path):
    """A record that states another one has no mask of a wrong size for that."""
    path = write(tmp_path, record(encode_mask(CLASSES), height=8, width=12))
    report = inspect_records(path, MaskReport())
    assert list(report.problems) == ["records that state another size than their image has"]
    assert find_bad_record(path, of_masks=True) is None
