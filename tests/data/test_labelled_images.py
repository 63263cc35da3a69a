"""Class folders and lists as people keep them: every photo gets its class, or is counted."""

import pathlib
import unicodedata

import numpy as np
import pytest
from PIL import Image

from efficientvision.data import image_folders
from efficientvision.data.labelled_images import find_images
from efficientvision.data.labelled_lists import read_csv
from efficientvision.errors import UserError

PHOTO = np.full((6, 8, 3), 90, np.uint8)
CAFE = "caf\N{LATIN SMALL LETTER E WITH ACUTE}"


def save(*paths: pathlib.Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PHOTO).save(path, "PNG")


def held(found) -> dict[str, list[tuple[str, str]]]:
    """Part -> (name, class) of its images."""
    return {
        part: [(image.source_id, *image.classes) for image in images]
        for part, images in found.parts.items()
    }


BOTH = [("cat/0.png", "cat"), ("dog/0.png", "dog")]


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (("Train", "Val"), ["train", "val"]),
        (("training", "validation"), ["train", "val"]),
        (("TRAINING", "Valid"), ["train", "val"]),
        (("train", "dev"), ["train", "val"]),
        (("train", "valid", "test"), ["train", "val", "test"]),
        (("train", "Testing"), ["train", "test"]),
        (("validation",), ["val"]),
    ],
)
def test_parts_by_their_usual_names(tmp_path, folders, parts):
    for folder in folders:
        save(*(tmp_path / folder / name / "0.png" for name in ("cat", "dog")))
    found = find_images(str(tmp_path))
    assert list(found.parts) == parts
    assert held(found) == dict.fromkeys(parts, BOTH)
    assert not found.left_out.counted()


def test_classes_that_are_called_as_parts(tmp_path):
    save(*(tmp_path / name / "0.png" for name in ("valid", "test", "train", "broken")))
    found = find_images(str(tmp_path))
    assert [i.classes[0] for i in found.parts["train"]] == ["broken", "test", "train", "valid"]


def test_two_folders_of_one_part(tmp_path):
    save(tmp_path / "val" / "a" / "0.png", tmp_path / "Validation" / "a" / "0.png")
    with pytest.raises(UserError, match="Validation and .*val are both the part 'val'"):
        find_images(str(tmp_path))


def test_a_folder_around_the_parts(tmp_path):
    save(tmp_path / "animals" / "train" / "cat" / "0.png")
    with pytest.raises(
        UserError, match=r"contains a single folder, which contains the parts: use .*animals"
    ):
        find_images(str(tmp_path))


def test_what_is_left_out_is_counted(tmp_path):
    """A test part without classes, a folder that is no part, and photos that have no folder."""
    save(*(tmp_path / "train" / name / "0.png" for name in ("cat", "dog")))
    save(*(tmp_path / "test" / f"{k}.png" for k in range(3)))
    save(*(tmp_path / "raw" / "a" / f"{k}.png" for k in range(2)))
    save(tmp_path / "train" / "loose.png", tmp_path / "cover.png")
    (tmp_path / "train" / "empty").mkdir()
    found = find_images(str(tmp_path))
    assert held(found) == {"train": BOTH}
    assert found.left_out.counted() == {
        f"pictures of test/, which has no class folders, left out (first: {tmp_path}/test/"
        "0.png)": 3,
        f"pictures of raw/, which is not a part, left out (first: {tmp_path}/raw/a/0.png)": 2,
        f"pictures outside class folders left out (first: {tmp_path}/train/loose.png)": 1,
        f"pictures beside the parts left out (first: {tmp_path}/cover.png)": 1,
        f"class folders without pictures left out (first: {tmp_path}/train/empty)": 1,
    }


def test_a_test_part_of_strange_folders_adds_no_class(tmp_path):
    save(tmp_path / "train" / "cat" / "0.png", tmp_path / "test" / "all" / "1.png")
    found = find_images(str(tmp_path))
    assert held(found) == {"train": [("cat/0.png", "cat")]}
    ((reason, count),) = found.left_out.counted().items()
    assert count == 1 and "the part test, as 'all' is not a class of the other parts" in reason


def test_hidden_files_are_no_photos_and_no_classes(tmp_path):
    save(tmp_path / "cat" / "0.png", tmp_path / "cat" / ".ipynb_checkpoints" / "0.png")
    save(tmp_path / ".ipynb_checkpoints" / "0.png", tmp_path / "__MACOSX" / "cat" / "._0.png")
    save(tmp_path / "cat" / "._0.png")
    found = find_images(str(tmp_path))
    assert held(found) == {"train": [("cat/0.png", "cat")]}
    assert sum(found.left_out.counted().values()) == 4
    assert all(reason.startswith("hidden") for reason in found.left_out.counted())


