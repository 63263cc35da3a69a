"""YOLO data sets -> records: layouts, descriptions, names, splits."""

import json
import os
import unicodedata

import numpy as np
import pytest

from efficientvision.data.sources import yolo
from efficientvision.data.sources.labelled_photos import BACKGROUNDS
from efficientvision.data.sources.layout import BOXES
from efficientvision.errors import UserError
from tests.data.sources.made_photos import (
    ONE,
    labelled,
    photo,
    photo_names,
    records,
    text,
    write_yolo,
)

OTHER = "1 0.25 0.5 0.5 1\n"


def described(folder, content, parts=("train", "val")):
    for part in parts:
        labelled(folder, f"{part}/a")
    return text(folder / "data.yaml", content)


def test_data_yaml(tmp_path):
    described(tmp_path, "train: images/train\nval: images/val\nnc: 2\nnames: [ant, bee]\n")
    labelled(tmp_path, "train/b", OTHER + ONE)
    layout, (train, val) = write_yolo(tmp_path, tmp_path / "out")
    assert (layout.format, layout.labels, layout.is_split) == ("yolo", BOXES, True)
    assert layout.evidence == "data.yaml (train, val)"
    assert sorted(os.path.relpath(p, tmp_path) for p in layout.inputs) == [
        *("data.yaml", "images/train/a.png", "images/train/b.png", "images/val/a.png"),
        *("labels/train/a.txt", "labels/train/b.txt", "labels/val/a.txt"),
    ]
    assert train.labels == {1: "ant", 2: "bee"}
    assert {"  0 -> 1  ant", "  1 -> 2  bee"} <= set(train.details)
    assert (train.num_images, train.num_boxes, val.num_images) == (2, 3, 1)
    assert not train.skipped and not val.skipped and not val.details
    one, two = records(tmp_path / "out", "train")
    assert (one.source_id, one.filename, two.filename) == (
        *("1", "images/train/a.png", "images/train/b.png"),
    )
    assert two.classes == [2, 1] and two.class_names == ["bee", "ant"]
    np.testing.assert_allclose(two.boxes_yxyx, [[0, 0, 20, 20], [5, 10, 15, 30]], atol=1e-5)
    np.testing.assert_allclose(two.areas, [0.5, 0.25])
    assert two.is_crowd is None and two.difficult is None
    truth = json.loads((tmp_path / "out" / "json_train.json").read_text())
    assert [a["bbox"] for a in truth["annotations"]][1] == [0, 0, 20, 20]
    assert [i["id"] for i in truth["images"]] == [1, 2]
    assert json.loads((tmp_path / "out" / "labels.json").read_text()) == {"1": "ant", "2": "bee"}


@pytest.mark.parametrize(
    "content",
    [
        "path: /kaggle/input/cells\ntrain: images/train\nval: images/val\n",
        "path: ../datasets/cells\ntrain: images/train/\nval: ./images/val\n",
        "path: .\ntrain: /content/cells/images/train\nval: /content/cells/images/val\n",
        "train: ../images/train\nval: ../images/val\n",
        "path:\ntrain: [images/train]\nvalidation: [images/val]\ntest:\n",
        'train: C:\\cells\\images\\train\nval: "C:\\\\cells\\\\images\\\\val"\n',
    ],
)
def test_places_of_another_machine(tmp_path, content):
    described(tmp_path / "cells", f"{content}names: {{0: ant}}\n")
    _, reports = write_yolo(tmp_path / "cells", tmp_path / "out")
    assert [report.num_images for report in reports] == [1, 1]
    moved = "/" in content.split("train:")[1][:3] or "path: /" in content or "\\" in content
    assert ("taken" in str(reports[0])) == (moved or "../" in content)


def test_places_that_exist_nowhere(tmp_path):
    described(tmp_path, "train: images/train\nval: /elsewhere/validation\nnames: [ant]\n")
    with pytest.raises(UserError, match="photos for val are in /elsewhere/validation"):
        yolo.find(str(tmp_path))
    text(tmp_path / "data.yaml", "train: /a/images\nval: /b/images\nnames: [ant]\n")
    with pytest.raises(UserError, match=r"train \(/a/images\) and val \(/b/images\) both lead to"):
        yolo.find(str(tmp_path))
    text(tmp_path / "data.yaml", "train: images/train\nval: 3\nnames: [ant]\n")
    with pytest.raises(UserError, match="val must be the path of a folder"):
        yolo.find(str(tmp_path))
    text(tmp_path / "data.yaml", "train: images/train\nval: []\ntest: absent\nnames: [ant]\n")
    layout = yolo.find(str(tmp_path))
    assert not layout.is_split


