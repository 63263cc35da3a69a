"""PASCAL folders as people's tools leave them: which photo an XML has, and what is counted."""

import json
import unicodedata

import numpy as np
import pytest
from PIL import Image

from efficientvision.data import pascal
from efficientvision.data.annotation_frame import CUT, OUTSIDE
from efficientvision.data.conversion import LEFT_OUT
from efficientvision.data.record_files import iter_records, match_files
from efficientvision.data.records import decode_example
from efficientvision.errors import UserError

WIDTH, HEIGHT = 48, 32


def photo(path, grey=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT), (grey,) * 3).save(path)


def xml(path, box=(1, 2, 20, 30), name="cat", filename=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    sides = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    path.write_text(
        "<annotation>"
        + (f"<filename>{filename}</filename>" if filename else "")
        + f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size><object>"
        + f"<name>{name}</name><bndbox>"
        + "".join(f"<{side}>{value}</{side}>" for side, value in sides)
        + "</bndbox></object></annotation>"
    )


def convert(folder, set_name="train", year=".", prefix="out/train", **options):
    (report,) = pascal.convert(
        str(folder), year, set_name, str(folder / prefix), num_shards=1, num_workers=1, **options
    )
    return report


def read(folder, prefix="out/train"):
    paths = match_files(f"{folder}/{prefix}-*.tfrecord")
    return [decode_example(record) for path in paths for record in iter_records(path)]


def test_the_xmls_own_name_comes_before_a_stale_filename(tmp_path):
    for k, (stem, stated) in enumerate((("a", "b.png"), ("b", "a.png"), ("c", "a.png"))):
        photo(tmp_path / f"{stem}.png", grey=10 + k)
        xml(tmp_path / f"{stem}.xml", box=(1, 2, 20 + k, 30), filename=stated)
    report = convert(tmp_path)
    found = {e.filename: (e.encoded, e.boxes_yxyx[0, 3].round(3)) for e in read(tmp_path)}
    assert {name: right for name, (_, right) in found.items()} == {
        "a.png": 20, "b.png": 21, "c.png": 22
    }  # fmt: skip
    assert all(found[f"{s}.png"][0] == (tmp_path / f"{s}.png").read_bytes() for s in "abc")
    assert report.skipped[pascal.RENAMED] == 3


def test_filename_where_no_photo_has_the_xmls_name(tmp_path):
    photo(tmp_path / "JPEGImages" / "photo.png")
    xml(tmp_path / "Annotations" / "1.xml", filename="C:\\pictures\\photo.png")
    convert(tmp_path)
    assert [e.filename for e in read(tmp_path)] == ["photo.png"]


def test_two_annotations_of_one_photo(tmp_path):
    photo(tmp_path / "a.png")
    for stem in ("0", "a"):
        xml(tmp_path / f"{stem}.xml", filename="a.png")
    with pytest.raises(UserError, match=r"0\.xml leads to the photo .*a\.png, which .*a\.xml"):
        convert(tmp_path)
    report = convert(tmp_path, skip_bad=True)
    assert (report.num_images, report.skipped[LEFT_OUT]) == (1, 1)
    assert [e.source_id for e in read(tmp_path)] == ["2"]  # That of a.xml.


def test_boxes_over_the_edge(tmp_path):
    boxes = [(-20, 10, 40, 30), (30, 5, WIDTH, HEIGHT), (47.5, 5, 90, 20), (60, 1, 70, 9)]
    for k, box in enumerate(boxes):
        photo(tmp_path / f"{k}.png", grey=k)
        xml(tmp_path / f"{k}.xml", box=box)
    report = convert(tmp_path)
    found = [e.boxes_yxyx.round(3).tolist() for e in read(tmp_path)]
    assert found == [[[10, 0, 30, 40]], [[5, 30, HEIGHT, WIDTH]], [], []]
    assert (report.skipped[CUT], report.skipped[OUTSIDE], report.num_boxes) == (1, 2, 2)
    truth = json.loads((tmp_path / "out" / "json_train.json").read_text())
    assert [a["bbox"] for a in truth["annotations"]] == [[0, 10, 40, 20], [30, 5, 18, 27]]
    assert truth["annotations"][0]["area"] == 800


def test_photos_without_an_annotation_and_endings_in_capitals(tmp_path):
    for stem in "abc":
        photo(tmp_path / f"{stem}.PNG", grey=ord(stem))
    xml(tmp_path / "a.XML")
    report = convert(tmp_path)
    assert (report.num_images, report.skipped[pascal.WITHOUT_XML]) == (1, 2)
    assert "no image lists" in str(report) and "`val_fraction`" in str(report)


def test_folders_inside_of_the_folders(tmp_path):
    for name in ("s/a", "t/a", "b"):
        photo(tmp_path / "JPEGImages" / f"{name}.png", grey=len(name))
        xml(tmp_path / "annotations" / f"{name}.xml", filename=f"{name}.png")
    assert convert(tmp_path).num_images == 3
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "default.txt").write_text("t/a\nb\n")
    with pytest.raises(UserError, match=r"train\.txt .*there is default: choose one with `set`"):
        convert(tmp_path)
    report = convert(tmp_path, "default")
    assert (report.num_images, report.skipped) == (2, {})


