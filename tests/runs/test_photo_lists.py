"""Lists and folders of photos that a segmenter predicts for a test server."""

import numpy as np
import pytest

from efficientvision.configs.run_options import RunOptions
from efficientvision.errors import UserError
from efficientvision.tasks.segmentation.results import listed_photos, of_photos
from tests.made_mask_files import save


@pytest.fixture
def voc(tmp_path):
    """VOC2012 with the photos `2008_1`, `cat (1)` and `a 1`, and a list to fill."""
    root = tmp_path / "VOC2012"
    for name in ("2008_1", "cat (1)", "a 1"):
        save(root / "JPEGImages" / f"{name}.jpg", np.zeros((4, 4, 3), np.uint8))
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    return root / "ImageSets" / "Segmentation" / "test.txt"


def names(path) -> list[str]:
    return [photo.rpartition("JPEGImages/")[2] for photo in listed_photos(str(path))]


def test_names_with_blanks(voc):
    voc.write_bytes(b"\xef\xbb\xbf2008_1\r\ncat (1)\r\n\r\na 1\r\n2008_1 -1\r\n")
    assert names(voc) == ["2008_1.jpg", "cat (1).jpg", "a 1.jpg", "2008_1.jpg"]


def test_lists_of_paths(voc):
    voc.write_text(
        "/JPEGImages/cat (1).jpg\n/JPEGImages/2008_1.jpg /SegmentationClass/2008_1.png\n"
    )
    assert names(voc) == ["cat (1).jpg", "2008_1.jpg"]


def test_lists_that_cannot_be_read(voc):
    voc.write_bytes("2008_1\n".encode("utf-16"))
    with pytest.raises(UserError, match="is UTF-16 text"):
        names(voc)
    voc.write_text("\n")
    with pytest.raises(UserError, match="lists no photos"):
        names(voc)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("photos", True), ("photos/*.JPG", True), ("LIST.TXT", True), ("val*", False), ("", False)],
)
def test_what_names_photos(tmp_path, monkeypatch, pattern, expected):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    options = RunOptions(testdev_dir="out", val_file_pattern=pattern)
    assert of_photos(options) == expected
