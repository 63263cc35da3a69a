"""Class folders as archives unpack: parts by their makers' names, and folders that are no class."""

import os
import re

import numpy as np
import pytest
from PIL import Image

from efficientvision.data.labelled_images import find_images
from efficientvision.data.part_names import part_of
from efficientvision.errors import UserError


@pytest.fixture
def put(tmp_path):
    """Writes photos by their paths below the data set's folder, and returns that."""

    def write(*paths):
        for name in paths:
            path = tmp_path / "set" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((4, 5, 3), 90, np.uint8)).save(path)
        return str(tmp_path / "set")

    return write


def held(found) -> dict[str, list[tuple[str, ...]]]:
    return {part: [(i.source_id, *i.classes) for i in ims] for part, ims in found.parts.items()}


BOTH = [("cat/0.png", "cat"), ("dog/0.png", "dog")]


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("seg_train/seg_train", "seg_val/seg_val"),
        ("training_set/training_set", "validation_set"),
        ("train2017", "val2017"),
        ("train_images", "val_images"),
        ("Training Data", "Validation Data"),
        ("TrainSet", "ValSet"),
        ("images_train", "images_dev"),
    ],
)
def test_parts_by_the_names_of_their_makers(put, train, val):
    folder = put(*(f"{part}/{name}/0.png" for part in (train, val) for name in ("cat", "dog")))
    found = find_images(folder)
    assert held(found) == {"train": BOTH, "val": BOTH}
    assert not found.left_out.counted()


@pytest.mark.parametrize(
    "name", ["train_labels", "train_masks", "bus train", "seg_pred", "data", "2017", "tester"]
)
def test_other_names_are_no_parts(name):
    assert part_of(name) is None


def test_a_plain_name_comes_first(put):
    found = find_images(put("train/cat/0.png", "train/dog/0.png", "train2017/cat/0.png"))
    assert held(found) == {"train": BOTH}
    ((reason, count),) = found.left_out.counted().items()
    assert count == 1 and reason.startswith("pictures of train2017/, which is not a part")


@pytest.mark.parametrize(
    ("paths", "says"),
    [
        (["train/cat.0.png", "test1/1.png"], "test1, train would be the classes.*`csv_file`"),
        (
            ["docs/fig.png", *(f"data/{p}/{c}/0.png" for p in ("train", "val") for c in "ab")],
            "its folder data contains the parts train, val: use .*set/data",
        ),
        (["cat/train/0.png", "cat/val/1.png", "dog/train/0.png"], "expected train/CLASS/IMAGE"),
        (
            ["Plants/apple/0.png", "Plants/corn/0.png"],
            "contains a single folder, Plants, which contains apple, corn.* use .*set/Plants",
        ),
        (["train/images/cat/0.png", "train/images/dog/0.png", "val/cat/0.png"], "use .*n/images"),
    ],
)
def test_folders_that_are_no_classes(put, paths, says):
    with pytest.raises(UserError, match=says):
        find_images(put(*paths))


def test_folders_of_folders_are_said(put, capsys):
    found = find_images(put("color/apple/0.png", "color/corn/0.png", "grey/apple/0.png"))
    assert {i.classes for i in found.parts["train"]} == {("color",), ("grey",)}
    said = capsys.readouterr().out
    assert re.search("the classes are color, grey; folders inside them, such as color/apple", said)


def test_a_part_of_one_class_in_folders(put):
    """The validation's one class is known, so its folder is no wrapper."""
    found = find_images(put("train/cat/0.png", "train/dog/0.png", "val/cat/day/1.png"))
    assert held(found)["val"] == [("cat/day/1.png", "cat")]


@pytest.mark.parametrize("target", ["..", "../dog", "../../set", "."])
def test_links_give_no_photo_a_second_class(put, target):
    folder = put("cat/0.png", "dog/0.png")
    os.symlink(target, os.path.join(folder, "cat", "up"))
    found = find_images(folder)
    assert held(found) == {"train": BOTH}
    ((reason, count),) = found.left_out.counted().items()
    assert count == 1 and reason.startswith("links to folders that are read anyway")


def test_links_to_other_folders_are_followed(put, tmp_path):
    folder = put("cat/0.png", "dog/0.png")
    (tmp_path / "more").mkdir()
    os.rename(os.path.join(folder, "dog", "0.png"), tmp_path / "more" / "1.png")
    os.symlink(tmp_path / "more", os.path.join(folder, "dog", "more"))
    os.symlink("cat", os.path.join(folder, "kitty"))
    found = find_images(folder)
    assert held(found) == {"train": [("cat/0.png", "cat"), ("dog/more/1.png", "dog")]}
    assert list(found.left_out.counted().values()) == [1]
