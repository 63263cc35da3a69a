"""COCO files as people's tools write them: names, paths, halves of characters, other kinds."""

import io
import json
import unicodedata

import numpy as np
import pytest
from PIL import Image

from efficientvision.data import coco_format
from efficientvision.data.coco_images import BY_TAIL, TWICE, UNLISTED
from efficientvision.data.coco_json import FLAT, ORPHANS, TWIN
from efficientvision.data.json_values import HALVED
from efficientvision.data.record_files import iter_records, match_files
from efficientvision.data.records import decode_example
from efficientvision.errors import UserError

BOX = {"bbox": [4, 6, 20, 10], "area": 200.0, "iscrowd": 0}


@pytest.fixture
def convert(tmp_path):
    """convert(change, ...) of a set of two photos, changed by a function of its content."""
    for name in ("1.png", "2.png"):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.new("RGB", (48, 32), (int(name[0]), 0, 0)).save(tmp_path / "photos" / name)

    def run(change=lambda content: None, name="truth.json", prefix="out/set", **options):
        content = {
            "images": [
                {"id": i, "file_name": f"{i}.png", "width": 48, "height": 32} for i in (1, 2)
            ],
            "annotations": [{"id": i, "image_id": i, "category_id": i, **BOX} for i in (1, 2)],
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        }
        change(content)
        (tmp_path / name).write_text(json.dumps(content))
        (report,) = coco_format.convert(
            str(tmp_path / "photos"), f"{tmp_path}/{prefix}", num_shards=1, num_workers=1,
            object_annotations_file=str(tmp_path / name), **options,
        )  # fmt: skip
        return report

    return run


def read(tmp_path, prefix="out/set"):
    paths = match_files(f"{tmp_path}/{prefix}-*.tfrecord")
    return [decode_example(record) for path in paths for record in iter_records(path)]


def test_two_categories_of_one_name(convert):
    def same(content):
        for category, form in zip(content["categories"], ("NFC", "NFD"), strict=True):
            category["name"] = unicodedata.normalize(form, "caf\xe9")

    with pytest.raises(UserError, match="two categories .* 'caf\xe9', of the ids 1 and 2"):
        convert(same)

    def one_unused(content):
        content["categories"].insert(0, {"id": 0, "name": "dog", "supercategory": "none"})

    report = convert(one_unused)
    assert (report.labels, report.skipped) == ({2: "cat", 3: "dog"}, {TWIN: 1})


def test_names_in_one_form(convert, tmp_path):
    def apart(content):
        content["categories"][0]["name"] = unicodedata.normalize("NFD", "caf\xe9")

    assert convert(apart).labels[1] == "caf\xe9"
    assert read(tmp_path)[0].class_names == ["caf\xe9"]


@pytest.mark.parametrize("place", ["category", "id", "file_name"])
def test_half_of_a_character(convert, tmp_path, place):
    def halve(content):
        if place == "category":
            content["categories"][0]["name"] = "cat \ud83d"
        elif place == "id":
            content["images"][0]["id"] = content["annotations"][0]["image_id"] = "a\ud83d"
        else:
            content["images"][0]["file_name"] = "\ud83d.png"

    report = convert(halve, skip_bad=True)
    assert report.skipped[HALVED] == (2 if place == "id" else 1)
    str(report).encode("utf8")
    first = read(tmp_path)[0]
    expected = {"category": ("1", ["cat \ufffd"]), "id": ("a\ufffd", ["cat"])}
    assert (first.source_id, first.class_names) == expected.get(place, ("2", ["dog"]))


def test_whole_characters_stay(convert):
    report = convert(lambda c: c["categories"][0].update(name="cat \U0001f63a"))
    assert report.labels[1] == "cat \U0001f63a" and not report.skipped


def test_paths_of_a_labelling_server(convert, tmp_path):
    def upload(content, folders=("1", "2")):
        for image, folder in zip(content["images"], folders, strict=True):
            image["file_name"] = f"/data/upload/{folder}/{image['file_name']}"

    for options in ({}, {"allow_outside": True}):
        report = convert(upload, **options)
        assert (report.num_images, report.skipped) == (2, {BY_TAIL: 2})

    def same_end(content):
        upload(content)
        content["images"][1]["file_name"] = "/data/upload/2/1.png"

    with pytest.raises(UserError, match=r"'/data/upload/1/1.png' and '/data/upload/2/1.png'"):
        convert(same_end)


def test_one_photo_under_two_ids(convert):
    assert convert(lambda c: c["images"][1].update(file_name="1.png")).skipped == {TWICE: 1}


def test_images_that_another_file_lists(convert, tmp_path):
    def info(*ids):
        path = tmp_path / "info.json"
        images = [{"id": i, "file_name": "1.png", "width": 48, "height": 32} for i in ids]
        path.write_text(json.dumps({"images": images}))
        return str(path)

    with pytest.raises(UserError, match=r"info\.json lists none of the images that .*truth\.json"):
        convert(image_info_file=info(51))
    report = convert(image_info_file=info(1))
    assert (report.num_images, report.num_boxes, report.skipped) == (1, 1, {UNLISTED: 1})


def test_files_of_other_kinds(convert):
    panoptic = [{"image_id": 1, "file_name": "1.png", "segments_info": [{"id": 1}]}]
    with pytest.raises(UserError, match=r"truth\.json is a panoptic file"):
        convert(lambda c: c.update(annotations=panoptic))

    def fractions(content):
        for annotation in content["annotations"]:
            annotation["bbox"] = [0.1, 0.2, 0.3, 0.4]

    with pytest.raises(UserError, match=r"all 2 boxes are within 0\.\.1\.5"):
        convert(fractions)


def test_a_flat_outline(convert, tmp_path):
    flat = [4, 6, 24, 6, 24, 16, 4, 16]
    report = convert(lambda c: c["annotations"][0].update(segmentation=flat), include_masks=True)
    assert report.skipped == {FLAT: 1}
    mask = np.asarray(Image.open(io.BytesIO(read(tmp_path)[0].masks[0])))
    assert mask.sum() == 200 and mask[7, 5] == 1


def test_all_photos_missing_or_spoilt(convert, tmp_path):
    for name in ("1.png", "2.png"):
        (tmp_path / "photos" / name).write_text("<html>")
    with pytest.raises(UserError, match="No image is left, as none can be used") as raised:
        convert(skip_bad=True)
    assert len(raised.value.lines) == 2
    for name in ("1.png", "2.png"):
        (tmp_path / "photos" / name).unlink()
    with pytest.raises(UserError, match="None of the 2 images .* `image_dir`"):
        convert(skip_bad=True)


def test_parts_that_lack_the_first_category(convert):
    def from_zero(content, first=0):
        names = enumerate("abc")
        content["categories"] = [{"id": i, "name": n} for i, n in names if i >= first]

    assert "WARNING" not in str(convert(from_zero, prefix="out/train"))
    report = convert(lambda c: from_zero(c, first=1), prefix="out/val")
    assert "'b' is 1 here, 2 there" in str(report)


def test_orphans_alone_are_counted(convert):
    report = convert(lambda c: [a.update(image_id=9) for a in c["annotations"]])
    assert (report.num_boxes, report.skipped) == (0, {ORPHANS: 2})
