"""Evaluation records against a COCO file, against each other, and against training."""

import json

import numpy as np
import pytest

from efficientvision.data.ground_truth import coco_ground_truth
from efficientvision.errors import UserError
from efficientvision.preflight.file_checks import overlap_findings
from efficientvision.preflight.findings import ERROR, OK, WARNING
from efficientvision.preflight.record_scan import scan_records
from efficientvision.tasks.detection.ground_truth_checks import id_findings
from tests.example_records import HEIGHT, WIDTH, example, photo

BOXES = [(10, 20, 30, 60), (5, 50, 45, 80)]


@pytest.fixture
def pattern(write):
    return write([example(i, BOXES, [1, 2]) for i in range(3)])


@pytest.fixture
def truth_file(pattern, tmp_path):
    """Writes the records' own ground truth as JSON, changed by a function; returns its path."""

    def write_file(change=lambda content: None):
        content = coco_ground_truth(pattern)
        change(content)
        path = tmp_path / "truth.json"
        path.write_text(json.dumps(content))
        return str(path)

    return write_file


def test_ids_and_boxes_that_agree(pattern, truth_file):
    ids, boxes = id_findings(scan_records(pattern), truth_file())
    assert (ids.level, ids.found) == (OK, "3 image ids, all of them in truth.json")
    assert boxes.level == OK and boxes.found.startswith("100% of the records' boxes")


def test_ids_that_the_file_lacks(pattern, truth_file):
    def renumber(content):
        for image in content["images"]:
            image["id"] += 1000

    (row,) = id_findings(scan_records(pattern), truth_file(renumber))
    assert row.level == ERROR
    assert row.found == "3 of 3 image ids are not in truth.json: 1, 2, 3 (it has 1001, 1002, 1003)"


@pytest.mark.parametrize(("shift", "word"), [(-1, "lower"), (1, "higher")])
def test_other_class_ids_in_the_file(pattern, truth_file, shift, word):
    def renumber(content):
        for annotation in content["annotations"]:
            annotation["category_id"] += shift

    _, row = id_findings(scan_records(pattern), truth_file(renumber))
    assert row.level == ERROR and f"one {word}" in row.found


def swap_keys(box):
    size = np.array([HEIGHT, WIDTH] * 2)
    return (np.array(box) / size)[[1, 0, 3, 2]] * size


@pytest.mark.parametrize("swap", [swap_keys, lambda box: np.array(box)[[1, 0, 3, 2]]])
def test_x_and_y_swapped_against_the_file(pattern, truth_file, write, swap):
    swapped = [example(i, [swap(box) for box in BOXES], [1, 2]) for i in range(3)]
    _, row = id_findings(scan_records(write(swapped, "swapped")), truth_file())
    assert row.level == ERROR
    assert "x and y are swapped: 0% of the boxes are in truth.json, but 100%" in row.found


def test_other_boxes_than_the_files(pattern, truth_file):
    def move(content):
        for annotation in content["annotations"][:4]:
            annotation["bbox"][0] += 7

    _, row = id_findings(scan_records(pattern), truth_file(move))
    assert row.level == WARNING and "only 33%" in row.found


def test_a_file_without_annotations(pattern, truth_file):
    (row,) = id_findings(scan_records(pattern), truth_file(lambda c: c["annotations"].clear()))
    assert row.level == ERROR and "has no annotations" in row.found


def test_annotations_that_are_left_out(pattern, truth_file):
    def lose(content):
        content["annotations"][0]["image_id"] = 999

    _, left_out, boxes = id_findings(scan_records(pattern), truth_file(lose))
    assert left_out.level == WARNING and "1 annotations of images that" in left_out.found
    assert boxes.level == WARNING and boxes.found.startswith("83% of the records' boxes")


def test_a_file_that_is_none(pattern, tmp_path):
    (tmp_path / "truth.json").write_text("[1]")
    with pytest.raises(UserError, match="truth.json"):
        id_findings(scan_records(pattern), str(tmp_path / "truth.json"))


def test_records_as_their_own_ground_truth(write):
    (row,) = id_findings(scan_records(write([example(0), example(1)])), None)
    assert row.level == OK
    unnamed = scan_records(write([example(0), example(1, source_id="")], "unnamed"))
    (row,) = id_findings(unnamed, None)
    assert row.level == ERROR and "1 record without image/source_id" in row.found
    assert id_findings(unnamed, None, regenerated=True)[0].level == OK


def test_repeated_ids(write, truth_file):
    twice = scan_records(write([example(0), example(1, source_id="1")], "twice"))
    (row,) = id_findings(twice, None)
    assert row.level == ERROR and row.found == "1 image id used more than once: 1"
    assert id_findings(twice, truth_file())[0].level == WARNING


def test_photos_in_both_sets(scan):
    train = scan([example(0), example(1), example(2)])
    assert overlap_findings(train, scan([example(5), example(6)], "val")) == []
    # The same photo under another id; another photo under the same id.
    shared = [example(9, encoded=train.photos[1]), example(0, encoded=photo(seed=77))]
    (row,) = overlap_findings(train, scan(shared, "leak"))
    assert row.level == WARNING
    assert row.found.startswith("1 of 2 photos of val are also in train, e.g. image '10'")