def test_photos_of_any_ending_or_none(tmp_path):
    names = ["0.JPG", "1.jfif", "2.JPEG", "3.webp", "4.bmp", "5.tiff", "6", "7.gif"]
    save(*(tmp_path / "cat" / name for name in names))
    (tmp_path / "cat" / "notes").write_text("no picture")
    (tmp_path / "cat" / "8.heic").write_bytes(b"")
    found = find_images(str(tmp_path))
    assert [i.source_id for i in found.parts["train"]] == [f"cat/{name}" for name in names]
    assert found.left_out.counted() == {
        f".heic files left out (first: {tmp_path}/cat/8.heic)": 1,
        "files without an extension that are not pictures left out "
        f"(first: {tmp_path}/cat/notes)": 1,
    }


def test_both_forms_of_a_name_are_one_class(tmp_path):
    apart = unicodedata.normalize("NFD", CAFE)
    assert apart != CAFE
    save(tmp_path / "train" / apart / "0.png", tmp_path / "val" / CAFE / "0.png")
    found = find_images(str(tmp_path))
    assert held(found) == {part: [(f"{CAFE}/0.png", CAFE)] for part in ("train", "val")}
    labels = tmp_path / "labels.yaml"
    labels.write_text(f"3: {apart}\n", encoding="utf-8")
    assert image_folders.class_map(found.parts, str(labels)) == {3: CAFE}


@pytest.mark.parametrize("name", ["set [v2]", "a, b", "new * set"])
def test_folders_with_odd_names(tmp_path, name):
    save(tmp_path / name / "train [1]" / "0.png", tmp_path / name / "b, c" / "0.png")
    found = find_images(str(tmp_path / name))
    expected = [("b, c/0.png", "b, c"), ("train [1]/0.png", "train [1]")]
    assert held(found) == {"train": expected}


@pytest.fixture
def listed(tmp_path):
    """Photos `0.png` .. `2.png` and `a/3.png`; call it with a list's bytes."""
    save(*(tmp_path / name for name in ("0.png", "1.png", "2.png", "a/3.png")))

    def read(content: bytes):
        (tmp_path / "list.csv").write_bytes(content)
        return [(i.source_id, i.classes) for i in read_csv(str(tmp_path / "list.csv"))]

    return read


ROWS = [("0.png", ("cat",)), ("1.png", ("dog",))]


@pytest.mark.parametrize(
    "content",
    [
        b"0.png,cat\n1.png,dog\n",
        b"path,label\n0.png,cat\n1.png,dog\n",
        b"File name,Class v1.5\r\n0.png,cat\r\n1.png,dog\r\n",
        b"\xef\xbb\xbf0.png,cat\n1.png,dog\n",
        b"\xef\xbb\xbfpath,label\n0.png,cat\n1.png,dog\n",
        b'\n"0.png","cat"\n\n 1.png , dog \n',
    ],
)
def test_lists_with_and_without_a_heading(listed, content):
    assert listed(content) == ROWS


def test_what_is_taken_for_a_heading_is_said(listed, capsys):
    listed(b"path,label\n0.png,cat\n")
    assert "taking the first line, path,label, as the heading" in capsys.readouterr().out
    listed(b"0.png,cat\n")
    assert not capsys.readouterr().out


@pytest.mark.parametrize("name", [b"00.png", b"x.jgp", b"a/4", b"a\\4", b"x.JPG", b"0.heic"])
def test_a_first_line_that_looks_like_a_photo_is_no_heading(listed, name):
    with pytest.raises(UserError, match="list.csv, line 1: there is no image"):
        listed(name + b",cat\n1.png,dog\n")


def test_a_heading_stands_on_the_first_line(listed):
    with pytest.raises(UserError, match="line 2: there is no image .*path"):
        listed(b"0.png,cat\npath,label\n")


def test_paths_of_windows(listed):
    assert listed(b"a\\3.png,cat\r\n") == [("a/3.png", ("cat",))]


def test_names_in_a_list_are_composed(tmp_path):
    apart = unicodedata.normalize("NFD", CAFE)
    save(tmp_path / f"{apart}.png", tmp_path / f"{CAFE}2.png")
    text = f"{CAFE}.png,{apart}\n{apart}2.png,{CAFE}\n"
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    images = read_csv(str(tmp_path / "list.csv"))
    assert [(i.source_id, i.classes) for i in images] == [
        (f"{CAFE}.png", (CAFE,)), (f"{CAFE}2.png", (CAFE,)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("0.png,cat\n".encode("utf-16"), "list.csv is UTF-16 text: save it as UTF-8"),
        ("0.png,K\xe4se\n".encode("latin-1"), r"list.csv is not UTF-8 text \(byte 7\)"),
        (b"0.png;cat\n", "line 1: expected path,label, got 1 fields; .* comma"),
        (b"0.png,cat,1\n", "line 1: expected path,label, got 3 fields"),
        (b'0.png,"cat\n' + b"x" * 200_000, "list.csv is not a list of path,label: field larger"),
        (b"", "lists no image"),
    ],
)
def test_lists_that_cannot_be_read(listed, content, says):
    with pytest.raises(UserError, match=says):
        listed(content)
