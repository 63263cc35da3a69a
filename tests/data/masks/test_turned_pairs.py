"""Photos that an EXIF tag turns, with masks drawn on what is seen or on what the file has."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from efficientvision.data.masks import convert, mask_files, pairs
from efficientvision.data.masks.folders import find_pairs
from efficientvision.errors import UserError
from tests.made_mask_files import save
from tests.made_mask_records import LEVELS, picture

READER = mask_files.MaskFiles(None, mask_files.label_table(()))
FORMATS = {"jpg": {"quality": 95}, "png": {}, "webp": {"lossless": True}, "tif": {}}


def tagged(array, tag: int) -> tuple[Image.Image, Image.Exif]:
    exif = Image.Exif()
    exif[0x0112] = tag
    return Image.fromarray(array), exif


def upright(array, tag: int) -> np.ndarray:
    """As a viewer shows a file of these pixels and this tag: by Pillow itself."""
    image, exif = tagged(array, tag)
    file = io.BytesIO()
    image.save(file, "PNG", exif=exif)
    return np.asarray(ImageOps.exif_transpose(Image.open(file)))


def loaded(tmp_path, mask, tag, suffix="jpg", size_hw=(40, 56)):
    image, exif = tagged(picture(0, size_hw)[0], tag)
    image.save(tmp_path / f"photo.{suffix}", exif=exif, **FORMATS[suffix])
    save(tmp_path / "mask.png", np.ascontiguousarray(mask))
    pair = pairs.MaskPair(str(tmp_path / f"photo.{suffix}"), str(tmp_path / "mask.png"), "photo")
    return pairs.load_pair(pair, READER)


def told(encoded: bytes) -> np.ndarray:
    """The class of each pixel of a photo, by its grey."""
    grey = np.asarray(Image.open(io.BytesIO(encoded)).convert("L")).astype(int)
    return np.abs(grey[..., np.newaxis] - LEVELS).argmin(axis=-1)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("tag", range(1, 9))
def test_a_mask_of_what_is_seen(tmp_path, tag, suffix):
    mask = upright(picture(0)[1], tag)
    pair = loaded(tmp_path, mask, tag, suffix)
    assert Image.open(io.BytesIO(pair.encoded)).getexif().get(0x0112, 1) == 1
    np.testing.assert_array_equal(pair.mask, mask)
    assert (told(pair.encoded) == pair.mask).mean() > 0.98
    assert pairs.MASK_TURNED not in pair.notes


@pytest.mark.parametrize("tag", range(5, 9))
def test_a_mask_of_what_the_file_has_is_turned_with_its_photo(tmp_path, tag):
    lying = picture(0)[1]
    pair = loaded(tmp_path, lying, tag)
    np.testing.assert_array_equal(pair.mask, upright(lying, tag))
    assert (told(pair.encoded) == pair.mask).mean() > 0.98
    assert pair.notes[pairs.MASK_TURNED] == 1


@pytest.mark.parametrize(("tag", "size_hw"), [(6, (48, 48)), (3, (40, 56)), (2, (40, 56))])
def test_a_mask_whose_size_does_not_tell_is_upright(tmp_path, tag, size_hw):
    mask = upright(picture(0, size_hw)[1], tag)
    pair = loaded(tmp_path, mask, tag, size_hw=size_hw)
    np.testing.assert_array_equal(pair.mask, mask)
    assert (told(pair.encoded) == pair.mask).mean() > 0.98


def test_a_mask_with_a_tag_of_its_own(tmp_path):
    """A tool that copies the photo's tag into the mask says that the mask lies, too."""
    image, mask = picture(0, (48, 48))
    tagged(image, 6)[0].save(tmp_path / "p.png", exif=tagged(image, 6)[1])
    tagged(mask, 6)[0].save(tmp_path / "m.png", exif=tagged(mask, 6)[1])
    pair = pairs.load_pair(
        pairs.MaskPair(str(tmp_path / "p.png"), str(tmp_path / "m.png"), "p"), READER
    )
    np.testing.assert_array_equal(pair.mask, upright(mask, 6))
    np.testing.assert_array_equal(told(pair.encoded), pair.mask)


def test_a_mask_of_another_scale_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"photo.jpg has 40 x 56 pixels, but its mask .* 28 x 20"):
        loaded(tmp_path, picture(0)[1][::2, ::2], 6)


def test_photos_of_16_bits(tmp_path):
    values = (np.arange(40 * 56).reshape(40, 56) * 29).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "p.tif")
    save(tmp_path / "m.png", picture(0)[1])
    pair = pairs.load_pair(
        pairs.MaskPair(str(tmp_path / "p.tif"), str(tmp_path / "m.png"), "p"), READER
    )
    decoded = np.asarray(Image.open(io.BytesIO(pair.encoded)))
    np.testing.assert_array_equal(decoded, np.repeat((values >> 8)[..., np.newaxis], 3, axis=-1))


def test_what_was_done_is_counted(tmp_path):
    for tag in (6, 8, 1):
        image, exif = tagged(picture(tag)[0], tag)
        (tmp_path / "images").mkdir(exist_ok=True)
        image.save(tmp_path / "images" / f"{tag}.jpg", exif=exif)
        save(tmp_path / "masks" / f"{tag}.png", picture(tag)[1])
    found = find_pairs(str(tmp_path / "images"), str(tmp_path / "masks"))
    (report,) = convert.convert(found, str(tmp_path / "out"), READER, None, num_workers=1)
    assert report.skipped == {
        "photos turned upright by their EXIF tag (stored as PNG)": 2,
        pairs.MASK_TURNED: 2,
    }
