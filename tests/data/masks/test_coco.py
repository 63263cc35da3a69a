"""COCO's objects become masks of VOC's classes."""

import json
import pathlib

import numpy as np
import pytest
from pycocotools import mask as mask_api

from efficientvision.data.masks import coco, convert
from efficientvision.errors import UserError
from tests.made_mask_files import read_masks, save

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "goldens" / "edgenets"
PERSON, DOG, TRUCK = 1, 18, 8  # COCO's categories; VOC's classes 15, 12 and none.
HEIGHT, WIDTH = 260, 300


def rectangle(top, left, bottom, right):
    return [[left, top, right, top, right, bottom, left, bottom]]


@pytest.fixture
def content():
    """1: a dog before a person; 2: a crowd; 3: a truck; 4: too small; 5: one class all over."""
    crowd = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    crowd[200:] = 1
    runs = mask_api.encode(crowd)
    runs["counts"] = runs["counts"].decode()
    objects = [
        (1, DOG, rectangle(20, 30, 100, 120)),
        (1, PERSON, rectangle(50, 60, 200, 250)),
        (1, TRUCK, rectangle(0, 0, 20, 20)),
        (2, PERSON, runs),
        (3, TRUCK, rectangle(20, 30, 100, 120)),
        (4, DOG, rectangle(20, 30, 100, 120)),
        (5, DOG, rectangle(0, 0, HEIGHT, WIDTH)),
    ]
    return {
        "images": [
            {"id": k, "file_name": f"{k}.png", "height": 200 if k == 4 else HEIGHT, "width": WIDTH}
            for k in range(1, 6)
        ],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": category,
                "segmentation": outline,
                "bbox": [0, 0, 10, 10],
                "area": 100,
                "iscrowd": int(isinstance(outline, dict)),
            }
            for number, (image, category, outline) in enumerate(objects)
        ],
        "categories": [
            {"id": PERSON, "name": "person"},
            {"id": DOG, "name": "dog"},
            {"id": TRUCK, "name": "truck"},
        ],
    }


def converted(folder, content):
    for info in content["images"]:
        image = np.full((info["height"], info["width"], 3), 90, np.uint8)
        save(folder / "train2017" / info["file_name"], image)
    (folder / "instances.json").write_text(json.dumps(content))
    found, skipped = coco.find(str(folder / "train2017"), str(folder / "instances.json"))
    (report,) = convert.convert(
        found,
        str(folder / "out"),
        coco.rasterize,
        coco.LABELS,
        min_values=coco.MIN_VALUES,
        skipped=skipped,
        num_workers=1,
    )
    return report


def test_categories_are_the_published_ones():
    facts = json.loads((GOLDENS / "dataset_facts.json").read_text())
    assert list(coco.CATEGORIES) == facts["coco_to_voc_categories"]
    assert list(coco.LABELS.values()) == facts["class_lists"]["voc_seg_21"]


def test_objects_become_masks(tmp_path, content):
    report = converted(tmp_path, content)
    masks = read_masks(report)
    assert sorted(masks) == ["1", "2"]
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[50:200, 60:250] = 15
    expected[20:100, 30:120] = 12  # The first of the file is in front.
    np.testing.assert_array_equal(masks["1"], expected)
    np.testing.assert_array_equal(np.unique(masks["2"][:200]), [0])
    np.testing.assert_array_equal(np.unique(masks["2"][200:]), [15])
    assert report.skipped == {
        "images with a side below 256 pixels left out": 1,
        "images without objects of VOC's classes left out": 1,
        "images left out, as their mask has a single value": 1,
    }
    assert "coco_train2017-00000-of-" in report.files[0]


def test_an_outline_that_makes_no_sense(tmp_path, content):
    content["annotations"][0]["segmentation"] = [[1, 2]]
    with pytest.raises(UserError, match="1.png: annotation 0 has no valid outline"):
        converted(tmp_path, content)


def test_an_image_that_is_missing(tmp_path, content):
    converted(tmp_path, content)
    (tmp_path / "train2017" / "1.png").unlink()
    found, _ = coco.find(str(tmp_path / "train2017"), str(tmp_path / "instances.json"))
    with pytest.raises(UserError, match="1.png is listed in .*instances.json but missing"):
        convert.convert(found, str(tmp_path / "out"), coco.rasterize, coco.LABELS, num_workers=1)
