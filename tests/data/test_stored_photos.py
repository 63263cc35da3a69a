"""Photos as converters store them: TensorFlow decodes what the photo reader shows."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientvision.data import photos
from efficientvision.data.image_bytes import sniff_format
from efficientvision.data.transforms.decode import decode_image

COARSE = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
PIXELS = np.asarray(Image.fromarray(COARSE).resize((80, 60), Image.Resampling.BICUBIC))
GREY = np.arange(24 * 32, dtype=np.uint8).reshape(24, 32)


def encode(pixels, image_format, **options):
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, image_format, **options)
    return file.getvalue()


def stored_and_shown(encoded):
    """A stored photo, what training decodes of it, and what prediction shows of the file."""
    stored = photos.store_photo(encoded, "a photo")
    trained = decode_image(stored.encoded, dct_method="INTEGER_ACCURATE").numpy()
    shown = np.asarray(photos.decode_photo(encoded, "a photo").image)
    assert trained.shape == shown.shape == (stored.height, stored.width, 3)
    return stored, trained.astype(int), shown.astype(int)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "MPO"])
@pytest.mark.parametrize("tag", range(1, 9))
def test_all_eight_tags_in_every_format(image_format, tag):
    exif = Image.Exif()
    exif[0x0112] = tag
    lossless = {"lossless": True} if image_format == "WEBP" else {}
    encoded = encode(PIXELS, image_format, exif=exif, **lossless)
    stored, trained, shown = stored_and_shown(encoded)
    assert np.abs(trained - shown).max() <= 1
    turned = np.asarray(
        {
            1: lambda p: p,
            2: lambda p: p[:, ::-1],
            3: lambda p: p[::-1, ::-1],
            4: lambda p: p[::-1],
            5: lambda p: p.swapaxes(0, 1),
            6: lambda p: p.swapaxes(0, 1)[:, ::-1],
            7: lambda p: p.swapaxes(0, 1)[::-1, ::-1],
            8: lambda p: p.swapaxes(0, 1)[::-1],
        }[tag](PIXELS)
    )
    assert np.abs(shown - turned).mean() < (0 if image_format not in ("JPEG", "MPO") else 3) + 1e-9
    assert stored.orientation == tag and (photos.TURNED in stored.notes) == (tag != 1)


@pytest.mark.parametrize(
    ("pixels", "image_format"),
    [
        (GREY, "PNG"),
        (GREY.astype(np.uint16) * 257, "PNG"),
        (GREY.astype(np.uint16) * 257, "TIFF"),
        (GREY.astype(np.int32), "TIFF"),
        (GREY.astype(np.int32) * 257, "TIFF"),
        (GREY.astype(np.float32), "TIFF"),
        ((GREY / np.float32(255)).astype(np.float32), "TIFF"),
    ],
)
def test_more_than_eight_bits(pixels, image_format):
    stored, trained, shown = stored_and_shown(encode(pixels, image_format))
    np.testing.assert_array_equal(trained, shown)
    np.testing.assert_array_equal(shown, GREY[..., None].repeat(3, -1))
    assert (photos.REDUCED in stored.notes) == (pixels.dtype != np.uint8)


def png_of_sixteen_bits(pixels):
    """A PNG file of 16 bits a channel, which Pillow cannot write in colours."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    framed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bits_in_colours(channels):
    pixels = np.random.default_rng(1).integers(0, 65536, (9, 7, channels))
    stored, trained, shown = stored_and_shown(png_of_sixteen_bits(pixels))
    np.testing.assert_array_equal(trained, shown)
    # The upper byte, which is also what TensorFlow makes of the file itself.
    np.testing.assert_array_equal(shown, pixels[..., :3] >> 8)
    assert stored.notes == (photos.REDUCED,)


def test_a_stated_range_is_taken_and_an_unknown_one_refused():
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    tags = ImageFileDirectory_v2()
    tags[280], tags[281] = 1000, 5000
    samples = np.array([[1000, 3000, 5000]], np.int32)
    shown = photos.decode_photo(encode(samples, "TIFF", tiffinfo=tags), "a.tif").image
    assert np.asarray(shown)[0, :, 0].tolist() == [0, 128, 255]
    for bad in (np.float32([[-3, 2]]), np.float32([[np.nan, 1]]), np.int32([[0, 1 << 20]])):
        with pytest.raises(photos.UnreadablePhoto, match=r"a\.tif has .* samples from"):
            photos.decode_photo(encode(bad, "TIFF"), "a.tif")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_colours_of_every_kind(mode):
    image = Image.fromarray(PIXELS).convert(mode)
    image_format = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
    _, trained, shown = stored_and_shown(encode(image, image_format))
    assert np.abs(trained - shown).max() <= (1 if mode == "YCbCr" else 0)


