"""Where images and masks stand, as tools and public sets leave them."""

import unicodedata

import numpy as np
import pytest

from efficientvision.data.masks.folders import find_pairs, read_list
from efficientvision.errors import UserError
from tests.made_mask_files import save

IMAGE = np.full((6, 8, 3), 90, np.uint8)
MASK = np.zeros((6, 8), np.uint8)
CAFE = "caf\N{LATIN SMALL LETTER E WITH ACUTE}"


@pytest.fixture
def put(tmp_path):
    """Writes pictures, masks where a name says so."""

    def write(*names):
        for name in names:
            is_mask = any(word in name for word in ("mask", "label", "annotation", "_L", "gt"))
            save(tmp_path / name, MASK if is_mask else IMAGE)

    return write


def pairs_of(found, root) -> dict[str, list[tuple[str, str, str]]]:
    """Part -> (name, image, mask), paths from `root`."""
    return {
        part: [
            (
                pair.source_id,
                *(str(path).removeprefix(f"{root}/") for path in (pair.image, pair.mask)),
            )
            for pair in pairs
        ]
        for part, pairs in found.parts.items()
    }


def test_ade20k(tmp_path, put):
    put("images/training/1.jpg", "annotations/training/1.png")
    put("images/validation/2.jpg", "annotations/validation/2.png")
    found = find_pairs(str(tmp_path / "images"), str(tmp_path / "annotations"))
    assert pairs_of(found, tmp_path) == {
        "train": [("1", "images/training/1.jpg", "annotations/training/1.png")],
        "val": [("2", "images/validation/2.jpg", "annotations/validation/2.png")],
    }
    assert not found.spoilt and not found.left_out.counted()


def test_roboflow(tmp_path, put, capsys):
    """Masks beside images, a list of the classes, parts that are called train, valid and test."""
    for part in ("train", "valid", "test"):
        put(f"{part}/a.jpg", f"{part}/a_mask.png")
        (tmp_path / part / "_classes.csv").write_text("Pixel Value, Class\n0, background\n")
    found = find_pairs(str(tmp_path), str(tmp_path))
    assert pairs_of(found, tmp_path) == {
        "train": [("a", "train/a.jpg", "train/a_mask.png")],
        "val": [("a", "valid/a.jpg", "valid/a_mask.png")],
        "test": [("a", "test/a.jpg", "test/a_mask.png")],
    }
    assert not found.spoilt
    assert list(found.left_out.counted().values()) == [3]
    assert "`mask_suffix=_mask`" in capsys.readouterr().out


def test_folders_of_images_and_masks_in_each_part(tmp_path, put):
    put("Train/images/town/1.jpg", "Train/masks/town/1.png", "val/images/2.jpg", "val/masks/2.png")
    put("val/overlays/2.jpg")
    found = find_pairs(str(tmp_path), str(tmp_path))
    assert pairs_of(found, tmp_path) == {
        "train": [("town/1", "Train/images/town/1.jpg", "Train/masks/town/1.png")],
        "val": [("2", "val/images/2.jpg", "val/masks/2.png")],
    }
    ((reason, count),) = found.left_out.counted().items()
    assert count == 1 and "pictures of overlays/, which is not a part" in reason


def test_masks_of_all_parts_in_one_folder(tmp_path, put):
    put("images/train/1.jpg", "images/val/2.jpg", "masks/1.png", "masks/2.png", "masks/3.png")
    found = find_pairs(str(tmp_path / "images"), str(tmp_path / "masks"))
    assert pairs_of(found, tmp_path) == {
        "train": [("1", "images/train/1.jpg", "masks/1.png")],
        "val": [("2", "images/val/2.jpg", "masks/2.png")],
    }
    (spoilt,) = found.spoilt
    assert "masks/3.png has no image" in str(spoilt)


@pytest.mark.parametrize(
    ("names", "suffix"),
    [
        (["1.png", "1_mask.png", "2.png", "2_mask.png"], "_mask"),
        (["1.png", "1_mask.png", "2.png", "2_mask.png"], ""),
        (["1.jpg", "1_L.png", "2.jpg", "2_L.png"], ""),
        (["1.jpg", "1-gt.png", "2.jpg", "2-gt.png"], "-gt"),
        (["1.jpg", "1_label.png", "2.jpg", "2_label.png"], ""),
    ],
)
def test_masks_beside_their_images(tmp_path, put, names, suffix):
    put(*(f"set/{name}" for name in names))
    found = find_pairs(str(tmp_path / "set"), str(tmp_path / "set"), suffix)
    expected = [(str(k), f"set/{names[2 * k - 2]}", f"set/{names[2 * k - 1]}") for k in (1, 2)]
    assert pairs_of(found, tmp_path) == {"train": expected}
    assert not found.spoilt


