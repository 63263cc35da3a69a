"""What the preflight finds in classification records."""

import io

import numpy as np
import pytest
from PIL import Image

from efficientvision.preflight.file_checks import overlap_findings
from efficientvision.preflight.findings import ERROR, OK, WARNING
from efficientvision.preflight.record_scan import scan_records
from efficientvision.tasks.classification.checks import (
    label_findings,
    numbered,
    picture_findings,
    split_findings,
)
from tests.made_class_records import NAMES, encoded_picture, made_class_record, write_class_records


@pytest.fixture
def scan(tmp_path):
    def read(*records, name="train"):
        return scan_records(
            write_class_records(tmp_path / f"{name}.tfrecord", records), labels_only=True
        )

    return read


def worst(findings, level):
    (finding,) = [f for f in findings if f.level == level]
    return finding


def labels(scan, ids=(1, 2, 3), names=NAMES, part="train", multi_label=False):
    return label_findings(scan, part, ids, names, multi_label=multi_label)


def test_right_records(scan):
    (finding,) = labels(scan(*(made_class_record(i) for i in range(7))))
    assert finding.level == OK
    assert "images: 1 blue 3, 2 green 2, 3 red 2" in finding.found
    assert "background" not in finding.found


def test_a_class_without_images(scan):
    finding = worst(labels(scan(*(made_class_record(i) for i in (0, 1)))), WARNING)
    assert "none for 3 red" in finding.found
    assert "without images" in finding.advice


def test_a_label_out_of_range(scan):
    finding = worst(labels(scan(made_class_record(0), made_class_record(5, [4]))), ERROR)
    assert "num_classes=3" in finding.found and "image '5'" in finding.found
    assert "class 4" in finding.found


def test_labels_that_count_from_zero(scan):
    records = [made_class_record(i, [i % 3], class_names=[NAMES[1 + i % 3]]) for i in range(6)]
    finding = worst(labels(scan(*records)), ERROR)
    assert "shifted by one" in finding.found


def test_several_labels_need_multi_label(scan):
    several = scan(made_class_record(0), made_class_record(1, [1, 2]))
    finding = worst(labels(several), ERROR)
    assert "image '1'" in finding.found and "multi_label=true" in finding.advice
    first = labels(several, multi_label=True)[0]
    assert (first.level, first.found) == (
        OK,
        "1.5 classes per image on average, 0 images without any",
    )


def test_one_label_an_image_needs_no_multi_label(scan):
    finding = labels(scan(*(made_class_record(i) for i in range(3))), multi_label=True)[0]
    assert finding.level == WARNING and "exactly one" in finding.found


def test_one_class_alone_teaches_nothing(scan):
    records = scan(*(made_class_record(0) for _ in range(4)))
    finding = worst(labels(records, ids=(1,), names={1: "blue"}), ERROR)
    assert "the softmax is always 1" in finding.found and "second class" in finding.advice
    assert not any(
        f.level == ERROR for f in labels(records, ids=(1,), names={1: "blue"}, multi_label=True)
    )


def test_an_image_without_a_class(scan):
    assert (
        "no class"
        in worst(labels(scan(made_class_record(0), made_class_record(1, []))), ERROR).found
    )
    assert "no classes" in worst(labels(scan(made_class_record(1, []))), ERROR).found


def test_ids_with_gaps_are_fine(scan):
    raw = scan(made_class_record(0, [2]), made_class_record(1, [90]))
    findings = label_findings(raw, "train", (2, 90), {1: "green", 2: "class 90"}, multi_label=False)
    assert [f.level for f in findings] == [OK]


def encoded(image, image_format):
    file = io.BytesIO()
    image.save(file, image_format)
    return file.getvalue()


def test_kinds_of_photos(scan):
    grey = Image.fromarray(np.zeros((9, 8), np.uint8))
    alpha = Image.fromarray(np.zeros((9, 8, 4), np.uint8))
    found = scan(
        made_class_record(0),
        made_class_record(1, encoded=encoded(grey, "JPEG")),
        made_class_record(2, encoded=encoded(alpha, "PNG")),
    )
    (finding,) = picture_findings(found, "train")
    assert finding.level == OK
    assert "1 colour, 1 grey, 1 with alpha" in finding.found
    assert "three equal channels" in finding.advice


def test_a_photo_that_cannot_be_decoded_is_named(scan):
    cut = encoded_picture(1, 2)[:-400]
    found = scan(made_class_record(0), made_class_record(1, encoded=cut))
    (finding,) = picture_findings(found, "val")
    assert finding.level == ERROR
    assert "image '1'" in finding.found and "truncated" in finding.found


def test_classes_that_only_one_part_has(scan):
    train = scan(made_class_record(0), made_class_record(1))
    val = scan(made_class_record(3), made_class_record(5), name="val")
    extra, absent = split_findings(train, val, NAMES)
    assert extra.level == absent.level == WARNING
    assert "without images in train: red" in extra.found and "no images of green" in absent.found


def test_sets_that_number_their_classes_otherwise(scan):
    """They are compared by the network's numbers: val's classes 1 and 2 are its 2 and 3."""
    train = scan(*(made_class_record(i, classes=[1 + i]) for i in range(3)))
    own = [[1], ["green"]], [[2], ["red"]]
    val = scan(
        *(made_class_record(3 + i, classes=c, class_names=n) for i, (c, n) in enumerate(own)),
        name="val",
    )
    (absent,) = split_findings(numbered(train, [1, 2, 3]), numbered(val, [3, 1, 2]), NAMES)
    assert "no images of blue" in absent.found


def test_the_same_photo_in_both_parts(scan):
    train = scan(made_class_record(0), made_class_record(1))
    val = scan(made_class_record(1, source_id="other"), name="val")
    (finding,) = overlap_findings(train, val)
    assert "1 of 1 photo" in finding.found
