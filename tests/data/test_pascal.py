"""PASCAL folders -> records and ground truth."""

import json
import os

import numpy as np
import pytest

from efficientvision.data import pascal, pascal_files
from efficientvision.data.record_files import iter_records, match_files
from efficientvision.data.records import decode_example
from efficientvision.errors import UserError


def convert(folder, output, set_name="train", **options):
    data_dir, year, _ = folder
    options = {"num_shards": 2, "num_workers": 1, **options}
    (report,) = pascal.convert(data_dir, year, set_name, str(output), **options)
    return report


def read(prefix):
    examples = [
        decode_example(r) for p in match_files(f"{prefix}-*.tfrecord") for r in iter_records(p)
    ]
    return sorted(examples, key=lambda e: int(e.source_id))


def test_records_and_json_agree(voc_folder, tmp_path):
    add = voc_folder[2]
    add("one", [("cell", (5, 6, 25, 36)), ("bad", (30, 6, 30, 36)), ("ant", (1, 1, 64, 48))])
    add("two", [], suffix=".png", size=(30, 20))
    add("three", [("bad", (5, 40, 25, 36)), ("cell", (2.5, 3, 10, 11), "difficult")])
    add("four", [("bee", (1, 1, 9, 9))], set_file="val.txt")
    report = convert(voc_folder, tmp_path / "out" / "pascal")
    # In alphabetical order, over all annotations: val's bee has its place in train's map too.
    assert report.labels == {1: "ant", 2: "bad", 3: "bee", 4: "cell"}
    assert (report.num_images, report.num_boxes) == (3, 3)
    assert list(report.skipped.values()) == [2] and "degenerate" in str(report)
    examples = read(tmp_path / "out" / "pascal")
    assert [e.source_id for e in examples] == ["1", "2", "3"]
    assert [e.filename for e in examples] == ["one.jpg", "two.png", "three.jpg"]
    assert [e.image_format for e in examples] == ["jpeg", "png", "jpeg"]
    np.testing.assert_allclose(examples[0].boxes_yxyx, [[6, 5, 36, 25], [1, 1, 48, 64]], atol=1e-4)
    assert examples[0].classes == [4, 1] and examples[0].views == ["Left", "Left"]
    np.testing.assert_allclose(examples[0].areas[0], 20 * 30 / (64 * 48), rtol=1e-6)
    assert examples[1].classes == [] and (examples[1].height, examples[1].width) == (20, 30)
    assert examples[2].difficult == [1]

    truth = json.load(open(tmp_path / "out" / "json_pascal.json"))
    assert [i["id"] for i in truth["images"]] == [1, 2, 3]
    boxes = [(a["image_id"], a["category_id"], a["bbox"], a["area"]) for a in truth["annotations"]]
    assert boxes == [
        (1, 4, [5, 6, 20, 30], 600),
        (1, 1, [1, 1, 63, 47], 2961),
        (3, 4, [2.5, 3, 7.5, 8], 60),
    ]
    assert [c["name"] for c in truth["categories"]] == ["ant", "bad", "bee", "cell"]
    assert json.load(open(tmp_path / "out" / "labels.json"))["4"] == "cell"
    from pycocotools.coco import COCO

    assert len(COCO(str(tmp_path / "out" / "json_pascal.json")).getAnnIds()) == 3


def test_difficult_objects_can_be_left_out(voc_folder, tmp_path):
    voc_folder[2]("one", [("dog", (1, 1, 9, 9)), ("cat", (1, 1, 9, 9), "difficult")])
    report = convert(voc_folder, tmp_path / "p", ignore_difficult=True)
    assert report.num_boxes == 1
    assert report.labels[8] == "cat" and report.labels[12] == "dog" and len(report.labels) == 20