@pytest.mark.parametrize("image_format", ["GIF", "BMP", "PPM", "WEBP"])
def test_other_formats_become_png(image_format):
    stored, trained, shown = stored_and_shown(encode(PIXELS, image_format))
    assert stored.image_format == "png" and stored.notes == (photos.CONVERTED,)
    np.testing.assert_array_equal(trained, shown)


def test_what_is_plain_stays_byte_for_byte():
    for image_format in ("JPEG", "PNG"):
        encoded = encode(PIXELS, image_format)
        stored = photos.store_photo(encoded, "a photo")
        assert stored.encoded == encoded and stored.notes == ()


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_end_is_recovered(progressive):
    encoded = encode(PIXELS, "JPEG", quality=95, progressive=progressive)
    whole = np.asarray(photos.decode_photo(encoded, "a").image).astype(int)
    for cut in (2, 40):
        stored = photos.store_photo(encoded[:-cut], "a.jpg")
        trained = tf.io.decode_image(stored.encoded).numpy().astype(int)
        assert stored.notes == (photos.RECOVERED,) and stored.remarks == (
            "damaged and recovered: a.jpg",
        )
        assert trained.shape == whole.shape and np.abs(trained - whole)[:40].mean() < 5
    with pytest.raises(photos.UnreadablePhoto, match="cut short"):
        photos.store_photo(encode(PIXELS, "JPEG", quality=95)[: len(encoded) // 3], "a.jpg")
    # Trailing bytes, as cameras append them, are no damage.
    assert photos.store_photo(encoded + b"\0" * 9, "a.jpg").notes == ()


def test_a_png_with_a_wrong_checksum_is_stored_anew():
    encoded = bytearray(encode(PIXELS, "PNG"))
    encoded[encoded.index(b"IEND") + 4] ^= 1
    for damaged in (bytes(encoded), encode(PIXELS, "PNG")[:-12]):  # The other lacks the chunk.
        stored = photos.store_photo(damaged, "a.png")
        np.testing.assert_array_equal(tf.io.decode_image(stored.encoded), PIXELS)
        assert stored.notes == (photos.RECOVERED,)
        assert stored.remarks == ("damaged and recovered: a.png",)


def test_large_photos(monkeypatch):
    encoded = encode(np.zeros((30, 40), np.uint8), "PNG")
    before = Image.MAX_IMAGE_PIXELS
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow's limit does not count.
    assert photos.decode_photo(encoded, "a.png").image.size == (40, 30)
    with pytest.raises(photos.UnreadablePhoto, match=r"a\.png has more than 1,199 pixels.*max_pix"):
        photos.decode_photo(encoded, "a.png", max_pixels=1199)
    assert photos.decode_photo(encoded, "a.png", max_pixels=None).image.size == (40, 30)
    assert Image.MAX_IMAGE_PIXELS == 100 != before


def test_a_folders_photos_by_suffix_or_first_bytes(tmp_path):
    for name in ("a.JPG", "b.jfif", "c.webp", "d", ".hidden.png", "e.txt", "f.json"):
        (tmp_path / name).write_bytes(encode(PIXELS, "PNG"))
    (tmp_path / "README").write_text("no picture")
    found = photos.list_photos(tmp_path)
    assert [path.rpartition("/")[2] for path in found] == ["a.JPG", "b.jfif", "c.webp", "d"]


def test_what_is_no_picture_is_said():
    for content, words in (
        (b"", "is empty"),
        (b"text", "is not a picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC photo.*save it as JPEG"),
        (b"\0\0\0\x24ftyphevc\0\0\0\0" + bytes(100), "HEIC photo.*save it as JPEG"),
        (b"\0\0\0\x24ftypmsf1\0\0\0\0", "HEIC photo.*save it as JPEG"),
    ):
        with pytest.raises(photos.UnreadablePhoto, match=words):
            photos.decode_photo(content, "a.heic")


def test_formats_by_first_bytes():
    for image_format in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        assert sniff_format(encode(PIXELS, image_format)) == image_format.lower()
    assert sniff_format(b"text") is sniff_format(b"") is None