def test_roboflow(tmp_path):
    """Parts around `images/` and `labels/`; the test photos were not downloaded."""
    for part in ("train", "valid"):
        labelled(tmp_path / part, "a")
    text(
        tmp_path / "data.yaml",
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 1\n"
        "names: ['ant']\n\nroboflow:\n  workspace: w\n",
    )
    text(tmp_path / "README.roboflow.txt", "made by")
    _, reports = write_yolo(tmp_path, tmp_path / "out")
    assert [report.num_images for report in reports] == [1, 1]
    assert "test is ../test/images, which does not exist; left out" in str(reports[0])


def test_a_yaml_by_its_path_and_under_another_name(tmp_path):
    path = described(tmp_path / "a", "train: images/train\nval: images/val\nnames: [ant]\n")
    other = tmp_path / "a" / "mine.yml"
    os.rename(path, other)
    text(tmp_path / "a" / "hyp.yaml", "lr0: 0.1\ntrain: yes\n")
    assert yolo.find(str(tmp_path / "a")).evidence == "mine.yml (train, val)"
    text(tmp_path / "a" / "second.yaml", other.read_text())
    with pytest.raises(UserError, match="could each describe the data"):
        yolo.find(str(tmp_path / "a"))
    assert yolo.find(str(other)).is_split
    with pytest.raises(UserError, match="does not describe a YOLO data set"):
        yolo.find(str(tmp_path / "a" / "hyp.yaml"))


@pytest.mark.parametrize(
    ("names_line", "says"),
    [
        ("names: ant", "names must be a list"),
        ("names: [yes, no]", "put quotes around it"),
        ("names: {a: ant}", "must be class ids 0, 1, 2"),
        ("names: {0: {a: 1}}", "must be text"),
        ("names: [ant]\nnc: two", "nc must be the number of classes"),
        ("names: [ant]\nkpt_shape: 17", "kpt_shape must be two numbers"),
        ("names: [ant, ant]", "both named 'ant'"),
        ("names: [ant]\nnames: [bee]", "duplicate key"),
        ("names: [ant", "not valid YAML"),
        ("names: [ant]\npath: [a]", "path must be the path of a folder"),
    ],
)
def test_descriptions_that_make_no_sense(tmp_path, names_line, says):
    described(tmp_path, f"train: images/train\nval: images/val\n{names_line}\n")
    labelled(tmp_path, "train/b", OTHER)
    with pytest.raises(UserError, match=says):
        write_yolo(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("names_line", "labels", "expected"),
    [
        ("names: {0: ant, 3: cow}", "0 2 3", {1: "ant", 3: "class 2", 4: "cow"}),
        ("names: {'0': ant}\nnc: 3", "0 2", {1: "ant", 3: "class 2"}),
        ("names: [ant, bee, ant]", "0 1", {1: "ant", 2: "bee"}),
        ("names: [ant, 5]", "0", {1: "ant", 2: "5"}),
        ("names: ['', ' b\u0065\u0301e ']", "0", {1: "class 0", 2: "b\u00e9e"}),
        ("nc: 3", "1", {2: "class 1"}),
    ],
)
def test_names(tmp_path, names_line, labels, expected):
    described(tmp_path, f"train: images/train\nval: images/val\n{names_line}\n")
    lines = "".join(f"{k} 0.5 0.5 0.{n + 1} 0.2\n" for n, k in enumerate(labels.split()))
    labelled(tmp_path, "train/a", lines)
    text(tmp_path / "labels/val/a.txt", "")
    _, (train, _) = write_yolo(tmp_path, tmp_path / "out")
    assert train.labels == expected
    unnamed = [name for name in expected.values() if name.startswith("class ")]
    assert train.skipped[yolo.UNNAMED] == len(unnamed)


