"""The results file of the test server: what is written, what is refused, what pycocotools reads."""

import json

import numpy as np
import pytest
from pycocotools.coco import COCO

from efficientvision.errors import UserError
from efficientvision.tasks.detection.coco_results import (
    check_results_file,
    read_image_info,
    write_results,
)

IDS = {1: 139, 2: 20000000007, 3: 7}
GOOD = {"image_id": 139, "category_id": 1, "bbox": [1.0, 2.0, 3.0, 4.0], "score": 0.5}


@pytest.fixture
def info(tmp_path):
    """An image info file of three images and two categories."""
    path = tmp_path / "image_info.json"
    content = {
        "info": {},
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "height": 90, "width": 120} for i in IDS.values()
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 90, "name": "toothbrush"}],
    }
    path.write_text(json.dumps(content))
    return path


def _rows(number, label=90):
    """Image number, x, y, width, height, score, class."""
    return np.array([[number, 1.23456, 2.5, 30, 40.009, 0.1234567, label]], np.float32)


def _saved(tmp_path, entries):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(entries))
    return path


def _for_all(**changes):
    """One good entry an image, the first with changes."""
    entries = [{**GOOD, "image_id": i} for i in IDS.values()]
    entries[0] |= changes
    return entries


def test_what_is_written_is_what_the_server_takes(info, tmp_path):
    path = tmp_path / "new" / "detections.json"
    write_results(path, [_rows(1), np.zeros((0, 7)), np.concatenate([_rows(3), _rows(2, 1)])], IDS)
    entries = json.loads(path.read_text())
    assert [entry["image_id"] for entry in entries] == [139, 7, 20000000007]
    assert entries[0] == {
        "image_id": 139, "category_id": 90, "bbox": [1.23, 2.5, 30.0, 40.01], "score": 0.12346,
    }  # fmt: skip
    assert check_results_file(path, info) == (3, 3)
    loaded = COCO(str(info)).loadRes(str(path))
    assert sorted(loaded.getImgIds()) == sorted(IDS.values())
    (annotation,) = loaded.loadAnns(loaded.getAnnIds(imgIds=[20000000007]))
    assert annotation["category_id"] == 1 and annotation["bbox"] == [1.23, 2.5, 30.0, 40.01]


def test_no_detections_are_an_empty_list(tmp_path):
    write_results(tmp_path / "empty.json", [], {})
    assert json.loads((tmp_path / "empty.json").read_text()) == []


def test_an_error_leaves_no_file(tmp_path):
    with pytest.raises(KeyError):
        write_results(tmp_path / "results.json", [_rows(1), _rows(9)], IDS)
    broken = _rows(2)
    broken[0, 5] = np.nan
    with pytest.raises(UserError, match="Image 20000000007 .*detections that are not finite"):
        write_results(tmp_path / "results.json", [_rows(1), broken], IDS)
    assert list(tmp_path.iterdir()) == []


def test_missing_and_foreign_images_are_refused(info, tmp_path):
    with pytest.raises(UserError, match=r"1 of 3 images of .*missing \(ids 139\).*eval_samples=3"):
        check_results_file(_saved(tmp_path, _for_all()[1:]), info)
    with pytest.raises(UserError, match="3 of 3 images of .* missing"):
        check_results_file(_saved(tmp_path, []), info)
    entries = [*_for_all(), *({**GOOD, "image_id": 1000 + i} for i in range(9))]
    with pytest.raises(UserError, match=r"9 of 12 images are not in .*1000, 1001, .*, \.\.\.\)"):
        check_results_file(_saved(tmp_path, entries), info)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"image_id": "139"}, "image_id '139'"),
        ({"category_id": 1.0}, "category_id 1.0"),
        ({"category_id": 2}, "category_id 2, which is not in the info file"),
        ({"bbox": [1, 2, 3]}, "not four finite numbers"),
        ({"bbox": [1, 2, 3, float("nan")]}, "not four finite numbers"),
        ({"bbox": [1, 2, -3, 4]}, "negative size"),
        ({"score": None}, "not a finite number"),
        ({"score": float("inf")}, "not a finite number"),
        ({"area": 7}, "and no others"),
    ],
)
def test_malformed_entries_are_refused(info, tmp_path, change, fault):
    with pytest.raises(UserError, match="entry 0 .*" + fault):
        check_results_file(_saved(tmp_path, _for_all(**change)), info)


def test_files_that_are_something_else(info, tmp_path):
    with pytest.raises(UserError, match="Cannot read .*absent.json"):
        check_results_file(tmp_path / "absent.json", info)
    with pytest.raises(UserError, match="does not contain a list of detections"):
        check_results_file(_saved(tmp_path, {"images": []}), info)
    (tmp_path / "cut.json").write_text('[{"image_id": 1')
    with pytest.raises(UserError, match="cut.json is not valid JSON"):
        check_results_file(tmp_path / "cut.json", info)
    for content, fault in (
        ({"categories": []}, "no list 'images'"),
        ({"images": []}, "lists no images"),
        ({"images": [{"file_name": "a.jpg"}]}, "needs an id"),
    ):
        info.write_text(json.dumps(content))
        with pytest.raises(UserError, match=fault):
            read_image_info(info)
    info.write_text(json.dumps({"images": [{"id": 1}]}))
    found = read_image_info(info)
    assert [image["id"] for image in found["images"]] == [1] and found["categories"] == []