def test_spoilt_annotations_can_be_left_out(tmp_path):
    for stem in "abc":
        photo(tmp_path / f"{stem}.png", grey=ord(stem))
    xml(tmp_path / "a.xml", name="ant")
    (tmp_path / "b.xml").write_text("")
    xml(tmp_path / "c.xml", name="")
    with pytest.raises(UserError, match=r"b\.xml is not valid XML.*skip_bad"):
        convert(tmp_path)
    report = convert(tmp_path, skip_bad=True)
    assert (report.labels, report.skipped[LEFT_OUT]) == ({1: "ant"}, 2)
    for stem in "ac":
        (tmp_path / f"{stem}.xml").write_text("")
    with pytest.raises(UserError, match="None of the 3 annotations"):
        convert(tmp_path, skip_bad=True)


def test_a_missing_photo_without_filename(tmp_path):
    xml(tmp_path / "a.xml")
    with pytest.raises(UserError, match=r"no file a with a picture's extension"):
        convert(tmp_path)


def test_fractions_are_no_pixels(tmp_path):
    photo(tmp_path / "a.png")
    xml(tmp_path / "a.xml", box=(0.1, 0.2, 0.4, 1.0))
    with pytest.raises(UserError, match=r"a\.xml: all boxes are within 0\.\.1\.5"):
        convert(tmp_path)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_in_two_forms_of_unicode_are_one_class(tmp_path, form):
    for k, own in enumerate(("NFC", "NFD")):
        photo(tmp_path / f"{k}.png", grey=k)
        xml(tmp_path / f"{k}.xml", name=unicodedata.normalize(own, "caf\xe9"))
    assert convert(tmp_path).labels == {1: "caf\xe9"}
    path = tmp_path / "map.json"
    path.write_text(json.dumps({"7": unicodedata.normalize(form, "caf\xe9")}))
    convert(tmp_path, label_map_json_path=str(path))
    assert [e.classes for e in read(tmp_path)] == [[7], [7]]


def test_label_maps_that_cannot_be_meant(tmp_path):
    photo(tmp_path / "a.png")
    xml(tmp_path / "a.xml")
    path = tmp_path / "map.json"
    for content, sentence in (
        ({"cat": 0, "dog": 1}, "class id 0 to 'cat', but ids start at 1"),
        ({"1": "cat", "3": "cat"}, "'cat' twice, with the ids 1 and 3"),
        ({"1": "cat \ud83d"}, "half of a character"),
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(UserError, match=sentence):
            convert(tmp_path, label_map_json_path=str(path))


def test_parts_that_number_the_classes_differently(tmp_path):
    for part, names in (("train", ("apple", "banana", "cherry")), ("valid", ("apple", "cherry"))):
        for k, name in enumerate(names):
            photo(tmp_path / part / f"{part}{k}.png", grey=k)
            xml(tmp_path / part / f"{part}{k}.xml", name=name)
    train = convert(tmp_path, year="train", prefix="out/train")
    assert "WARNING" not in str(train)
    report = convert(tmp_path, year="valid", prefix="out/val")
    assert "'cherry' is 2 here, 3 there" in str(report)
    labels = str(tmp_path / "out" / "labels.json")
    assert f"`label_map_json_path={labels}`" in str(report)
    report = convert(tmp_path, year="valid", prefix="out/val", label_map_json_path=labels)
    assert "WARNING" not in str(report)
    np.testing.assert_array_equal([e.classes for e in read(tmp_path, "out/val")], [[1], [3]])


def test_a_folder_is_no_prefix(tmp_path):
    photo(tmp_path / "a.png")
    xml(tmp_path / "a.xml")
    with pytest.raises(UserError, match=r"out/ is a folder, .* such as .*out/train"):
        pascal.convert(str(tmp_path), ".", "train", f"{tmp_path}/out/", num_workers=1)
    assert not (tmp_path / "out").exists()
