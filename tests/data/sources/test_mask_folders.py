"""Folders and lists of images and masks are recognised, and become the records of the converter."""

import logging

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientvision.data.held_out import hold_out
from efficientvision.data.labels import BUILTIN_OF_MASKS
from efficientvision.data.masks import convert, folders, mask_files
from efficientvision.data.record_files import iter_records
from efficientvision.data.sources import mask_folders, mask_lists, voc_masks
from efficientvision.data.sources.layout import ConvertOptions
from efficientvision.data.sources.mask_classes import mask_reader
from efficientvision.errors import UserError
from tests.made_mask_files import read_masks, save, write_pairs

OPTIONS = ConvertOptions(num_shards=2, num_workers=1)


def written(folder):
    """File -> its records; the order of the features in a record's bytes is arbitrary."""
    return {
        path.name: [tf.train.Example.FromString(record) for record in iter_records(str(path))]
        if path.suffix == ".tfrecord"
        else path.read_text()
        for path in folder.iterdir()
    }


def test_records_equal_those_of_the_converter(tmp_path):
    data = write_pairs(tmp_path / "data", 5)
    layout = mask_folders.find(str(data))
    assert layout.evidence == "images/, labels/" and not layout.is_split
    layout.convert(str(tmp_path / "ours"), OPTIONS)
    found = folders.find_pairs(str(data / "images"), str(data / "labels"))
    parts = hold_out(found.parts["train"], 0.1, groups=range(5))
    found.parts = dict(zip(("train", "val"), parts, strict=True))
    reader = mask_files.MaskFiles(None, mask_files.label_table([255]))
    convert.convert(found, str(tmp_path / "theirs"), reader, None, num_shards=2, num_workers=1)
    assert written(tmp_path / "ours") == written(tmp_path / "theirs")


@pytest.mark.parametrize(
    ("images", "masks", "is_split"),
    [
        ("train/images/0.jpg val/images/1.jpg", "train/masks/0.png val/masks/1.png", True),
        ("Images/train/0.jpg Images/val/1.jpg", "labels/train/0.png labels/val/1.png", True),
        ("train/0.png test/1.png", "train_labels/0_L.png test_labels/1_L.png", False),
        ("trainannot.x/0.png", "", None),
        ("0.jpg 1.jpg", "0.png 1.png", False),
        ("0.png 1.png", "0_mask.png 1_mask.png", False),
        ("cat/0.png dog/1.png", "", None),
        ("images/0.jpg", "labels/0.txt", None),
    ],
)
def test_layouts(tmp_path, images, masks, is_split):
    for name in f"{images} {masks}".split():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    layout = mask_folders.find(str(tmp_path))
    if is_split is None:
        assert layout is None
    else:
        assert layout.is_split == is_split and len(layout.inputs) == 4


def test_unpaired_files_are_counted(tmp_path):
    data = write_pairs(tmp_path / "data", 3)
    (data / "labels" / "1.png").unlink()
    options = ConvertOptions(val_fraction=0, num_workers=1)
    (report,) = mask_folders.find(str(data)).convert(str(tmp_path / "out"), options)
    assert report.num_images == 2
    assert [line.split(" left out")[0] for line in report.skipped] == ["images without a mask"]
    (data / "labels" / "0.png").rename(data / "labels" / "x.png")
    (data / "labels" / "2.png").unlink()
    with pytest.raises(UserError, match="No image has a mask of its name: .* has no mask"):
        mask_folders.find(str(data)).convert(str(tmp_path / "out"), options)


def test_classes_without_a_class(tmp_path, caplog):
    """CamVid: eleven classes, and a twelfth that means nothing was labelled."""
    caplog.set_level(logging.INFO)
    mask = save(tmp_path / "masks" / "a.png", np.array([[0, 1], [2, 3]], np.uint8))
    (tmp_path / "classes.txt").write_text("sky\nVoid\nroad\n")
    reader, labels = mask_reader([str(mask)], str(tmp_path / "classes.txt"))
    assert labels == {0: "sky", 1: "road"}
    assert "Void is not taken as a class" in caplog.text
    with pytest.raises(UserError, match="label 3"):
        reader(str(mask), (2, 2))
    Image.fromarray(np.array([[0, 1], [2, 255]], np.uint8)).save(mask)
    assert reader(str(mask), (2, 2)).tolist() == [[0, 255], [1, 255]]


def test_colours(tmp_path):
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nsky,0,0,255\nVoid,0,0,0\nroad,9,9,9\n")
    colored = np.array([[[0, 0, 255], [0, 0, 0]], [[9, 9, 9], [0, 0, 255]]], np.uint8)
    mask = save(tmp_path / "a.png", colored)
    reader, labels = mask_reader([str(mask)], str(tmp_path / "class_dict.csv"))
    assert labels == {0: "sky", 1: "road"}
    assert reader(str(mask), (2, 2)).tolist() == [[0, 255], [1, 0]]
    # The same file for masks of numbers: their order is that of the lines.
    numbers = save(tmp_path / "b.png", np.array([[0, 1], [2, 2]], np.uint8))
    reader, _ = mask_reader([str(numbers)], str(tmp_path / "class_dict.csv"))
    assert reader(str(numbers), (2, 2)).tolist() == [[0, 255], [1, 1]]