def test_a_class_id_beyond_the_names(tmp_path):
    described(tmp_path, "train: images/train\nval: images/val\nnames: [ant]\n")
    labelled(tmp_path, "train/b", OTHER)
    with pytest.raises(
        UserError, match=r"b\.txt has the class id 1, but .* only the classes 0\.\.0"
    ):
        write_yolo(tmp_path, tmp_path / "out")
    train, _ = yolo.convert(str(tmp_path), str(tmp_path / "out"), skip_bad=True, num_workers=1)
    assert train.num_images == 1 and "images left out" in str(train)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("images/train", "images/val"), {"train": 2, "val": 2}),
        (("images/Training", "images/valid", "images/test"), {"train": 2, "val": 2, "test": 2}),
        (("train/images", "valid/images"), {"train": 2, "val": 2}),
        (("Images",), {"train": 1, "val": 1}),
        (("train", "val"), {"train": 2, "val": 2}),
        (("",), {"train": 1, "val": 1}),
        (("JPEGImages/train",), {"train": 1, "val": 1}),
    ],
)
def test_folders_without_a_description(tmp_path, parts, expected):
    for part in parts:
        labels = part.replace("images", "labels").replace("Images", "labels")
        labels = labels.replace("JPEGlabels", "labels")
        for name in ("a", "b"):
            labelled(tmp_path, name, images=part, label_folder=labels)
    text(tmp_path / "classes.txt", "\ufeffant\r\nbee\r\n\r\n")
    layout, reports = write_yolo(tmp_path, tmp_path / "out")
    counts = dict(zip(expected, [report.num_images for report in reports], strict=True))
    assert counts == expected and reports[0].labels == {1: "ant", 2: "bee"}
    assert layout.is_split == (len(parts) > 1)
    assert ("held out 1 of 2 photos" in str(reports[0])) == (not layout.is_split)
    assert str(tmp_path / "classes.txt") in layout.inputs


def test_other_places_of_labels(tmp_path):
    """LabelImg's `labels/` beside photos, with its classes there; one flat folder for two parts."""
    for k in range(2):
        labelled(tmp_path / "one", f"{k}", images="", label_folder="labels")
    text(tmp_path / "one/labels/classes.txt", "ant\n")
    _, reports = write_yolo(tmp_path / "one", tmp_path / "out1")
    assert [report.num_images for report in reports] == [1, 1]
    assert reports[0].labels == {1: "ant"} and not reports[0].skipped
    for part in ("train", "val"):
        labelled(tmp_path / "two", f"a{part}", images=f"images/{part}", label_folder="labels")
        labelled(tmp_path / "three", "a", images=part, label_folder=f"labels/{part}")
    for name in ("two", "three"):
        _, reports = write_yolo(tmp_path / name, tmp_path / f"out {name}")
        assert [report.num_images for report in reports] == [1, 1]
        assert reports[0].labels == {1: "class 0"}


def test_photos_and_labels_without_each_other(tmp_path):
    for k in range(3):
        labelled(tmp_path, f"train/{k}")
        labelled(tmp_path, f"val/{k}")
    photo(tmp_path / "images/train/new.png")
    text(tmp_path / "labels/train/empty.txt", "\n")
    photo(tmp_path / "images/train/empty.png")
    text(tmp_path / "labels/train/lost.txt", ONE)
    text(tmp_path / "labels/train/classes.txt", "ant\n")
    photo(tmp_path / "images/train/.ipynb_checkpoints/0-checkpoint.png")
    photo(tmp_path / "images/beside.png")
    text(tmp_path / "images/train/Thumbs.db", "")
    text(tmp_path / "labels/train.cache", "")
    layout, (train, _) = write_yolo(tmp_path, tmp_path / "out")
    assert str(tmp_path / "labels/train/lost.txt") in layout.inputs
    assert train.num_images == 4 and records(tmp_path / "out", "train")[3].classes == []
    assert f"no photo for {tmp_path}/labels/train/lost.txt" in train.details
    for line in (
        "1 label files that belong to no photo",
        "1 photos without labels left out (`background` keeps them",
        "1 photos with an empty label file",
        "1 hidden files and folders left out",
        "1 pictures beside the parts left out",
        "1 .db files left out",
    ):
        assert line in str(train)
    assert len(train.skipped) == 6
    _, (train, _) = write_yolo(tmp_path, tmp_path / "out", background=True)
    assert train.num_images == 5 and train.skipped[BACKGROUNDS] == 1


def test_a_part_without_labels(tmp_path):
    labelled(tmp_path, "train/a")
    labelled(tmp_path, "val/a")
    photo(tmp_path / "images/test/a.png")
    _, reports = write_yolo(tmp_path, tmp_path / "out")
    assert len(reports) == 2 and "the part test has no labels: 1 photos left out" in str(reports[0])
    os.remove(tmp_path / "labels/val/a.txt")
    with pytest.raises(UserError, match="None of the 1 photos for val has a label file"):
        write_yolo(tmp_path, tmp_path / "out")


