"""Folders of COCO files: where they and their photos are found, and what becomes of odd ones."""

import json
import os
import zlib

import pytest
from PIL import Image

from efficientvision.data import coco_format
from efficientvision.data.coco_categories import GROUP, JOINED
from efficientvision.data.coco_images import BY_TAIL, MISSING
from efficientvision.data.record_files import iter_records, match_files
from efficientvision.data.records import decode_example
from efficientvision.data.sources import coco
from efficientvision.data.sources.coco_files import first_names, is_coco_file
from efficientvision.data.sources.labelled_photos import BACKGROUNDS, UNLABELLED
from efficientvision.data.sources.layout import BOXES, ConvertOptions
from efficientvision.errors import UserError

CATEGORIES = ({"id": 1, "name": "cat"}, {"id": 2, "name": "dog"})
BOX = [1, 2, 5, 4]


def photo(path):
    """Writes a photo of 10x8 pixels; each name has its own grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = zlib.crc32(str(path).encode()) % 256
    Image.new("RGB", (10, 8), (grey, zlib.crc32(path.name.encode()) % 256, 7)).save(path)


def write(path, names, categories=CATEGORIES, used=None, **changes):
    """Writes a COCO file; image k has one object, of the used categories in turn."""
    used = used or [category["id"] for category in categories]
    content = {
        "images": [
            {"id": k, "file_name": name, "width": 10, "height": 8} for k, name in enumerate(names)
        ],
        "annotations": [
            {"id": k, "image_id": k, "category_id": used[k % len(used)], "bbox": BOX}
            for k in range(len(names))
        ],
        "categories": list(categories),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content | changes))
    return str(path)


def convert(folder, **options):
    layout = coco.find(str(folder))
    out = f"{folder if os.path.isdir(folder) else os.path.dirname(folder)}/.out"
    reports = layout.convert(out, ConvertOptions(num_shards=1, num_workers=1, **options))
    return layout, reports


def records(folder, part):
    paths = match_files(f"{folder}/.out/{part}-*.tfrecord")
    return [decode_example(record) for path in paths for record in iter_records(path)]


def names(folder, part):
    return [example.filename for example in records(folder, part)]


def make(folder, json_names, photos, listed=None):
    for name, own in json_names.items():
        write(folder / name, listed or own)
    for name in photos:
        photo(folder / name)


A, B = "a.png", "b.png"
SPLIT = {
    "coco": (
        {"annotations/instances_train2017.json": [A], "annotations/instances_val2017.json": [B]},
        [f"train2017/{A}", f"val2017/{B}"],
    ),
    "images/train2017": (
        {"annotations/instances_train2017.json": [A], "annotations/instances_val2017.json": [B]},
        [f"images/train2017/{A}", f"images/val2017/{B}"],
    ),
    "same names": (
        {"annotations/train.json": [A], "annotations/val.json": [A]},
        [f"images/train/{A}", f"images/val/{A}"],
    ),
    "roboflow": (
        {"train/_annotations.coco.json": [A], "valid/_annotations.coco.json": [B]},
        [f"train/{A}", f"valid/{B}"],
    ),
    "fiftyone": (
        {"train/labels.json": [A], "val/labels.json": [B]},
        [f"train/data/{A}", f"val/data/{B}"],
    ),
    "cvat": (
        {"annotations/instances_Train.json": [A], "annotations/instances_Validation.json": [B]},
        [f"images/Train/{A}", f"images/Validation/{B}"],
    ),
    "one folder": (
        {"train_annotations.json": [A], "val_annotations.json": [B]},
        [f"images/{A}", f"images/{B}"],
    ),
    "names with folders": (
        {"annotations/train.json": [f"train/{A}"], "annotations/val.json": [f"val/{B}"]},
        [f"train/{A}", f"val/{B}"],
    ),
}


@pytest.mark.parametrize("case", SPLIT)
def test_layouts_with_parts(tmp_path, case):
    json_names, photos = SPLIT[case]
    make(tmp_path, json_names, photos)
    layout, reports = convert(tmp_path)
    assert (layout.format, layout.labels, layout.is_split) == ("coco", BOXES, True)
    assert set(layout.inputs) == {str(tmp_path / name) for name in (*json_names, *photos)}
    assert layout.evidence == ", ".join(json_names)
    assert [report.num_images for report in reports] == [1, 1]
    assert not any(report.skipped for report in reports)
    for part, listed in zip(("train", "val"), json_names.values(), strict=True):
        (example,) = records(tmp_path, part)
        assert example.filename == listed[0] and example.boxes_yxyx.round(3).tolist() == [
            [2, 1, 6, 6]
        ]
        truth = json.loads((tmp_path / ".out" / f"json_{part}.json").read_text())
        assert truth["annotations"][0]["bbox"] == BOX
    of_train = (tmp_path / photos[0]).read_bytes()
    assert records(tmp_path, "train")[0].encoded == of_train


PHOTOS = [f"{k}.png" for k in range(10)]
UNSPLIT = {
    "cvat": ("annotations/instances_default.json", "images/", ""),
    "label studio": ("result.json", "images/", "images/"),
    "label studio on windows": ("result.json", "images/", "images\\"),
    "any name": ("cells.json", "", ""),
    "cvat's folder": ("annotations/instances_default.json", "images/default/", ""),
    "other folder": ("cells.json", "photos/", ""),
    "folder of any name": ("labels/cells.json", "microscope/", ""),
    "folder around": ("cells/result.json", "cells/images/", ""),
    "another machine": ("cells.json", "images/", "/srv/cells/"),
    "another machine's disk": ("cells.json", "images/", "C:\\cells\\"),
    "another machine's folder": ("cells.json", "images/", "cells/v2/"),
}


@pytest.mark.parametrize("case", UNSPLIT)
def test_layouts_without_parts(tmp_path, case):
    name, place, before = UNSPLIT[case]
    make(tmp_path, {name: None}, [place + p for p in PHOTOS], [before + p for p in PHOTOS])
    layout, reports = convert(tmp_path, val_fraction=0.2)
    assert (layout.is_split, layout.evidence) == (False, name)
    assert [report.num_images for report in reports] == [8, 2]
    assert "held out 2 of 10 photos for validation (20.0%)" in reports[0].details[0]
    assert {e.class_names[0] for e in records(tmp_path, "val")} == {"cat", "dog"}
    assert reports[0].skipped[BY_TAIL] == (10 if "machine" in case else 0)


def test_a_file_itself(tmp_path):
    make(tmp_path, {"annotations/val.json": None}, [f"val/{p}" for p in PHOTOS], PHOTOS)
    layout, reports = convert(tmp_path / "annotations" / "val.json")
    assert (layout.is_split, layout.evidence) == (True, "val.json")
    assert names(tmp_path / "annotations", "val") == PHOTOS and len(reports) == 1
    path = write(tmp_path / "all.json", [f"val/{p}" for p in PHOTOS])
    layout = coco.find(path)
    assert not layout.is_split and len(layout.inputs) == 11


def test_records_are_those_of_the_converter(tmp_path, coco_folder):
    image_dir, instances, _ = coco_folder
    os.makedirs(tmp_path / "annotations")
    os.rename(instances, tmp_path / "annotations" / "instances_val2017.json")
    convert(tmp_path)
    coco_format.convert(
        image_dir,
        f"{tmp_path}/door/val",
        object_annotations_file=f"{tmp_path}/annotations/instances_val2017.json",
        num_shards=1,
        num_workers=1,
    )
    door, folder = (
        list(iter_records(match_files(f"{tmp_path}/{out}/val-*")[0])) for out in ("door", ".out")
    )
    assert door == folder and len(door) == 2
    assert records(tmp_path, "val")[0].classes == [90, 1, 1]  # COCO's own ids.


def test_no_coco_file(tmp_path):
    photo(tmp_path / A)
    for name, content in {
        "a.json": '{"images": [], "categories": []}',  # Labels of the photo a.png.
        "labels.json": '{"1": "cat"}',
        "list.json": '[{"images": []}]',
        "captions_val.json": '{"images": [], "annotations": []}',
        "broken.json": "\0",
        "json_val.json": '{"images": [], "categories": []}',
        "val-00000-of-00001.tfrecord": "",
    }.items():
        (tmp_path / name).write_text(content)
    assert coco.find(str(tmp_path)) is None
    assert coco.find(str(tmp_path / "labels.json")) is None
    assert not is_coco_file(str(tmp_path / "missing.json"))


def test_a_file_is_told_by_its_end_as_well(tmp_path):
    path = tmp_path / "all.json"
    filler = [{"id": k, "text": "x" * 50} for k in range(3000)]
    content = {"info": filler, "images": [{"id": 1, "file_name": 'caf\xe9 "1".png'}]}
    path.write_text(json.dumps(content))
    assert path.stat().st_size > 2 << 16
    assert is_coco_file(str(path)) and first_names(str(path)) == ['caf\xe9 "1".png']


def test_several_files(tmp_path):
    make(tmp_path, {"one.json": [A], "two.json": [B]}, [A, B])
    with pytest.raises(UserError, match=r"one\.json, .*two\.json could each be .* of the set"):
        coco.find(str(tmp_path))
    write(tmp_path / "train.json", [A])
    _, (report,) = convert(tmp_path, val_fraction=0)
    assert "two.json is not used: its name is not that of a part" in str(report)
    write(tmp_path / "instances_train2014.json", [A])
    write(tmp_path / "instances_train2017.json", [A])
    with pytest.raises(UserError, match="of the part 'train': merge them"):
        coco.find(str(tmp_path))
    photo(tmp_path / "train2014" / A)
    assert coco.find(str(tmp_path)).evidence == "instances_train2014.json"


def test_missing_photos_are_counted(tmp_path):
    make(tmp_path, {"all.json": None}, PHOTOS[:6], [*PHOTOS[:9], "/elsewhere/x.png"])
    _, (report, _) = convert(tmp_path)
    assert report.skipped[MISSING] == 4 and "first missing image: 6.png" in str(report)
    for name in PHOTOS[2:6]:
        os.remove(tmp_path / name)
    with pytest.raises(UserError, match=r"all\.json lists 10 photos, but 8 of them are not in"):
        convert(tmp_path)
    for name in PHOTOS[:2]:
        os.remove(tmp_path / name)
    with pytest.raises(UserError, match="none of the photos that it lists were found"):
        convert(tmp_path)


def test_a_part_without_its_photos(tmp_path):
    make(tmp_path, SPLIT["coco"][0], [f"val2017/{B}"])
    _, (report,) = convert(tmp_path)
    assert "the part train is left out: none of the 1 photos" in str(report)
    assert names(tmp_path, "val") == [B]
    make(tmp_path, {}, [f"train2017/{A}"])
    os.remove(tmp_path / "val2017" / B)
    says = (
        "None of the 1 photos for val that .*val2017.json lists exist in .*val2017: put them there"
    )
    with pytest.raises(UserError, match=says):
        convert(tmp_path)
    write(tmp_path / "annotations" / "instances_val2017.json", [])
    with pytest.raises(UserError, match="lists no photos for val: add them, or remove"):
        convert(tmp_path)
    write(tmp_path / "annotations" / "instances_val2017.json", [A])  # Another photo of this name.
    with pytest.raises(UserError, match="only found among those for train, such as .*train2017/a"):
        convert(tmp_path)


def test_photos_without_labels(tmp_path):
    make(tmp_path, {"all.json": None}, ["x.png", "y.png", *PHOTOS], PHOTOS)
    _, (report, _) = convert(tmp_path)
    assert report.skipped[f"{UNLABELLED} left out (first: {tmp_path}/x.png)"] == 2
    _, (report, _) = convert(tmp_path, background=True, val_fraction=0.3)
    assert report.skipped[BACKGROUNDS] == 2
    examples = records(tmp_path, "train") + records(tmp_path, "val")
    backgrounds = {e.filename: e.source_id for e in examples if not len(e.classes)}
    assert backgrounds == {"x.png": "10", "y.png": "11"}


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ((1, 2), {1: "cat", 2: "dog"}),
        ((0, 1), {1: "cat", 2: "dog"}),
        ((3, 70), {1: "cat", 2: "dog"}),
        (("x", "y"), {1: "cat", 2: "dog"}),
        ((17, 18), {17: "cat", 18: "dog"}),  # COCO's own.
    ],
)
def test_category_ids(tmp_path, ids, expected):
    categories = [{"id": i, "name": n} for i, n in zip(ids, ("cat", "dog"), strict=True)]
    write(tmp_path / "all.json", [A, B], categories)
    photo(tmp_path / A), photo(tmp_path / B)
    _, (report,) = convert(tmp_path, val_fraction=0)
    assert report.labels == expected
    found = {e.class_names[0]: e.classes[0] for e in records(tmp_path, "train")}
    assert found == {name: class_id for class_id, name in expected.items()}
    has_table = "category ids became class ids" in str(report)
    assert has_table == (list(ids) != list(expected))
    assert not has_table or f"{ids[1]!r} -> 2  dog" in str(report)


def test_files_that_disagree_are_joined_by_name(tmp_path):
    write(tmp_path / "train.json", [A])
    write(tmp_path / "val.json", [A, B], [{"id": 1, "name": "dog"}, {"id": 2, "name": "owl"}])
    photo(tmp_path / A), photo(tmp_path / B)
    _, (train, val) = convert(tmp_path)
    assert train.labels == val.labels == {1: "cat", 2: "dog", 3: "owl"}
    assert JOINED in train.details and "1 -> 2  dog" in str(val)
    assert [e.classes[0] for e in records(tmp_path, "val")] == [2, 3]
    assert json.loads((tmp_path / ".out" / "labels.json").read_text()) == {
        "1": "cat", "2": "dog", "3": "owl"
    }  # fmt: skip


def test_roboflows_group_is_no_class(tmp_path):
    categories = [
        {"id": 0, "name": "animals", "supercategory": "none"},
        *({**category, "supercategory": "animals"} for category in CATEGORIES),
    ]
    for part, name in (("train", A), ("valid", B)):
        write(tmp_path / part / "_annotations.coco.json", [name], categories, used=[1])
        photo(tmp_path / part / name)
    _, reports = convert(tmp_path)
    assert [r.labels for r in reports] == [{1: "cat", 2: "dog"}] * 2
    assert [r.skipped[GROUP] for r in reports] == [1, 1]
    write(tmp_path / "train" / "_annotations.coco.json", [A], categories, used=[0])
    _, reports = convert(tmp_path)
    assert reports[0].labels == {1: "animals", 2: "cat", 3: "dog"}
    assert records(tmp_path, "val")[0].class_names == ["cat"]


def test_bursts_stay_together(tmp_path):
    photos = [f"IMG_{k // 2:04d}_{k % 2}.png" for k in range(20)]
    make(tmp_path, {"all.json": None}, photos, photos)
    _, (report, _) = convert(tmp_path, val_fraction=0.2)
    val = {name[:8] for name in names(tmp_path, "val")}
    assert len(val) == 2 and not val & {name[:8] for name in names(tmp_path, "train")}
    assert "20 photos in 10 groups" in str(report)


def test_photos_that_cannot_be_used(tmp_path):
    make(tmp_path, {"all.json": None}, PHOTOS, PHOTOS)
    (tmp_path / PHOTOS[3]).write_bytes(b"no picture")
    with pytest.raises(UserError, match="3.png.*skip such images with skip_bad"):
        convert(tmp_path, val_fraction=0)
    _, (report,) = convert(tmp_path, val_fraction=0, skip_bad=True)
    assert report.num_images == 9 and "no photos for validation" in str(report)
    for name in PHOTOS[:7]:
        (tmp_path / name).write_bytes(b"no picture")
    with pytest.raises(UserError, match="7 of 10 photos cannot be used"):
        convert(tmp_path, val_fraction=0, skip_bad=True)


def test_no_categories(tmp_path):
    make(tmp_path, {}, [A])
    write(tmp_path / "all.json", [A], [], used=[1], annotations=[])
    with pytest.raises(UserError, match="all.json has no categories"):
        convert(tmp_path)
