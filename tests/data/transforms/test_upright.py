"""The turn that a photo's EXIF tag asks for, read and made in the graph."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientvision.data.photos import decode_photo
from efficientvision.data.picture_files import orientation_of
from efficientvision.data.transforms.upright import exif_orientation, turn_upright
from efficientvision.tasks.serving import decode_upright

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8)


def encoded(tag, image_format="PNG", endian="<", more=False):
    exif = Image.Exif()
    exif.endian = endian
    if tag is not None:
        exif[0x0112] = tag
    if more:  # Entries before and after the orientation's.
        exif[0x010F], exif[0x0131] = "a maker", "a program"
    file = io.BytesIO()
    lossless = {"lossless": True} if image_format == "WEBP" else {}
    Image.fromarray(PIXELS).save(file, image_format, exif=exif, **lossless)
    return file.getvalue()


graph = tf.function(decode_upright, input_signature=[tf.TensorSpec([], tf.string)])


@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
@pytest.mark.parametrize("tag", range(1, 9))
def test_pixels_are_those_of_the_photo_reader(tag, image_format):
    photo = encoded(tag, image_format)
    found = graph(photo)
    np.testing.assert_array_equal(found, np.asarray(decode_photo(photo, "a").image))
    assert found.shape[:2] == ((10, 6) if tag >= 5 else (6, 10))


def test_a_webp_with_the_mark_of_a_jpeg_in_its_chunk():
    head, chunk = encoded(6, "WEBP").split(b"EXIF")
    size = (len(chunk) + 2).to_bytes(4, "little")
    assert exif_orientation(head + b"EXIF" + size + b"Exif\0\0" + chunk[4:]) == 6


def jpeg_with(*segments):
    """A JPEG with APP1 segments (marker 0xE1) or others, as (marker, content)."""
    whole = encoded(None, "JPEG")
    framed = (struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data for marker, data in segments)
    return whole[:2] + b"".join(framed) + whole[2:]


def tiff_block(kind, value, order=">", tag=0x0112, offset=8):
    """A TIFF block of one entry: kind 1 is a byte, 3 a number of two bytes, 4 one of four."""
    head = (b"MM" if order == ">" else b"II") + struct.pack(order + "HI", 42, offset)
    head = head.ljust(offset, b"\0")
    content = {1: "B3x", 3: "H2x", 4: "I"}[kind]
    entry = struct.pack(order + "HHHI" + content, 1, tag, kind, 1, value)
    return head + entry + bytes(4)


XMP = b"http://ns.adobe.com/xap/1.0/\0<rdf:Description %s/>"
EXIF = b"Exif\0\0"


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ([(0xE1, EXIF + tiff_block(4, 6))], 6),
        ([(0xE1, EXIF + tiff_block(4, 6, "<"))], 6),
        ([(0xE1, EXIF + tiff_block(1, 6))], 1),
        ([(0xE1, EXIF + tiff_block(3, 8, offset=30_000))], 8),
        ([(0xE2, b"ICC_PROFILE\0" + bytes(60_000))] * 3 + [(0xE1, EXIF + tiff_block(3, 3))], 3),
        ([(0xFE, b"Exif\0\0, says the comment"), (0xE1, EXIF + tiff_block(3, 5))], 5),
        ([(0xFE, EXIF + tiff_block(3, 5))], 1),
        ([(0xE1, XMP % b'tiff:Orientation="6"')], 6),
        ([(0xE1, XMP % b"tiff:Orientation>7<")], 7),
        ([(0xE1, XMP % b'tiff:Orientation="9"')], 1),
        ([(0xE1, XMP % b"tiff:Orientation")], 1),
        ([(0xE1, EXIF + tiff_block(3, 1)), (0xE1, XMP % b'tiff:Orientation="6"')], 1),
        ([(0xE1, EXIF + tiff_block(3, 4, tag=0x010F)), (0xE1, XMP % b'tiff:Orientation="6"')], 6),
    ],
)
def test_blocks_as_writers_make_them(segments, expected):
    photo = jpeg_with(*segments)
    assert exif_orientation(photo) == expected
    assert orientation_of(photo) == expected  # Pillow's reading.


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("endian", ["<", ">"])
def test_the_tag_is_found(image_format, endian):
    assert exif_orientation(encoded(6, image_format, endian, more=True)) == 6
    assert exif_orientation(encoded(None, image_format, endian, more=True)) == 1


def test_what_is_no_tag_turns_nothing():
    for odd in (0, 9, 300):
        assert exif_orientation(encoded(odd)) == 1
    whole = encoded(8, "JPEG")
    start = whole.index(b"Exif\0\0")
    # Cut within the block, with an offset that leads out of it, and without a block.
    for damaged in (
        whole[: start + 9],
        whole[: start + 10] + b"\xff\xff" + whole[start + 12 :],
        whole.replace(b"Exif", b"exif"),
        b"RIFF----WEBP",
        b"RIFF----WEBPEXIF",
        b"RIFF----WEBPEXIF\x20\0\0\0Exif\0\0",
        b"",
        b"Exif\0\0",
    ):
        assert exif_orientation(damaged) == 1
    image = tf.constant(PIXELS)
    np.testing.assert_array_equal(turn_upright(image, tf.constant(1)), PIXELS)
