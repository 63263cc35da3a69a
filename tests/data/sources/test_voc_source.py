"""Folders of PASCAL annotations: with and without lists, and what becomes of odd ones."""

import json
import os
import zlib

import pytest
from PIL import Image

from efficientvision.data import pascal
from efficientvision.data.record_files import iter_records, match_files
from efficientvision.data.records import decode_example
from efficientvision.data.sources import voc
from efficientvision.data.sources.labelled_photos import BACKGROUNDS, UNLABELLED
from efficientvision.data.sources.layout import BOXES, ConvertOptions
from efficientvision.errors import UserError

NAMES = [f"photo{k}" for k in range(10)]


def photo(path):
    """Writes a photo of 10x8 pixels; each name has its own grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (10, 8), (zlib.crc32(str(path).encode()) % 256, 1, 2)).save(path)


def xml(path, name="rbc"):
    path.parent.mkdir(parents=True, exist_ok=True)
    sides = "<xmin>1</xmin><ymin>2</ymin><xmax>6</xmax><ymax>7</ymax>"
    path.write_text(
        "<annotation><size><width>10</width><height>8</height></size><object>"
        f"<name>{name}</name><bndbox>{sides}</bndbox></object></annotation>"
    )


def make(folder, photos, xmls, names=NAMES):
    for k, name in enumerate(names):
        photo(folder / photos / f"{name}.png")
        xml(folder / xmls / f"{name}.xml", ("rbc", "wbc")[k % 2])


def write_list(year, name, lines):
    path = year / "ImageSets" / "Main" / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def convert(folder, **options):
    layout = voc.find(str(folder))
    options = ConvertOptions(num_shards=1, num_workers=1, **options)
    return layout, layout.convert(f"{folder}/.out", options)


def records(folder, part):
    paths = match_files(f"{folder}/.out/{part}-*.tfrecord")
    return [decode_example(record) for path in paths for record in iter_records(path)]


def stems(folder, part):
    return [os.path.splitext(example.filename)[0] for example in records(folder, part)]


WITHOUT_LISTS = {
    "voc": ("JPEGImages", "Annotations"),
    "images and annotations": ("images", "annotations"),
    "annots": ("images", "annots"),
    "labels": ("photos", "labels"),
    "xml": ("Images", "XML"),
    "one folder": (".", "."),
    "photos above": (".", "xml"),
    "sub-folders": ("images/a/b", "annotations/a/b"),
    "only the annotations in sub-folders": ("images", "annotations/a"),
    "a folder around": ("cells/images", "cells/annots"),
    "sessions": ("day1", "day1"),
}


@pytest.mark.parametrize("case", WITHOUT_LISTS)
def test_layouts_without_lists(tmp_path, case):
    make(tmp_path, *WITHOUT_LISTS[case])
    layout, reports = convert(tmp_path, val_fraction=0.2)
    assert (layout.format, layout.labels, layout.is_split) == ("voc", BOXES, False)
    assert len(layout.inputs) == len(set(layout.inputs)) == 20
    assert layout.evidence.endswith("*.xml") and "./" not in layout.evidence
    assert [report.num_images for report in reports] == [8, 2]
    assert "held out 2 of 10 photos" in str(reports[0]) and not reports[0].skipped
    val = records(tmp_path, "val")
    assert sorted(e.class_names[0] for e in val) == ["rbc", "wbc"]
    assert val[0].boxes_yxyx.round(3).tolist() == [[2, 1, 7, 6]]
    truth = json.loads((tmp_path / ".out" / "json_val.json").read_text())
    assert len(truth["images"]) == 2


@pytest.mark.parametrize(
    ("photos", "xmls"),
    [
        ("{}", "{}"),  # Roboflow's.
        ("{}/images", "{}/annotations"),
        ("images/{}", "annotations/{}"),
    ],
)
def test_layouts_with_parts(tmp_path, photos, xmls):
    for part, names in (("train", NAMES[:6]), ("valid", NAMES[6:9]), ("test", NAMES[9:])):
        make(tmp_path, photos.format(part), xmls.format(part), names)
    layout, reports = convert(tmp_path)
    assert layout.is_split and len(layout.inputs) == 20
    assert layout.evidence.count(".xml") == 3
    assert [report.num_images for report in reports] == [6, 3, 1]
    assert sorted(stems(tmp_path, "val")) == NAMES[6:9]


def test_years_with_lists(tmp_path):
    for year, names in (("VOC2007", NAMES[:5]), ("VOC2012", NAMES[5:])):
        folder = tmp_path / "VOCdevkit" / year
        make(folder, "JPEGImages", "Annotations", names)
        write_list(folder, "train", names[:3])
        write_list(folder, "val", names[3:4])
        write_list(folder, "rbc_train", [f"{name} -1" for name in names])
    layout, reports = convert(tmp_path)
    main = "VOCdevkit/{}/ImageSets/Main/{}.txt"
    assert layout.is_split and layout.evidence == ", ".join(
        main.format(year, name) for year in ("VOC2007", "VOC2012") for name in ("train", "val")
    )
    assert len(layout.inputs) == 20 + 6
    assert [report.num_images for report in reports] == [6, 2]
    assert stems(tmp_path, "val") == [NAMES[3], NAMES[8]]
    assert "1 annotations in" in str(reports[0]) and "are in no list" in str(reports[0])
    assert any("photos that no list names" in reason for reason in reports[0].skipped)
    for part in ("train", "val"):
        pascal.convert(
            f"{tmp_path}/VOCdevkit", "merged", part, f"{tmp_path}/door/{part}",
            num_shards=1, num_workers=1,
        )  # fmt: skip
        door, own = (match_files(f"{tmp_path}/{out}/{part}-*.tfrecord") for out in ("door", ".out"))
        assert list(iter_records(own[0])) == list(iter_records(door[0]))
        truth = f"json_{part}.json"
        assert (tmp_path / "door" / truth).read_text() == (tmp_path / ".out" / truth).read_text()
    assert voc.find(f"{tmp_path}/VOCdevkit/VOC2007").evidence == (
        "ImageSets/Main/train.txt, ImageSets/Main/val.txt"
    )


@pytest.mark.parametrize(
    ("lists", "train", "val", "test"),
    [
        (("train", "val", "trainval", "test"), "train", "val", "test"),
        (("trainval", "test"), "trainval", None, "test"),
        (("default",), "default", None, None),  # CVAT's.
        (("Train", "Validation"), "Train", "Validation", None),
        (("train", "training_set", "valid"), "train", "valid", None),
        (("cat_train", "cat_val", "dog_train"), "*_train", "*_val", None),
    ],
)
def test_choice_of_lists(tmp_path, lists, train, val, test):
    make(tmp_path, "JPEGImages", "Annotations")
    for name in lists:
        write_list(tmp_path, name, [NAMES[k] for k in range(10) if k % 3 == len(name) % 3])
    layout = voc.find(str(tmp_path))
    assert layout.is_split == (val is not None)
    assert layout.evidence == ", ".join(
        f"ImageSets/Main/{name}.txt" for name in (train, val, test) if name
    )


def test_lists_that_say_nothing(tmp_path):
    make(tmp_path, "JPEGImages", "Annotations")
    for name in ("one", "two"):
        write_list(tmp_path, name, NAMES)
    with pytest.raises(UserError, match="has the lists one, two, and none is named train"):
        voc.find(str(tmp_path))


def test_trainval_without_train_leaves_val_out(tmp_path):
    make(tmp_path, "JPEGImages", "Annotations")
    write_list(tmp_path, "trainval", NAMES)
    write_list(tmp_path, "val", NAMES[:3])
    _, reports = convert(tmp_path)
    assert [report.num_images for report in reports] == [7, 3]


def test_lists_with_names_of_another_machine(tmp_path):
    make(tmp_path, "JPEGImages", "Annotations")
    lines = [f"/srv/VOC/JPEGImages/{name}.jpg" for name in NAMES[:8]]
    write_list(tmp_path, "train", [*lines, f"C:\\VOC\\{NAMES[8]}.JPG"])
    write_list(tmp_path, "val", [f"JPEGImages/{NAMES[9]}"])
    _, reports = convert(tmp_path)
    assert [report.num_images for report in reports] == [9, 1]


def reasons(report):
    return {reason.split(" (")[0]: count for reason, count in report.skipped.items()}


def test_photos_without_annotations_and_the_reverse(tmp_path):
    make(tmp_path, "images", "annots")
    photo(tmp_path / "images" / "lonely.png")
    os.remove(tmp_path / "images" / f"{NAMES[9]}.png")
    _, (report,) = convert(tmp_path, val_fraction=0)
    assert reasons(report) == {f"{UNLABELLED} left out": 1, f"{voc.NO_PHOTO} left out": 1}
    assert "images/lonely.png" in str(report) and f"annots/{NAMES[9]}.xml" in str(report)
    assert report.num_images == 9
    _, (report,) = convert(tmp_path, val_fraction=0, background=True)
    assert report.skipped[BACKGROUNDS] == 1
    background = records(tmp_path, "train")[-1]
    assert (background.filename, background.source_id) == ("lonely.png", "10")
    assert len(background.classes) == 0


def test_lists_of_missing_photos(tmp_path):
    make(tmp_path, "JPEGImages", "Annotations")
    os.remove(tmp_path / "Annotations" / f"{NAMES[1]}.xml")
    os.remove(tmp_path / "JPEGImages" / f"{NAMES[2]}.png")
    write_list(tmp_path, "train", [*NAMES[:6], "nothing"])
    write_list(tmp_path, "val", NAMES[6:])
    _, (report, _) = convert(tmp_path)
    assert reasons(report) == {
        f"{UNLABELLED} left out": 1,
        f"{voc.NO_PHOTO} left out": 1,
        f"{voc.NEITHER} left out": 1,
    } | {"photos that no list names left out": 1}
    assert [e.source_id for e in records(tmp_path, "train")] == ["1", "4", "5", "6"]
    _, (report, _) = convert(tmp_path, background=True)
    assert report.skipped[BACKGROUNDS] == 1 and report.num_images == 5
    write_list(tmp_path, "train", [*NAMES[:2], "a", "b", "c"])
    with pytest.raises(UserError, match="The part train of .* lists 4 photos, but 3 of them"):
        convert(tmp_path)
    write_list(tmp_path, "train", ["a", "b", "c"])
    _, (report,) = convert(tmp_path)
    assert "the part train is left out: none of its 3 names has both" in str(report)
    write_list(tmp_path, "train", NAMES[3:6])
    write_list(tmp_path, "val", ["a", "b"])
    says = "None of the 2 photos for val that .*/Main/val.txt lists exist in .*JPEGImages: put them"
    with pytest.raises(UserError, match=says):
        convert(tmp_path)
    write_list(tmp_path, "val", [NAMES[1]])
    with pytest.raises(UserError, match="val.txt lists have an annotation in .*Annotations: put"):
        convert(tmp_path)
    write_list(tmp_path, "train", ["a", "b", "c"])
    write_list(tmp_path, "val", ["a"])
    with pytest.raises(UserError, match="none of its 3 names has both"):
        convert(tmp_path)


def test_annotations_without_objects(tmp_path):
    make(tmp_path, ".", ".")
    (tmp_path / f"{NAMES[0]}.xml").write_text("<annotation></annotation>")
    _, (report,) = convert(tmp_path, val_fraction=0)
    assert report.num_images == 10 and report.num_boxes == 9
    for name in NAMES:
        (tmp_path / f"{name}.xml").write_text("<annotation></annotation>")
    with pytest.raises(UserError, match="None of the 10 annotations in .* has an object"):
        convert(tmp_path)


def test_annotations_beside_photos_and_below(tmp_path):
    make(tmp_path, ".", ".", NAMES[:4])
    make(tmp_path, "day2", "day2", NAMES[4:])
    layout, (report,) = convert(tmp_path, val_fraction=0)
    assert layout.evidence == "*.xml, day2/*.xml"
    assert report.num_images == 10 and not report.skipped


def test_other_xml_files(tmp_path):
    photo(tmp_path / "a.png")
    (tmp_path / "annotations.xml").write_text("<annotations><image/></annotations>")
    assert voc.find(str(tmp_path)) is None
    assert voc.find(str(tmp_path / "annotations.xml")) is None


def test_the_converter_takes_flat_folders(tmp_path):
    make(tmp_path, "images", "annots")
    (report,) = pascal.convert(
        str(tmp_path), ".", "train", f"{tmp_path}/.out/train", num_shards=1, num_workers=1
    )
    assert report.num_images == 10 and not report.skipped