def test_lists(voc_folder, tmp_path):
    data_dir, year, add = voc_folder
    for stem, file in [("a", "dog_train.txt"), ("b", "cat_train.txt"), ("c", "cat_trainval.txt")]:
        add(stem, [("dog", (1, 1, 9, 9))], set_file=file)
    assert sorted(pascal_files.read_image_list(f"{data_dir}/{year}", "train")) == ["a", "b"]
    add("a2", [("dog", (1, 1, 9, 9))], set_file="train.txt")
    assert pascal_files.read_image_list(f"{data_dir}/{year}", "train") == ["a2"]
    assert convert(voc_folder, tmp_path / "p", "trainval", num_images=1).num_images == 1
    with pytest.raises(UserError, match=r"minival\.txt"):
        convert(voc_folder, tmp_path / "p", "minival")


def test_merged_years(voc_folder, tmp_path):
    data_dir, year, add = voc_folder
    add("a", [("dog", (1, 1, 9, 9))])
    os.rename(f"{data_dir}/{year}", f"{data_dir}/VOC2007")
    with pytest.raises(UserError, match="VOC2012 is not a folder"):
        pascal.convert(data_dir, "merged", "train", str(tmp_path / "p"))
    import shutil

    shutil.copytree(f"{data_dir}/VOC2007", f"{data_dir}/VOC2012")
    (report,) = pascal.convert(data_dir, "merged", "train", str(tmp_path / "p"), num_workers=1)
    assert [e.source_id for e in read(tmp_path / "p")] == ["1", "2"] and report.num_images == 2


def test_wrong_size_in_the_annotation(voc_folder, tmp_path):
    voc_folder[2]("a", [("dog", (1, 1, 9, 9))], size=(64, 48), stated=(0, 0))
    report = convert(voc_folder, tmp_path / "p")
    assert "without a size" in str(report)
    (example,) = read(tmp_path / "p")
    np.testing.assert_allclose(example.boxes_yxyx, [[1, 1, 9, 9]], atol=1e-4)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("class", r"b\.xml has an object of class 'yeti'.*label map"),
        ("xml", r"b\.xml is not valid XML"),
        ("image", r"b\.jpg does not exist"),
        ("number", r"b\.xml: bndbox/xmin must be a number"),
        ("missing", r"b\.xml is missing"),
        ("picture", r"b\.jpg' is not a picture"),
    ],
)
def test_damage_is_named_and_leaves_nothing(voc_folder, tmp_path, damage, message):
    data_dir, year, add = voc_folder
    add("a", [("dog", (1, 1, 9, 9))])
    add("b", [("yeti" if damage == "class" else "dog", (1, 1, 9, 9))])
    (tmp_path / "map.json").write_text('{"dog": 1}')
    xml, jpg = f"{data_dir}/{year}/Annotations/b.xml", f"{data_dir}/{year}/JPEGImages/b.jpg"
    text = open(xml).read()
    if damage == "xml":
        open(xml, "w").write(text[:50])
    elif damage == "image":
        os.remove(jpg)
    elif damage == "number":
        open(xml, "w").write(text.replace("<xmin>1<", "<xmin>one<"))
    elif damage == "missing":
        os.remove(xml)
    elif damage == "picture":
        open(jpg, "w").write("no picture")
    output = tmp_path / "out" / "p"
    with pytest.raises(UserError, match=message):
        convert(voc_folder, output, label_map_json_path=str(tmp_path / "map.json"))
    assert not output.parent.exists()


def test_bccd(shared_dir, tmp_path):
    folder = shared_dir / "data" / "bccd" / "VOCdevkit"
    if not folder.exists():
        pytest.skip(f"needs {folder}")
    reports = {
        name: pascal.convert(str(folder), "BCCD", name, str(tmp_path / name), num_shards=2)[0]
        for name in ("train", "val")
    }
    assert {n: r.num_images for n, r in reports.items()} == {"train": 205, "val": 87}
    # 3,943 boxes, two of them degenerate.
    assert sum(r.num_boxes for r in reports.values()) == 3941
    assert sum(sum(r.skipped.values()) for r in reports.values()) == 2
    assert reports["train"].labels == reports["val"].labels == {1: "Platelets", 2: "RBC", 3: "WBC"}