def test_nothing_but_test_photos_without_labels(tmp_path):
    photo(tmp_path / "images/test/a.png")
    text(tmp_path / "data.yaml", "test: images/test\nnames: [ant]\n")
    with pytest.raises(UserError, match="None of the photos"):
        write_yolo(tmp_path, tmp_path / "out")


def test_parts_with_the_same_photos(tmp_path):
    labelled(tmp_path, "all/a")
    text(tmp_path / "data.yaml", "train: images/all\nval: images/all\nnames: [ant]\n")
    _, (train, _) = write_yolo(tmp_path, tmp_path / "out")
    assert "WARNING: 1 of 1 photos for val are also photos for train" in str(train)


def test_names_of_photos(tmp_path):
    """Accents stored apart, upper-case endings, dots, equal names in several folders."""
    apart = unicodedata.normalize("NFD", "zé 1.v2")
    photo(tmp_path / "images" / f"{unicodedata.normalize('NFC', apart)}.JPG")
    text(tmp_path / "labels" / f"{apart}.TXT", ONE)
    for folder in ("x", "y"):
        labelled(tmp_path, f"{folder}/a")
    photo(tmp_path / "images/x/b.bmp")
    text(tmp_path / "labels/x/b.bmp.txt", ONE)
    photo(tmp_path / "images/y/a.jpg")
    _, reports = write_yolo(tmp_path, tmp_path / "out", val_fraction=0)
    assert photo_names(tmp_path / "out", "train") == [
        *("images/zé 1.v2.JPG", "images/x/a.png", "images/x/b.bmp"),
        *("images/y/a.jpg", "images/y/a.png"),
    ]
    assert reports[0].skipped[yolo.SHARED] == 2 and reports[0].num_boxes == 5
    assert "there are no photos for validation" in str(reports[0])


def test_paths_relative_to_the_working_folder(tmp_path, monkeypatch):
    for part in ("train", "val"):
        labelled(tmp_path, f"{part}/a")
    monkeypatch.chdir(tmp_path)
    for folder in (".", "./"):
        layout, (train, _) = write_yolo(folder, "out")
        assert train.skipped == {yolo.UNNAMED: 1} and photo_names("out", "train") == [
            "images/train/a.png"
        ]
    monkeypatch.chdir(tmp_path / "images")
    assert len(yolo.find("..").inputs) == 4


def test_folders_of_other_kinds(tmp_path):
    assert yolo.find(str(tmp_path)) is None
    photo(tmp_path / "masks/images/a.png")
    photo(tmp_path / "masks/labels/a.png")
    photo(tmp_path / "classes/cat/a.png")
    photo(tmp_path / "captions/a.png")
    text(tmp_path / "captions/a.txt", "a cat on a mat")
    photo(tmp_path / "kitti/images/a.png")
    text(tmp_path / "kitti/labels/a.txt", "Car 0.00 0 -1.58 587 173 614 200 1.6 1.6 3.7\n")
    text(tmp_path / "recipe/config.yaml", "lr: 1\nnames: [a]\n")
    text(tmp_path / "recipe/notes.data", "a = b\n")
    (tmp_path / "recipe/numbers.data").write_bytes(b"\xff\x00")
    for name in ("masks", "classes", "captions", "kitti", "recipe"):
        assert yolo.find(str(tmp_path / name)) is None
    assert yolo.find("gs://bucket/folder") is None
    assert yolo.find(str(tmp_path / "captions/a.txt")) is None
    with pytest.raises(UserError, match="no labels in YOLO's format"):
        yolo.convert(str(tmp_path / "masks"), str(tmp_path / "out"))


def test_nothing_to_learn(tmp_path):
    labelled(tmp_path, "a", "")
    with pytest.raises(UserError, match="no label file has a box"):
        write_yolo(tmp_path, tmp_path / "out")


def test_a_folder_around_the_data(tmp_path):
    described(tmp_path / "cells", "train: images/train\nval: images/val\nnames: [ant]\n")
    (tmp_path / "__MACOSX").mkdir()
    layout, _ = write_yolo(tmp_path, tmp_path / "out")
    assert layout.is_split and photo_names(tmp_path / "out", "val") == ["images/val/a.png"]