def test_black_and_white(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    mask = save(tmp_path / "a.png", np.array([[0, 255], [255, 0]], np.uint8))
    reader, labels = mask_reader([str(mask)], None)
    assert labels == {0: "background", 1: "foreground"}
    assert reader(str(mask), (2, 2)).tolist() == [[0, 1], [1, 0]]
    assert "The masks are black and white" in caplog.text
    odd = save(tmp_path / "b.png", np.array([[0, 1], [255, 0]], np.uint8))
    with pytest.raises(UserError):
        reader(str(odd), (2, 2))
    assert mask_reader([str(mask), str(odd)], None)[1] is None
    (tmp_path / "palette.txt").write_text("0 0 0 skin\n255 255 255 wound\n")
    reader, labels = mask_reader([str(mask)], str(tmp_path / "palette.txt"))
    assert labels == {0: "skin", 1: "wound"}
    assert reader(str(mask), (2, 2)).tolist() == [[0, 1], [1, 0]]


def write_voc(folder):
    year = folder / "VOCdevkit" / "VOC2012"
    for k, part in enumerate(("train", "val")):
        save(year / "JPEGImages" / f"{part}.jpg", np.zeros((4, 4, 3), np.uint8))
        save(year / "SegmentationClass" / f"{part}.png", np.full((4, 4), k + 1, np.uint8))
        lists = year / "ImageSets" / "Segmentation"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f"{part}.txt").write_text(f"{part}\n")
    return year


def test_voc(tmp_path):
    year = write_voc(tmp_path)
    layout = voc_masks.find(str(tmp_path))
    assert layout.is_split and layout.evidence == "VOCdevkit/VOC2012/SegmentationClass/"
    reports = layout.convert(str(tmp_path / "out"), OPTIONS)
    assert reports[0].labels == BUILTIN_OF_MASKS["voc"]
    assert [
        int(read_masks(report)[part].max())
        for part, report in zip(("train", "val"), reports, strict=True)
    ] == [1, 2]
    assert voc_masks.find(str(year / "JPEGImages")) is None


def test_lists(tmp_path):
    write_pairs(tmp_path, 3)
    (tmp_path / "train.txt").write_text("images/0.png labels/0.png\nimages/1.png labels/1.png\n")
    (tmp_path / "val.txt").write_text("/images/2.png /labels/2.png\n")
    (tmp_path / "classes.txt").write_text("a\nb\nc\nd\n")
    layout = mask_lists.find(str(tmp_path))
    assert layout.evidence == "train.txt, val.txt, classes.txt" and layout.is_split
    assert len(layout.inputs) == 9
    reports = layout.convert(str(tmp_path / "out"), OPTIONS)
    assert [report.num_images for report in reports] == [2, 1]
    assert reports[0].labels == {0: "a", 1: "b", 2: "c", 3: "d"}


def test_vocs_lists_are_inputs(tmp_path):
    """Names that change places between the lists are other records."""
    year = write_voc(tmp_path)
    inputs = voc_masks.find(str(tmp_path)).inputs
    for name in ("ImageSets/Segmentation/train.txt", "ImageSets/Segmentation/val.txt"):
        assert str(year / name) in inputs
    assert str(year / "list" / "train_aug.txt") in inputs  # It would take precedence.


def test_a_val_part_without_its_photos(tmp_path):
    year = write_voc(tmp_path / "voc")
    (year / "JPEGImages" / "val.jpg").unlink()
    with pytest.raises(
        UserError, match=r"None of the 1 photos for val that .*/val.txt lists exist"
    ):
        voc_masks.find(str(year)).convert(str(tmp_path / "out"), OPTIONS)
    write_pairs(tmp_path / "list", 2)
    (tmp_path / "list" / "train.txt").write_text("images/0.png labels/0.png\n")
    (tmp_path / "list" / "val.txt").write_text("images/x.png labels/x.png\n")
    with pytest.raises(UserError, match=r"or remove .*/val.txt to hold out a share"):
        mask_lists.find(str(tmp_path / "list")).convert(str(tmp_path / "out"), OPTIONS)
    for part in ("train", "val"):
        write_pairs(tmp_path / "parts" / part, 1)
    labels = tmp_path / "parts" / "val" / "labels"
    (labels / "0.png").rename(labels / "x.png")
    layout = mask_folders.find(str(tmp_path / "parts"))
    with pytest.raises(UserError, match=r"The part val has no image with its mask"):
        layout.convert(str(tmp_path / "out"), OPTIONS)


def test_a_file_of_colours_that_cannot_be_used(tmp_path):
    """The file was found, not named by an option."""
    write_pairs(tmp_path, 2)
    (tmp_path / "palette.txt").write_text("0 0 0 a\n0 0 0 a\n")
    with pytest.raises(UserError, match=rf"^{tmp_path}/palette.txt, line 2: the colour") as raised:
        mask_folders.find(str(tmp_path)).convert(str(tmp_path / "out"), OPTIONS)
    assert "`" not in str(raised.value)
