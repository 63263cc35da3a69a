"""Photos of class folders as they come into records: upright, 8 bits, decoded, counted."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from efficientvision.data import image_folders
from efficientvision.data.class_records import parse_class_example
from efficientvision.data.photos import open_photo
from efficientvision.data.record_files import iter_records
from efficientvision.data.transforms.decode import ACCURATE_DCT_METHOD, decode_image
from efficientvision.errors import UserError
from efficientvision.tasks.photo_batches import as_array

FORMATS = {
    "jpg": {"quality": 95, "subsampling": 0},
    "png": {},
    "webp": {"lossless": True},
    "tif": {},
}


def scene() -> np.ndarray:
    """24 x 32: no turn or mirror image of it is itself."""
    rows, columns = np.mgrid[:24, :32]
    return np.stack([rows * 8, columns * 6, (rows + columns) * 3], axis=-1).astype(np.uint8)


def recorded(path, classes=("x",)) -> np.ndarray:
    """What training and evaluation of an EdgeNet see of a file."""
    image = image_folders.LabelledImage(str(path), path.name, classes)
    record = image_folders.build_record(image, {"x": 1}).serialized
    encoded = parse_class_example(tf.constant(record))["encoded"]
    return decode_image(encoded, dct_method=ACCURATE_DCT_METHOD).numpy()


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("tag", range(1, 9))
def test_photos_are_stored_as_they_are_seen(tmp_path, suffix, tag):
    exif = Image.Exif()
    exif[0x0112] = tag
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(scene()).save(path, exif=exif, **FORMATS[suffix])
    seen = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB")).astype(int)
    assert seen.shape == ((32, 24, 3) if tag >= 5 else (24, 32, 3))
    stored = recorded(path)
    assert stored.shape == seen.shape
    np.testing.assert_allclose(stored, seen, atol=1 if suffix == "jpg" else 0)
    np.testing.assert_array_equal(as_array(path), seen)


def test_sixteen_bits_are_the_same_in_training_and_prediction(tmp_path):
    values = (np.arange(24 * 32).reshape(24, 32) * 80).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    Image.fromarray(values).save(tmp_path / "deep.tif")
    expected = np.repeat((values >> 8)[..., np.newaxis], 3, axis=-1)
    for name in ("deep.png", "deep.tif"):
        np.testing.assert_array_equal(recorded(tmp_path / name), expected)
        np.testing.assert_array_equal(open_photo(tmp_path / name), expected)


@pytest.fixture
def folder(tmp_path):
    """`photos/a`: 0 upright, 1 turned, 2 of 16 bits, 3 a BMP, 4 cut near its end, 5 no picture."""
    place = tmp_path / "photos" / "a"
    place.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(scene())
    image.save(place / "0.png")
    image.save(place / "1.jpg", exif=exif)
    Image.fromarray(scene()[..., 0].astype(np.uint16) << 8).save(place / "2.png")
    image.save(place / "3.bmp")
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(
        file, "JPEG"
    )
    (place / "4.jpg").write_bytes(file.getvalue()[:-200])
    (place / "5.png").write_bytes(b"no picture")
    return tmp_path / "photos"


def converted(folder, **options):
    parts = image_folders.read_folders(str(folder))
    options = {"num_shards": 2, "num_workers": 1, **options}
    return image_folders.convert(parts, str(folder.parent / "out"), **options)


def test_a_photo_that_cannot_be_decoded_stops_the_conversion(folder):
    with pytest.raises(UserError, match=r"a/5.png is not a picture .* skip_bad"):
        converted(folder)
    assert not (folder.parent / "out").exists()


def test_what_is_left_out_and_what_is_changed_is_counted(folder):
    (report,) = converted(folder, skip_bad=True)
    assert (report.num_images, report.num_boxes) == (5, 5)
    assert report.skipped == {
        "images left out, as they cannot be used": 1,
        "photos turned upright by their EXIF tag (stored as PNG)": 1,
        "photos with more than 8 bits a channel, stored with 8": 1,
        "photos of other formats stored as PNG": 1,
        "damaged photos recovered (missing parts are grey)": 1,
    }
    assert any("left out: " in line and "5.png" in line for line in report.details)
    assert any("recovered" in line and "4.jpg" in line for line in report.details)
    names = [
        parse_class_example(tf.constant(record))["source_id"].numpy().decode()
        for path in report.files
        for record in iter_records(path)
    ]
    assert sorted(names) == ["a/0.png", "a/1.jpg", "a/2.png", "a/3.bmp", "a/4.jpg"]


def test_photos_that_are_too_large(folder):
    with pytest.raises(UserError, match="a/4.jpg has more than 3,000 pixels: raise max_pixels"):
        converted(folder, max_pixels=3000)


def test_a_class_that_no_training_image_has_is_named(folder):
    image = image_folders.LabelledImage(str(folder / "a" / "0.png"), "0.png", ("a",))
    other = image_folders.LabelledImage(str(folder / "a" / "0.png"), "0.png", ("A",))
    train, _ = image_folders.convert(
        {"train": [image], "val": [image, other]}, str(folder.parent / "out"), num_workers=1
    )
    assert train.details == ["no training image has the class A"]


def test_a_label_file_with_two_ids_for_a_class(folder, tmp_path):
    (tmp_path / "map.json").write_text('{"1": "a", "2": "a"}')
    parts = image_folders.read_folders(str(folder))
    with pytest.raises(UserError, match="several ids for the class 'a'"):
        image_folders.class_map(parts, str(tmp_path / "map.json"))
