"""COCO files as tools write them: ids, sizes and flags of every kind."""

import json

import pytest

from efficientvision.data import coco_json
from efficientvision.errors import UserError

IMAGES = [
    {"id": 1, "file_name": "a.jpg", "width": 60, "height": 40},
    {"id": 2, "file_name": "b.jpg", "width": 60, "height": 40},
]
BOX = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}
CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]


@pytest.fixture
def read(tmp_path):
    def call(reader=coco_json.read_instances, text=None, **content):
        path = tmp_path / "truth.json"
        base = {"images": IMAGES, "annotations": [BOX], "categories": CATEGORIES}
        path.write_bytes(text if text is not None else json.dumps({**base, **content}).encode())
        return reader(str(path))

    return call


@pytest.mark.parametrize(
    ("image_id", "annotation_id", "key"),
    [
        (7, "7", 7),
        ("7", 7, 7),
        (7.0, 7, 7),
        ("007", "007", "007"),
        ("-3", -3, -3),
        ("x/1", "x/1", "x/1"),
    ],
)
def test_ids_as_numbers_and_text(read, image_id, annotation_id, key):
    file = read(
        images=[{**IMAGES[0], "id": image_id}], annotations=[{**BOX, "image_id": annotation_id}]
    )
    assert [image["id"] for image in file.images] == [key]
    assert [a["bbox"] for a in file.by_image[key]] == [[1, 2, 3, 4]]


def test_annotations_of_no_image_are_counted_and_shown(read):
    file = read(annotations=[BOX, {**BOX, "id": 8, "image_id": 9}, {**BOX, "image_id": "007"}])
    assert file.notes == {coco_json.ORPHANS: 2} and "id 8, image_id 9" in "".join(file.details)
    assert len(file.by_image[1]) == 1


def test_repeated_ids_name_both(read):
    with pytest.raises(UserError, match=r"image id 1 twice, for 'a\.jpg' and 'b\.jpg'"):
        read(images=[IMAGES[0], {**IMAGES[1], "id": "1"}])
    with pytest.raises(UserError, match="category id 1 twice, as 'cat' and 'dog'"):
        read(categories=[CATEGORIES[0], {"id": 1.0, "name": "dog"}])


def test_what_exporters_leave_out(read):
    nothing = dict.fromkeys(("area", "iscrowd", "segmentation", "difficult"))
    file = read(
        images=[{"id": 1, "file_name": "a.jpg", "width": None, "height": ""}],
        annotations=[
            {**BOX, **nothing},
            {**BOX, "iscrowd": "1", "area": "7.5", "bbox": list("1234")},
        ],
        categories=[{"id": 1, "name": None}, {"id": 2}],
    )
    first, second = file.by_image[1]
    assert (first["area"], first["iscrowd"], first["segmentation"]) == (None, 0, [])
    assert (second["area"], second["iscrowd"], second["bbox"]) == (7.5, 1, [1, 2, 3, 4])
    assert file.labels == {1: "class 1", 2: "class 2"} and file.notes == {coco_json.UNNAMED: 2}
    assert (file.images[0]["height"], file.images[0]["width"]) == (None, None)


def test_boxes_that_are_none(read):
    outline = [[10, 5, 20, 5, 20, 9]]
    boxes = [
        {"bbox": []},
        {"bbox": None},
        {"bbox": [1, 2, 0, 4]},
        {"bbox": [1, float("nan"), 3, 4]},
        {"bbox": None, "segmentation": outline},
    ]
    file = read(annotations=[{**BOX, **box} for box in boxes])
    assert file.notes == {
        coco_json.NO_BOX: 2,
        coco_json.EMPTY: 1,
        coco_json.NOT_FINITE: 1,
        coco_json.FROM_OUTLINE: 1,
    }
    assert [a["bbox"] for a in file.by_image[1]] == [[10, 5, 10, 4]]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ((1, 90), (1, 90)),
        ((0, 1), (1, 2)),
        ((-1, 3), (1, 5)),
        (("b", "a"), (2, 1)),
        ((40_000_017, 12_345_678), (2, 1)),
    ],
)
def test_category_ids_become_class_ids(read, ids, expected):
    file = read(
        categories=[{"id": number, "name": name} for number, name in zip(ids, "xy", strict=True)],
        annotations=[{**BOX, "category_id": number} for number in ids],
    )
    assert {file.labels[number] for number in expected} == {"x", "y"}
    assert [a["category_id"] for a in file.by_image[1]] == list(expected)
    assert bool(file.details) == (ids != expected)


def test_marks_before_the_text(read):
    text = json.dumps({"images": IMAGES, "annotations": [], "categories": CATEGORIES})
    assert len(read(text=b"\xef\xbb\xbf" + text.encode()).images) == 2
    for encoded in (text.encode("utf-16"), text.replace("cat", "k\xe4tzchen").encode("latin-1")):
        if encoded.isascii():
            continue
        with pytest.raises(UserError, match=r"truth\.json is .*: save it as UTF-8|not valid JSON"):
            read(text=encoded)


def test_a_file_of_another_kind(read):
    with pytest.raises(UserError, match="captions, not boxes.*caption_annotations_file"):
        read(annotations=[{"id": 1, "image_id": 1, "caption": "a cat"}])
    with pytest.raises(UserError, match="contains no captions.*object_annotations_file"):
        read(coco_json.read_captions)
    for text in (
        b"[" * 100_000,
        b'{"images": ' + b"9" * 5000 + b"}",
        b"[]",
        b'{"images": [1]}',
        b"{",
    ):
        with pytest.raises(UserError, match=r"truth\.json"):
            read(text=text)


@pytest.mark.parametrize(
    "change",
    [
        {"annotations": ["x"]},
        {"annotations": [{**BOX, "bbox": "1234"}]},
        {"annotations": [{**BOX, "bbox": [1, 2, "x", 4]}]},
        {"annotations": [{**BOX, "bbox": {"x": 1}}]},
        {"annotations": [{**BOX, "category_id": None}]},
        {"annotations": [{**BOX, "area": [1]}]},
        {"annotations": {}},
        {"images": [{"id": None, "file_name": "a"}]},
        {"images": [{"id": True, "file_name": "a"}]},
        {"images": [{"id": 1, "file_name": 5}]},
        {"images": [{"id": 1, "file_name": "a", "width": {}}]},
        {"categories": [{"name": "x"}]},
        {"categories": "cat"},
    ],
)
def test_entries_without_sense_are_named(read, change):
    with pytest.raises(UserError, match=r"truth\.json"):
        read(**change)
