"""Class folders and lists are recognised, and become the records of the converter."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientvision.data import image_folders
from efficientvision.data.held_out import hold_out
from efficientvision.data.record_files import iter_records
from efficientvision.data.sources import class_folders, class_lists
from efficientvision.data.sources.layout import ConvertOptions
from efficientvision.errors import UserError

OPTIONS = ConvertOptions(num_shards=2, num_workers=1)


def write_photos(folder, *names):
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), 10 * number, np.uint8)).save(path)
    return str(folder)


def written(folder):
    """File -> its records; the order of the features in a record's bytes is arbitrary."""
    return {
        path.name: [tf.train.Example.FromString(record) for record in iter_records(str(path))]
        if path.suffix == ".tfrecord"
        else path.read_text()
        for path in folder.iterdir()
    }


@pytest.mark.parametrize(
    "names",
    [
        ("images/a.png", "masks/a.png"),
        ("train/images/a.png", "valid/images/a.png"),
        ("train/a.png", "train_masks/a.png"),
        ("JPEGImages/a.png",),
        ("leftImg8bit/train/x/a.png",),
        ("a.png", "b.png"),
    ],
)
def test_other_layouts_have_no_class_folders(tmp_path, names):
    assert class_folders.find(write_photos(tmp_path, *names)) is None


def test_classes_may_be_named_like_parts_and_masks(tmp_path):
    layout = class_folders.find(write_photos(tmp_path, "plane/a.png", "train/a.png", "mask/a.png"))
    assert layout.evidence == "mask/, plane/, train/" and not layout.is_split


def test_records_equal_those_of_the_converter(tmp_path):
    names = [f"{name}/{k}.png" for name in ("ant", "bee") for k in range(5)]
    data = write_photos(tmp_path / "photos", *names)
    options = dataclasses.replace(OPTIONS, val_fraction=0.2)
    reports = class_folders.find(data).convert(str(tmp_path / "ours"), options)
    images = image_folders.read_folders(data)["train"]
    strata = [image.classes for image in images]
    parts = hold_out(images, 0.2, strata=strata)
    parts = dict(zip(("train", "val"), parts, strict=True))
    image_folders.convert(parts, str(tmp_path / "theirs"), num_shards=2, num_workers=1)
    assert written(tmp_path / "ours") == written(tmp_path / "theirs")
    assert [report.num_images for report in reports] == [8, 2]
    assert reports[0].details[0].startswith("held out 2 of 10 photos for validation (20.0%), with")


def test_parts_stay_as_they_are(tmp_path):
    data = write_photos(tmp_path / "photos", "train/a/1.png", "valid/a/2.png", "test/a/3.png")
    layout = class_folders.find(data)
    assert layout.is_split and layout.evidence == "train/, valid/, test/"
    reports = layout.convert(str(tmp_path / "out"), OPTIONS)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert [name[:4] for name in names] == ["labe", "test", "trai", "val-"]
    assert [report.num_images for report in reports] == [1, 1, 1]


def test_without_a_share_nothing_is_held_out(tmp_path):
    data = write_photos(tmp_path / "photos", "a/1.png", "b/2.png")
    options = ConvertOptions(val_fraction=0, num_workers=1)
    (report,) = class_folders.find(data).convert(str(tmp_path / "out"), options)
    assert report.num_images == 2


def test_lists(tmp_path):
    folder = write_photos(tmp_path / "photos", "x/1.png", "x/2.png", "y/3.png")
    (tmp_path / "photos" / "train_labels.csv").write_text("path,label\nx/1.png,a\nx/2.png,b;a\n")
    (tmp_path / "photos" / "notes.csv").write_text("who,when\nme,now\n")
    layout = class_lists.find(folder)
    assert (layout.evidence, layout.is_split, len(layout.inputs)) == ("train_labels.csv", False, 3)
    (tmp_path / "photos" / "val.csv").write_text("y/3.png,a\n")
    layout = class_lists.find(folder)
    assert layout.evidence == "train_labels.csv, val.csv" and layout.is_split
    reports = layout.convert(str(tmp_path / "out"), OPTIONS)
    assert [(report.num_images, report.num_boxes) for report in reports] == [(2, 3), (1, 1)]
    assert class_lists.find(f"{folder}/train_labels.csv").evidence == "train_labels.csv"
    (tmp_path / "photos" / "valid.csv").write_text("y/3.png,a\n")
    with pytest.raises(UserError, match="both lists of the part 'val'"):
        class_lists.find(folder)


def test_a_list_from_another_machine_is_named(tmp_path):
    (tmp_path / "train.csv").write_text("/data/elsewhere/1.jpg,a\n")
    with pytest.raises(UserError, match="train.csv, line 1: there is no image /data/elsewhere/1"):
        class_lists.find(str(tmp_path))


def test_a_val_part_without_its_photos(tmp_path):
    data = write_photos(tmp_path / "photos", "train/a/1.png", "train/b/2.png")
    (tmp_path / "photos" / "val" / "a").mkdir(parents=True)
    with pytest.raises(UserError, match="The part val has no photos: add them, or remove"):
        class_folders.find(data).convert(str(tmp_path / "out"), OPTIONS)
