"""Folders and lists of images become records."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientvision.data import image_folders
from efficientvision.data.class_records import parse_class_example
from efficientvision.data.record_files import iter_records
from efficientvision.errors import UserError
from tests.made_class_records import picture

CLASSES = ("Zebra", "ant", "bee")


@pytest.fixture
def photos(tmp_path):
    """photos/<class>/<k>.png, six of each class."""
    for number, name in enumerate(CLASSES):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for k in range(6):
            Image.fromarray(picture(10 * number + k, number + 1)).save(folder / f"{k}.png")
    (tmp_path / "photos" / "README.txt").write_text("no class")
    return tmp_path / "photos"


def read(report):
    found = []
    for path in report.files:
        for record in iter_records(path):
            parsed = parse_class_example(tf.constant(record))
            found.append({k: v.numpy() for k, v in parsed.items()})
    return found


def test_folders_become_records_with_sorted_classes(photos, tmp_path):
    """Capital letters come first, as in torchvision's ImageFolder."""
    parts = image_folders.read_folders(str(photos))
    (report,) = image_folders.convert(parts, str(tmp_path / "out"), num_shards=2)
    labels = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert labels == {"1": "Zebra", "2": "ant", "3": "bee"}
    records = read(report)
    assert len(records) == 18
    for record in records:
        (text,) = record["texts"]
        name = record["source_id"].decode()
        assert name.startswith(text.decode() + "/")
        assert labels[str(record["classes"][0])] == text.decode()
        assert record["encoded"] == (photos / name).read_bytes()


def test_train_and_val_folders(photos, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "train").symlink_to(photos)
    (data / "val").symlink_to(photos)
    parts = image_folders.read_folders(str(data))
    assert {part: len(images) for part, images in parts.items()} == {"train": 18, "val": 18}


def test_a_share_of_each_class_is_held_out(photos):
    images = image_folders.read_folders(str(photos))["train"]
    parts = image_folders.split(images, 1 / 3, seed=1)
    assert sorted(i.classes[0] for i in parts["val"]) == sorted(CLASSES * 2)
    assert {i.path for i in parts["train"]} | {i.path for i in parts["val"]} == {
        i.path for i in images
    }
    assert len(parts["train"]) + len(parts["val"]) == 18
    assert image_folders.split(images, 1 / 3, seed=1) == parts
    assert image_folders.split(images, 1 / 3, seed=2) != parts


def test_a_list_with_several_labels(photos, tmp_path):
    listed = tmp_path / "list.csv"
    listed.write_text('path,label\nant/0.png,ant;small\nbee/1.png,\n"bee/2.png", bee \n\n')
    images = image_folders.read_csv(str(listed), str(photos))
    assert [image.classes for image in images] == [("ant", "small"), (), ("bee",)]
    (report,) = image_folders.convert({"train": images}, str(tmp_path / "out"), num_shards=1)
    assert [r["classes"].tolist() for r in read(report)] == [[1, 3], [], [2]]


@pytest.mark.parametrize(
    ("text", "says"),
    [("ant/0.png,ant\nbee/9.png,bee\n", "line 2.*bee/9.png"), ("a,b,c\n", "line 1.*3 fields")],
)
def test_a_bad_line_is_named(photos, tmp_path, text, says):
    listed = tmp_path / "list.csv"
    listed.write_text(text)
    with pytest.raises(UserError, match=says):
        image_folders.read_csv(str(listed), str(photos))


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "0 bytes"), (b"GIF8 no", "not a picture"), (None, "cannot be dec")]
)
def test_a_broken_image_is_named_and_nothing_is_left(photos, tmp_path, content, says):
    broken = photos / "bee" / "3.png"
    broken.write_bytes(broken.read_bytes()[:400] if content is None else content)
    parts = image_folders.read_folders(str(photos))
    with pytest.raises(UserError, match=f"bee/3.png.*{says}"):
        image_folders.convert(parts, str(tmp_path / "out"), num_shards=2, num_workers=1)
    assert not (tmp_path / "out").exists()


def test_other_formats_become_png(tmp_path):
    folder = tmp_path / "photos" / "a"
    folder.mkdir(parents=True)
    pixels = picture(0, 1)
    Image.fromarray(pixels).save(folder / "x.bmp")
    parts = image_folders.read_folders(str(tmp_path / "photos"))
    (report,) = image_folders.convert(parts, str(tmp_path / "out"))
    (record,) = read(report)
    np.testing.assert_array_equal(tf.io.decode_png(record["encoded"]), pixels)


def test_folders_without_images(tmp_path):
    with pytest.raises(UserError, match="contains no images"):
        image_folders.read_folders(str(tmp_path))
    with pytest.raises(UserError, match="is not a folder"):
        image_folders.read_folders(str(tmp_path / "nowhere"))


def test_labels_from_a_file(photos, tmp_path):
    path = tmp_path / "map.json"
    path.write_text(json.dumps({"ant": 4, "bee": 2, "Zebra": 9}))
    parts = image_folders.read_folders(str(photos))
    assert image_folders.class_map(parts, str(path)) == {2: "bee", 4: "ant", 9: "Zebra"}
    path.write_text(json.dumps({"ant": 4, "bee": 2}))
    with pytest.raises(UserError, match="'Zebra'"):
        image_folders.class_map(parts, str(path))
