"""The anchors' row of the preflight."""

import numpy as np

from efficientvision.preflight.findings import OK, WARNING
from efficientvision.preflight.record_scan import scan_records
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.detection.anchor_checks import anchor_findings, prior_findings
from tests.example_records import example, photo, write_examples

HEIGHT, WIDTH = 300, 400


def records(folder, sides, classes):
    random = np.random.default_rng(0)
    corner = random.uniform(0, HEIGHT - np.max(sides, initial=0), (len(sides), 2))
    boxes = np.concatenate([corner, corner + np.array(sides)[:, None]], axis=-1)
    image = photo(HEIGHT, WIDTH)
    made = example(0, boxes, classes, encoded=image, height=HEIGHT, width=WIDTH)
    return scan_records(write_examples(folder, [made]))


def options(override="image_size=400"):
    return get_config("efficientdet-d0", override).anchor_options


def test_covered_boxes(tmp_path):
    sides = np.linspace(40, 250, 30)
    (row,) = anchor_findings(records(tmp_path, sides, [1] * 30), options(), {1: "cell"})
    assert row.level == OK and row.found.startswith("100% of the boxes overlap an anchor")


def test_a_class_that_anchors_miss(tmp_path):
    sides = [12.0] * 15 + [60.0] * 85
    read = records(tmp_path, sides, [2] * 15 + [1] * 85)
    (row,) = anchor_findings(read, options(), {1: "cell", 2: "platelet"})
    assert row.level == WARNING
    assert "85% of the boxes" in row.found and "(platelet 0%, cell 100%)" in row.found
    assert "try anchor_scale=" in row.advice
    # Taken as it is written, the advice is an override that helps.
    advised = row.advice.removeprefix("try ").partition(":")[0]
    (row,) = anchor_findings(read, options(f"image_size=400,{advised}"), {})
    assert row.level == OK


def test_photos_are_measured_at_the_size_of_the_input(tmp_path):
    read = records(tmp_path, np.linspace(40, 250, 30), [1] * 30)
    (row,) = anchor_findings(read, options("image_size=64"), {})
    assert row.level == WARNING and "(" not in row.found


def test_no_boxes(tmp_path):
    assert anchor_findings(records(tmp_path, [], []), options(), {}) == []


def test_priors_that_miss_a_class(tmp_path):
    def prior_options(override):
        return get_config("espnetv2_s_0.5", override, task="detection").anchor_options

    read = records(tmp_path, [14.0] * 30 + [90.0] * 30, [2] * 30 + [1] * 30)
    (row,) = prior_findings(read, prior_options("image_size=300"), {1: "cell", 2: "platelet"})
    assert row.level == WARNING and "overlap a prior" in row.found and "platelet 0%" in row.found
    advised = row.advice.removeprefix("try ").partition(":")[0]
    (row,) = prior_findings(read, prior_options(f"image_size=300,{advised}"), {})
    assert row.level == OK
