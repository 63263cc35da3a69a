"""Damaged photo files: how much of one is there decides, and every error names the file."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from efficientvision.data import image_folders, photos
from efficientvision.data.jpeg_damage import jpeg_damage
from efficientvision.data.jpeg_layout import END_MARK
from efficientvision.data.labelled_images import find_images
from efficientvision.data.masks.pairs import SpoiltPair, open_picture
from efficientvision.data.photos import is_photo_name
from efficientvision.data.picture_files import open_header, orientation_of

RNG = np.random.default_rng(0)
COARSE = Image.fromarray(RNG.integers(0, 256, (9, 12, 3), dtype=np.uint8))
SCENE = np.asarray(COARSE.resize((192, 144), Image.Resampling.BICUBIC))
NOISY = np.clip(SCENE + RNG.normal(0, 9, SCENE.shape), 0, 255).astype(np.uint8)
KINDS = {
    "plain": ("RGB", {}),
    "optimized": ("RGB", {"optimize": True}),
    "restarts": ("RGB", {"restart_marker_rows": 1}),
    "grey": ("L", {}),
    "CMYK": ("CMYK", {}),
    "progressive": ("RGB", {"progressive": True}),
}


def jpeg(kind, pixels=NOISY):
    mode, options = KINDS[kind]
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "JPEG", quality=92, **options)
    return file.getvalue()


def spoilt(encoded, share):
    """A file of which a share is there: cut, cut with an end mark, with zeros, with both."""
    kept = encoded[: int(len(encoded) * share)]
    zeros = bytes(len(encoded) - len(kept) - 2)
    return [kept, kept + END_MARK, kept + zeros + b"\0\0", kept + zeros + END_MARK]


def rows_right(stored, encoded):
    seen = np.asarray(Image.open(io.BytesIO(stored.encoded))).astype(int)
    whole = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
    return (np.abs(seen - whole).mean(axis=(1, 2)) < 12).mean()


@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_that_is_mostly_missing_is_refused(kind):
    encoded = jpeg(kind)
    for share in (0.08, 0.15, 0.3):
        for damaged in spoilt(encoded, share):
            with pytest.raises(photos.UnreadablePhoto, match="a photo cannot be decoded.*missing"):
                photos.store_photo(damaged, "a photo")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "progressive"])
def test_a_jpeg_that_is_mostly_there_is_recovered_and_counted(kind):
    encoded = jpeg(kind)
    for damaged in spoilt(encoded, 0.6):
        with pytest.raises(photos.UnreadablePhoto, match=r"(3|4)\d% of it is missing"):
            photos.store_photo(damaged, "a photo")
    for damaged in spoilt(encoded, 0.85):
        stored = photos.store_photo(damaged, "a photo")
        assert stored.notes == (photos.RECOVERED,)
        assert 0.77 <= rows_right(stored, encoded) < 0.88
        # Prediction shows no photo that is partly grey.
        with pytest.raises(photos.UnreadablePhoto, match=r"(1|2)\d% of it is missing"):
            photos.decode_photo(damaged, "a photo")


def test_a_progressive_jpeg_may_lack_the_last_bit_of_its_coefficients():
    encoded = jpeg("progressive")
    for damaged in spoilt(encoded, 0.35):
        with pytest.raises(photos.UnreadablePhoto, match="later scans of it are missing"):
            photos.store_photo(damaged, "a photo")
    cut, _, zeros, zeros_and_end = spoilt(encoded, 0.85)
    for damaged in (cut, zeros, zeros_and_end):
        stored = photos.store_photo(damaged, "a photo")
        assert stored.notes == (photos.RECOVERED,) and rows_right(stored, encoded) == 1
    before_the_last = encoded.rindex(b"\xff\xc4")  # The tables of the last scan.
    stored = photos.store_photo(encoded[:before_the_last] + END_MARK, "a photo")
    assert stored.notes == (photos.RECOVERED,) and rows_right(stored, encoded) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_hole_in_a_jpeg_ends_what_is_trusted(kind):
    encoded = jpeg(kind, np.tile(NOISY, (2, 2, 1)))
    begin = int(len(encoded) * 0.85)
    stored = photos.store_photo(encoded[:begin] + bytes(2048) + encoded[begin + 2048 :], "a photo")
    assert stored.notes == (photos.RECOVERED,)
    right = rows_right(stored, encoded)
    assert right == 1 if kind == "progressive" else 0.78 < right < 0.88


@pytest.mark.parametrize("kind", KINDS)
def test_whole_jpegs_are_not_suspected(kind):
    dark, middle = np.zeros((1200, 1600, 3), np.uint8), np.full((300, 320, 3), 128, np.uint8)
    dark[:144, :192] = NOISY
    middle[:144, :192] = NOISY
    for pixels in (NOISY, dark, middle, middle[200:], NOISY[:3, :5]):
        encoded = jpeg(kind, pixels)
        shown = open_header(encoded)
        shown.load()
        assert jpeg_damage(encoded, shown) is None
    if kind == "optimized":  # Flat areas are long runs of zeros there.
        assert bytes(1024) in jpeg(kind, dark)


def jpeg_with_tags(*others):
    """A photo of which an EXIF tag says that it lies, and others hold what they should not."""
    entries = sorted([(0x0112, 3, 1, b"\6\0\0\0"), *others])
    header = b"II*\0\x08\0\0\0" + len(entries).to_bytes(2, "little")
    place = len(header) + 12 * len(entries) + 4
    fields, long_values = b"", b""
    for tag, kind, count, value in entries:
        fields += b"".join(n.to_bytes(w, "little") for n, w in ((tag, 2), (kind, 2), (count, 4)))
        if len(value) > 4:
            fields += (place + len(long_values)).to_bytes(4, "little")
            long_values += value
        else:
            fields += value
    exif = b"Exif\0\0" + header + fields + bytes(4) + long_values
    encoded = jpeg("plain")
    return encoded[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + encoded[2:]


@pytest.mark.parametrize(
    "other",
    [
        (0x011A, 2, 4, b"72\0\0"),  # XResolution as text.
        (0x011A, 10, 1, b"\xb8\xff\xff\xff\1\0\0\0"),  # Negative.
        (0x9999, 16, 1, bytes(7) + b"\x10"),  # A number of 64 bits.
    ],
)
def test_odd_tags_beside_the_orientation(other):
    from efficientvision.tasks.photo_batches import as_array

    encoded = jpeg_with_tags(other)
    upright = np.rot90(np.asarray(Image.open(io.BytesIO(encoded))), -1)
    stored = photos.store_photo(encoded, "a photo")
    assert stored.orientation == 6 and stored.notes == (photos.TURNED,)
    assert Image.open(io.BytesIO(stored.encoded)).getexif().get(0x0112, 1) == 1
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(stored.encoded))), upright)
    np.testing.assert_array_equal(photos.decode_photo(encoded, "a photo").image, upright)
    np.testing.assert_array_equal(as_array(Image.open(io.BytesIO(encoded))), upright)


def test_what_a_plugin_raises_is_a_sentence(monkeypatch):
    from PIL import PngImagePlugin

    file = io.BytesIO()
    Image.fromarray(NOISY).save(file, "PNG")

    def fail(*_):
        raise RuntimeError("Decoding of color planes failed")  # As the plugin for AVIF does.

    for step in ("_open", "load_prepare"):
        with monkeypatch.context() as patch:
            patch.setattr(PngImagePlugin.PngImageFile, step, fail)
            with pytest.raises(photos.UnreadablePhoto, match="a.avif cannot be decoded.*planes"):
                photos.store_photo(file.getvalue(), "a.avif")
            assert orientation_of(file.getvalue()) == 1


def test_an_opened_picture_that_cannot_be_decoded_is_named():
    from efficientvision.errors import UserError
    from efficientvision.tasks.photo_batches import as_array

    with pytest.raises(UserError, match="PIL image.*cannot be decoded"):
        as_array(Image.open(io.BytesIO(jpeg("plain")[:3000])))


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs a file that fails to read")
@pytest.mark.parametrize("name", ["b.jpg", "no_suffix"])
def test_a_file_that_cannot_be_read_is_named_and_skipped(tmp_path, name):
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "a.jpg").write_bytes(jpeg("plain"))
    os.symlink("/proc/self/mem", tmp_path / "cats" / name)  # Reading it is an input/output error.
    with pytest.raises(photos.UnreadablePhoto, match=rf"{name}' cannot be read \(Input/output"):
        photos.open_photo(tmp_path / "cats" / name)
    with pytest.raises(SpoiltPair, match=rf"{name}' cannot be read \(Input/output"):
        open_picture(str(tmp_path / "cats" / name))
    assert is_photo_name(str(tmp_path / "cats" / name))
    parts = find_images(str(tmp_path)).parts
    (report,) = image_folders.convert(
        parts, str(tmp_path / "out"), skip_bad=True, num_shards=1, num_workers=1
    )
    assert report.num_images == 1 and any(name in line for line in str(report).splitlines())