def test_a_png_beside_the_jpeg_of_its_name(tmp_path, put):
    put("set/1.jpg", "set/2.JPG", "set/3.jpg")
    for k in (1, 2):
        save(tmp_path / "set" / f"{k}.png", MASK)
    found = find_pairs(str(tmp_path / "set"), str(tmp_path / "set"))
    assert pairs_of(found, tmp_path) == {
        "train": [("1", "set/1.jpg", "set/1.png"), ("2", "set/2.JPG", "set/2.png")]
    }
    (spoilt,) = found.spoilt
    assert "set/3.jpg has no mask" in str(spoilt)


def test_one_folder_that_does_not_tell(tmp_path, put):
    put("set/1.jpg", "set/2.jpg")
    with pytest.raises(UserError, match="contains both images and masks, .* `mask_suffix=_mask`"):
        find_pairs(str(tmp_path / "set"), str(tmp_path / "set"))


def test_lonely_halves_of_one_folder(tmp_path, put):
    put("set/1.jpg", "set/1_mask.png", "set/2.jpg", "set/3_mask.png")
    found = find_pairs(str(tmp_path / "set"), str(tmp_path / "set"))
    assert sorted(map(str, found.spoilt)) == [
        f"{tmp_path}/set/2.jpg has no mask: there is no {tmp_path}/set/2_mask.png.",
        f"{tmp_path}/set/3_mask.png has no image: there is none of that name in {tmp_path}/set.",
    ]


def test_usual_endings_of_masks_in_a_folder_of_their_own(tmp_path, put):
    put("images/1.jpg", "images/2.jpg", "masks/1_mask.png", "masks/2_mask.png")
    found = find_pairs(str(tmp_path / "images"), str(tmp_path / "masks"))
    assert len(found.parts["train"]) == 2 and not found.spoilt


def test_a_test_part_without_masks_is_named(tmp_path, put):
    put("images/train/1.jpg", "masks/train/1.png", "images/test/2.jpg", "images/test/3.jpg")
    found = find_pairs(str(tmp_path / "images"), str(tmp_path / "masks"))
    assert list(found.parts) == ["train"] and not found.spoilt
    assert found.left_out.counted() == {
        "pictures of the part test, which has no masks, left out "
        f"(first: {tmp_path}/images/test/2.jpg)": 2
    }


def test_a_training_part_without_masks_is_an_error(tmp_path, put):
    put("images/train/1.jpg", "masks/val/1.png", "images/val/1.jpg")
    with pytest.raises(UserError, match="masks_dir: .*masks/train is not a folder"):
        find_pairs(str(tmp_path / "images"), str(tmp_path / "masks"))


def test_folders_and_parts_that_are_missing(tmp_path, put):
    put("masks/train/1.png", "images/test/1.jpg")
    for images, masks, says in (
        ("absent", "masks", "images_dir: .*absent is not a folder"),
        ("images", "absent", "masks_dir: .*absent is not a folder"),
        ("images", "masks", "No part of .*images has masks in .*masks"),
    ):
        with pytest.raises(UserError, match=says):
            find_pairs(str(tmp_path / images), str(tmp_path / masks))


def test_hidden_and_other_files_are_counted(tmp_path, put):
    put("images/1.jpg", "images/._1.jpg", "images/.cache/2.jpg", "masks/1.png")
    (tmp_path / "masks" / "1.json").write_text("{}")
    (tmp_path / "masks" / "README").write_text("no picture")
    found = find_pairs(str(tmp_path / "images"), str(tmp_path / "masks"))
    assert len(found.parts["train"]) == 1 and not found.spoilt
    assert sorted(found.left_out.counted().values()) == [1, 1, 2]


def test_photos_without_an_ending(tmp_path, put):
    put("images/1.jpg", "masks/1.png")
    (tmp_path / "images" / "1.jpg").rename(tmp_path / "images" / "1")
    found = find_pairs(str(tmp_path / "images"), str(tmp_path / "masks"))
    assert pairs_of(found, tmp_path) == {"train": [("1", "images/1", "masks/1.png")]}


def test_both_forms_of_a_name_are_one_pair(tmp_path, put):
    apart = unicodedata.normalize("NFD", CAFE)
    put(f"images/{apart}/{apart}.jpg", f"masks/{CAFE}/{CAFE}.png")
    found = find_pairs(str(tmp_path / "images"), str(tmp_path / "masks"))
    assert [pair.source_id for pair in found.parts["train"]] == [f"{CAFE}/{CAFE}"]
    assert not found.spoilt


