"""YOLO data sets whose photos are listed in text files."""

import pytest

from efficientvision.data.sources import yolo
from efficientvision.errors import UserError
from tests.data.sources.made_photos import labelled, photo_names, text, write_yolo


def test_darknet(tmp_path):
    """CVAT's export: names of another working folder."""
    for name in ("a", "b"):
        labelled(tmp_path, name, images="obj_train_data", label_folder="obj_train_data")
    text(tmp_path / "obj.names", "ant\nbee\n")
    text(
        tmp_path / "obj.data",
        "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n",
    )
    text(tmp_path / "train.txt", "data/obj_train_data/a.png\ndata/obj_train_data/b.png\n")
    layout, reports = write_yolo(tmp_path, tmp_path / "out")
    assert layout.evidence == "obj.data (train)" and not layout.is_split
    assert str(tmp_path / "obj.names") in layout.inputs
    assert [report.num_images for report in reports] == [1, 1]
    assert reports[0].labels == {1: "ant", 2: "bee"}
    assert "2 photos found by the last part of their listed path" in str(reports[0])
    text(tmp_path / "obj.data", "classes = 2\ntrain = train.txt\nnames = absent.names\n")
    with pytest.raises(UserError, match="are in absent.names, which does not exist"):
        yolo.find(str(tmp_path))


def test_lists_of_photos(tmp_path):
    for name in ("a", "b b", "c"):
        labelled(tmp_path, name)
    text(tmp_path / "data.yaml", "train: train.txt\nval: lists/val.txt\nnames: [ant]\n")
    text(tmp_path / "train.txt", "./images/a.png\r\n\r\nimages/a.png\r\n/mnt/me/images/b b.png\r\n")
    text(tmp_path / "lists/val.txt", "images\\C.PNG\n")
    _, (train, val) = write_yolo(tmp_path, tmp_path / "out")
    assert photo_names(tmp_path / "out", "train") == ["images/a.png", "images/b b.png"]
    assert photo_names(tmp_path / "out", "val") == ["images/c.png"]
    assert "1 photos that are listed twice" in str(train) and "1 photos found by" in str(train)
    assert "1 photos whose listed name differs in upper and lower case" in str(train)
    text(tmp_path / "train.txt", "images/a.png\nimages/absent.png\n")
    _, (train, _) = write_yolo(tmp_path, tmp_path / "out")
    assert train.num_images == 1 and "1 missing photos skipped" in str(train)
    assert "train.txt: images/absent.png" in str(train)
    text(tmp_path / "train.txt", "images/a.png\nimages/absent.png\nimages/b.png\n")
    with pytest.raises(UserError, match=r"train.txt names 2 photos that do not exist \(of 3\)"):
        write_yolo(tmp_path, tmp_path / "out")
    train, _ = yolo.convert(str(tmp_path), str(tmp_path / "out"), skip_bad=True, num_workers=1)
    assert train.num_images == 1 and "2 missing photos skipped" in str(train)
    text(tmp_path / "train.txt", "absent.png\n")
    with pytest.raises(UserError, match="None of the 1 photos"):
        yolo.convert(str(tmp_path), str(tmp_path / "out"), skip_bad=True)
    text(tmp_path / "train.txt", "\n")
    with pytest.raises(UserError, match="list of photos .* is empty"):
        yolo.find(str(tmp_path))


def test_a_yaml_that_names_only_the_classes(tmp_path):
    for name in ("a", "b"):
        labelled(tmp_path, name)
    text(tmp_path / "data.yaml", "names: [ant, bee]\n")
    found = yolo.find(str(tmp_path))
    assert str(tmp_path / "data.yaml") in found.inputs and not found.is_split
    _, (train, *_) = write_yolo(tmp_path, tmp_path / "out")
    assert "0 -> 1  ant" in str(train) and "data.yaml" in str(train)


def test_a_listed_name_that_two_photos_have(tmp_path):
    for folder in ("x", "y"):
        labelled(tmp_path, f"{folder}/a")
    text(tmp_path / "data.yaml", "train: train.txt\nval: images/y\nnames: [ant]\n")
    text(tmp_path / "train.txt", "/mnt/me/a.png\n")
    with pytest.raises(UserError, match=r"could be .*images/x/a.png or .*images/y/a.png"):
        yolo.find(str(tmp_path))
    text(tmp_path / "train.txt", "/mnt/me/x/a.png\n/mnt/other/x/a.png\n")
    with pytest.raises(UserError, match="the only photo for both is"):
        yolo.find(str(tmp_path))
    text(tmp_path / "train.txt", "/mnt/me/x/a.png\n")
    assert yolo.find(str(tmp_path)).is_split
