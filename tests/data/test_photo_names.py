"""Names of the files that are written for photos."""

import itertools
import random
import unicodedata

import pytest

from efficientvision.data.photo_names import photo_names
from efficientvision.data.photo_sources import find_photos
from efficientvision.data.picture_folders import LeftOut
from efficientvision.errors import UserError


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/p/a.jpg", "/p/b.png"], ["a", "b"]),
        (["/p/x/a.jpg", "/p/y z/a.jpg", "/p/é.jpg"], ["x/a", "y z/a", "é"]),
        (["/p/a.jpg", "/p/a.png", "/p/A.JPG"], ["a.jpg", "a.png", "A.JPG-2"]),
        (["/p/a", "/p/a.jpg", "/p/a.jpg.png"], ["a", "a.jpg-2", "a.jpg"]),
        (["/p/a.jpg", "/p/a.jpg"], ["a.jpg", "a.jpg-2"]),
        (["gs://b/x/a.jpg", "gs://b/y/a.jpg"], ["a.jpg", "a.jpg-2"]),
    ],
)
def test_names(paths, names):
    assert photo_names(paths) == names


def test_no_name_is_given_twice():
    draw = random.Random(0)
    pieces = ["a", "A", "b", "a.jpg", "a-2", "a.jpg-2", "é", "e\u0301"]
    endings = ["", ".jpg", ".png", ".JPG"]
    every = [f"/p/{f}{n}{e}" for f, n, e in itertools.product(["", "x/", "X/"], pieces, endings)]
    for _ in range(50):
        names = photo_names(draw.sample(every, 40), "/p")
        keys = {unicodedata.normalize("NFC", name).casefold() for name in names}
        assert len(keys) == len(names)


def test_a_folder_is_searched_with_all_folders_in_it(tmp_path):
    for name in (
        "b.jpg",
        "sub one/a.PNG",
        "sub one/notes.md",
        ".hidden/c.jpg",
        "out/pictures/d.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    left_out = LeftOut()
    found = find_photos(tmp_path, [tmp_path / "out"], left_out)
    assert [photo.shown for photo in found] == ["b.jpg", "sub one/a.PNG"]
    assert [photo.name for photo in found] == ["b", "sub one/a"]
    reasons = " ".join(left_out.counted())
    assert all(reason in reasons for reason in (".md files", "hidden", "earlier prediction"))


def test_a_list_of_photos(tmp_path):
    (tmp_path / "a b.jpg").touch()
    listed = tmp_path / "photos.txt"
    listed.write_text(f"# mine\na b.jpg\n\n{tmp_path}/a b.jpg\ngone.jpg\n")
    found = find_photos(listed, [], LeftOut())
    assert [photo.path for photo in found][:2] == [str(tmp_path / "a b.jpg")] * 2
    assert found[2].path == "gone.jpg"
    listed.write_text("/gone/1.jpg\n")
    with pytest.raises(UserError, match="none of the 1 photos"):
        find_photos(listed, [], LeftOut())


def test_a_folder_without_photos_says_what_it_has(tmp_path):
    (tmp_path / "notes.md").touch()
    with pytest.raises(UserError, match="no pictures.*1 .md files"):
        find_photos(tmp_path, [], LeftOut())