@pytest.mark.parametrize("name", ["set [v2]", "a, b", "new * set"])
def test_folders_with_odd_names(tmp_path, put, name):
    put(f"{name}/images/1.jpg", f"{name}/masks/1.png")
    found = find_pairs(str(tmp_path / name / "images"), str(tmp_path / name / "masks"))
    assert len(found.parts["train"]) == 1 and not found.spoilt


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("i/a.jpg, m/a.png", "a"),
        ("i/a.jpg m/a.png", "a"),
        ("i/a.jpg\tm/a.png", "a"),
        ("i/a.jpg;m/a.png", "a"),
        ("/i/a.jpg /m/a.png", "a"),
        ("i\\a.jpg,m\\a.png", "a"),
        ('"i/a.jpg","m/a.png"', "a"),
        ("i/b c.jpg m/b c.png", "b c"),
        ("i/b c.jpg, m/b c.png", "b c"),
        ("i/d,e.jpg,m/d,e.png", "d,e"),
    ],
)
def test_lines_of_a_list(tmp_path, put, line, name):
    put("i/a.jpg", "m/a.png", "i/b c.jpg", "m/b c.png", "i/d,e.jpg", "m/d,e.png")
    for path in (tmp_path / "m").iterdir():
        save(path, MASK)
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbf" + line.encode() + b"\r\n")
    found = read_list(str(tmp_path / "list.txt"))
    expected = [(name, f"i/{name}.jpg", f"m/{name}.png")]
    assert pairs_of(found, tmp_path) == {"train": expected} and not found.spoilt


def test_the_heading_of_a_list_is_said(tmp_path, put, capsys):
    put("a.jpg", "mask.png")
    (tmp_path / "list.txt").write_text("image,mask\na.jpg,mask.png\n")
    assert len(read_list(str(tmp_path / "list.txt")).parts["train"]) == 1
    assert "line 1, image,mask: taken as the heading" in capsys.readouterr().out
    (tmp_path / "list.txt").write_text("b.jpg,mask.png\na.jpg,mask.png\n")
    assert "line 1: there is no" in str(read_list(str(tmp_path / "list.txt")).spoilt[0])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a.jpg\n", "line 1: expected an image and its mask, got 'a.jpg'"),
        (b"x y z.png w.png\n", "cannot be split into two files"),
        ("a.jpg,m.png\n".encode("utf-16"), "is UTF-16 text: save it as UTF-8"),
        ("\xe4.jpg,m.png\n".encode("latin-1"), r"is not UTF-8 text \(byte 0\)"),
    ],
)
def test_lists_that_cannot_be_read(tmp_path, content, says):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(UserError, match=says):
        read_list(str(tmp_path / "list.txt"))


@pytest.mark.parametrize("masks", ["{}_masks", "{}_labels", "{}annot", "{} GT", "{}_segmentation"])
def test_masks_of_a_part_in_a_folder_beside(tmp_path, put, masks):
    for part in ("train", "val"):
        put(f"{part}/a.jpg", f"{masks.format(part)}/a.png")
    put("test/b.jpg")
    found = find_pairs(str(tmp_path), str(tmp_path))
    assert pairs_of(found, tmp_path) == {
        part: [("a", f"{part}/a.jpg", f"{masks.format(part)}/a.png")] for part in ("train", "val")
    }
    ((reason, count),) = found.left_out.counted().items()
    assert count == 1 and "pictures of test/, which has no masks," in reason
    put("dev2/b.jpg", "dev2_masks/b.png")
    with pytest.raises(UserError, match="both (masks of )?the part 'val'"):
        put("val_masks/a.png", "validation_gt/a.png")
        find_pairs(str(tmp_path), str(tmp_path))


def test_a_part_without_masks_beside(tmp_path, put):
    put("train/a.jpg", "train_masks/a.png", "val/b.jpg")
    with pytest.raises(UserError, match="val has no folder of masks beside it, such as train_"):
        find_pairs(str(tmp_path), str(tmp_path))


def test_images_of_a_list_by_their_folders(tmp_path, put):
    put("p/7.jpg", "q/7.jpg", "p/8.jpg", "p/7.png", "q/7.png", "p/8.png")
    lines = ["p/7.jpg p/7.png", "q/7.jpg q/7.png", "p/8.jpg p/8.png", "p/8.jpg ./p/8.png"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    found = read_list(str(tmp_path / "list.txt"))
    assert [pair.source_id for pair in found.parts["train"]] == ["p/7", "q/7", "8"]
    assert list(found.left_out.counted().values()) == [1]
    (tmp_path / "list.txt").write_text("\n".join([*lines, "p/7.jpg q/7.png"]))
    with pytest.raises(UserError, match="lines 1 and 5 give p/7.jpg the masks .*p/7.png and "):
        read_list(str(tmp_path / "list.txt"))
