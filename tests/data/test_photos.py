import numpy as np
import pytest
from PIL import Image

from efficientvision import files
from efficientvision.data.photos import list_photos, open_photo
from efficientvision.errors import UserError


@pytest.fixture
def folder(tmp_path):
    for name in ("b.jpg", "a.png", "c.JPG"):
        Image.new("RGB", (40, 30), (10, 200, 30)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_a_pattern_a_folder_and_a_file(folder):
    assert [files.base_name(p) for p in list_photos(folder / "*.jpg")] == ["b.jpg"]
    assert [files.base_name(p) for p in list_photos(folder)] == ["a.png", "b.jpg", "c.JPG"]
    assert list_photos(folder / "b.jpg") == [str(folder / "b.jpg")]


def test_a_file_whose_name_looks_like_a_pattern(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "odd[1].png")
    assert list_photos(tmp_path / "odd[1].png") == [str(tmp_path / "odd[1].png")]


def test_nothing_found_is_told(folder):
    with pytest.raises(UserError, match=r"pattern.*\*\.gif"):
        list_photos(folder / "*.gif")
    with pytest.raises(UserError, match="d.jpg"):
        list_photos(folder / "d.jpg")
    (folder / "empty").mkdir()
    with pytest.raises(UserError, match="no pictures"):
        list_photos(folder / "empty")


def test_every_mode_becomes_rgb(tmp_path):
    for mode in ("L", "RGBA", "P", "CMYK", "1"):
        path = tmp_path / f"{mode}.{'jpg' if mode == 'CMYK' else 'png'}"
        Image.new("RGB", (8, 6), (0, 0, 0)).convert(mode).save(path)
        photo = open_photo(path)
        assert photo.shape == (6, 8, 3) and photo.dtype == np.uint8


def test_the_orientation_of_a_camera_is_applied(tmp_path):
    image = np.zeros((6, 8, 3), np.uint8)
    image[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # Upside down.
    Image.fromarray(image).save(tmp_path / "turned.png", exif=exif)
    photo = open_photo(tmp_path / "turned.png")
    assert photo[5, 7].tolist() == [255, 255, 255] and photo[0, 0].tolist() == [0, 0, 0]


def test_bad_pictures_are_named(folder, tmp_path):
    (folder / "text.jpg").write_text("this is no picture")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UserError, match="empty.jpg' is empty"):
        open_photo(tmp_path / "empty.jpg")
    with pytest.raises(UserError, match="text.jpg.*not a picture"):
        open_photo(folder / "text.jpg")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (90, 90, 3), dtype=np.uint8)).save(folder / "d.jpg")
    (folder / "cut.jpg").write_bytes((folder / "d.jpg").read_bytes()[:2000])
    with pytest.raises(UserError, match="cut.jpg.*cut short"):
        open_photo(folder / "cut.jpg")
    with pytest.raises(UserError, match="no file"):
        open_photo(folder / "missing.jpg")
    with pytest.raises(UserError, match="folder"):
        open_photo(folder)
