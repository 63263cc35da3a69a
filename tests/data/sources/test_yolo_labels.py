"""Lines of YOLO's label files, and their boxes in the records."""

import re

import numpy as np
import pytest

from efficientvision.data.annotation_frame import CUT, OUTSIDE
from efficientvision.data.sources import yolo, yolo_labels
from efficientvision.data.sources.boxed_photos import (
    EMPTY,
    NOT_FINITE,
    REPEATED,
    TURNED_LABELS,
)
from efficientvision.data.sources.layout import ConvertOptions
from efficientvision.errors import UserError
from tests.data.sources.made_photos import photo, records, text


def read(tmp_path, content, keypoint_numbers=0):
    return yolo_labels.read_label_file(text(tmp_path / "a.txt", content), keypoint_numbers)


@pytest.mark.parametrize(
    ("content", "ids", "notes"),
    [
        ("\ufeff0 .5 .5 .5 .5\r\n\r\n1\t0.5\t0.5  0.5 0.5 \r\n", [0, 1], {}),
        ("", [], {}),
        ("# made by hand\n0.0 0.5 0.5 0.5 0.5", [0], {yolo_labels.COMMENTS: 1}),
        ("2 0.5 0.5 0.5 0.5 0.93\n", [2], {yolo_labels.SIXTH: 1}),
        ("1 nan 0.5 0.5 0.5\n1 0.5 0.5 inf 0.5\n", [], {NOT_FINITE: 2}),
        ("1 0.5 0.5 0 0.5\n1 0.5 0.5 0.5 -0.1\n1 5e-1 0.5 0.5 0.5", [1], {EMPTY: 2}),
        ("1 0.5 0.5 0.5 0.5\n1 0.50 0.5 0.5 0.5\n2 0.5 0.5 0.5 0.5\n", [1, 2], {REPEATED: 1}),
    ],
)
def test_lines(tmp_path, content, ids, notes):
    file = read(tmp_path, content)
    assert (file.class_ids, dict(file.notes), file.problem) == (ids, notes, None)
    np.testing.assert_allclose(file.boxes_yxyx, [[0.25, 0.25, 0.75, 0.75]] * len(ids))


def test_outlines_and_keypoints(tmp_path):
    file = read(tmp_path, "0 0.1 0.2 0.5 0.3 0.2 0.9\n1 0.1 0.1 0.4 0.2 0.3 0.5 0.1 0.3\n")
    assert dict(file.notes) == {yolo_labels.OUTLINES: 2} and file.class_ids == [0, 1]
    np.testing.assert_allclose(file.boxes_yxyx, [[0.2, 0.1, 0.9, 0.5], [0.1, 0.1, 0.5, 0.4]])
    file = read(tmp_path, "0 0.5 0.5 0.2 0.2 0.1 0.2 0.3 0.4\n", keypoint_numbers=4)
    assert dict(file.notes) == {yolo_labels.KEYPOINTS: 1}
    np.testing.assert_allclose(file.boxes_yxyx, [[0.4, 0.4, 0.6, 0.6]])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("0 0.5 0.5 0.5\n", "line 1: expected `class cx cy w h`.* got 4 numbers"),
        ("\n0 .1 .2 .3 .4 .5 .6 .7\n", "line 2: expected .* got 8 numbers"),
        ("Car 0 0 0 0", "line 1: expected a class id and numbers, got 'Car 0 0 0 0'"),
        ("0,0.5,0.5,0.5,0.5", "expected a class id and numbers"),
        ("-1 0.5 0.5 0.5 0.5", "must be a whole number from 0 to 10,000, got '-1'"),
        ("0.5 0.5 0.5 0.5 0.5", "must be a whole number"),
        ("nan 0.5 0.5 0.5 0.5", "must be a whole number"),
        ("99999999999 0.5 0.5 0.5 0.5", "must be a whole number"),
        ("0 \x00", "save it as UTF-8"),
    ],
)
def test_lines_that_cannot_be_used(tmp_path, content, says):
    assert re.search(says, read(tmp_path, content).problem)


def test_a_label_file_that_cannot_be_read(tmp_path):
    assert "Cannot read the labels" in yolo_labels.read_label_file(str(tmp_path)).problem


def convert(folder, **options):
    options = {"num_workers": 1, **options}
    return yolo.convert(str(folder), str(folder / "out"), **options)


def add(folder, name, labels, **options):
    photo(folder / "images" / name, **options)
    text(folder / "labels" / f"{name.rpartition('.')[0]}.txt", labels)


def test_boxes_over_the_edge(tmp_path):
    add(tmp_path, "a.png", "0 0.9 0.5 0.4 0.5\n0 1.2 0.5 0.4 0.5\n1 0.5 0.5 1.0000001 1\n")
    (report,) = convert(tmp_path)
    (example,) = records(tmp_path / "out", "train")
    np.testing.assert_allclose(example.boxes_yxyx, [[5, 28, 15, 40], [0, 0, 20, 40]], atol=1e-4)
    assert report.skipped[CUT] == 1 and report.skipped[OUTSIDE] == 1


def test_pixels_instead_of_fractions(tmp_path):
    add(tmp_path, "a.png", "0 20 10 5 5\n")
    add(tmp_path, "b.png", "0 10 10 5 5\n")
    with pytest.raises(UserError, match=r"coordinate 20, as 2 of 2 label files do, like pixels"):
        convert(tmp_path)
    for name in ("b", "c"):
        add(tmp_path, f"{name}.png", "0 0.5 0.5 0.2 0.2\n")
    with pytest.raises(UserError, match=r"a\.txt has the coordinate 20, but YOLO's"):
        convert(tmp_path)
    (report,) = convert(tmp_path, skip_bad=True)
    assert report.num_images == 2


def test_boxes_are_of_the_upright_photo(tmp_path):
    add(tmp_path, "a.jpg", "0 0.25 0.1 0.5 0.2\n", size=(40, 20), orientation=6)
    (report,) = convert(tmp_path)
    (example,) = records(tmp_path / "out", "train")
    assert (example.height, example.width, example.image_format) == (40, 20, "png")
    np.testing.assert_allclose(example.boxes_yxyx, [[0, 0, 8, 10]], atol=1e-5)
    assert report.skipped[TURNED_LABELS] == 1


def test_photos_that_cannot_be_used(tmp_path):
    add(tmp_path, "a.png", "0 0.5 0.5 0.5 0.5\n")
    add(tmp_path, "b.png", "0 0.5 0.5\n")
    add(tmp_path, "c.png", "0 0.5 0.5 0.5 0.5\n")
    text(tmp_path / "images/c.png", "no picture")
    with pytest.raises(UserError, match="2 of 3 images cannot be used"):
        convert(tmp_path)
    (report,) = convert(tmp_path, skip_bad=True)
    assert report.num_images == 1 and "2 images left out" in str(report)


@pytest.mark.slow
def test_labels_are_read_in_parallel(tmp_path):
    for k in range(20):
        add(tmp_path, f"{k}.png", "0 0.5 0.5 0.5 0.5 0.9\n")
    found = yolo.find(str(tmp_path))
    train, val = found.convert(str(tmp_path / "out"), ConvertOptions(num_workers=2, num_shards=2))
    assert (train.num_boxes, val.num_boxes, train.skipped[yolo_labels.SIXTH]) == (18, 2, 20)
