"""What the preflight finds in records with masks."""

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.preflight.file_checks import overlap_findings
from efficientvision.preflight.findings import ERROR, OK, WARNING
from efficientvision.tasks.segmentation.checks import (
    check_mask_classes,
    mask_findings,
    mask_split_findings,
    scan_masks,
    window_findings,
)
from tests.made_class_records import write_class_records
from tests.made_mask_records import made_mask_record, picture

NAMES = {0: "sky", 1: "road", 2: "tree", 3: "car"}
SIZE = (40, 56)


@pytest.fixture
def scan(tmp_path):
    """Records -> their scan; numbers stand for `made_mask_record` of them."""

    def read(*records, name="train", **options):
        path = tmp_path / f"{name}.tfrecord"
        return scan_masks(write_class_records(path, map(_record, records)), **options)

    return read


def _record(item):
    return made_mask_record(item) if isinstance(item, int) else item


def only(value, number=9):
    return made_mask_record(number, mask=np.full(SIZE, value, np.uint8))


def worst(findings, level):
    (finding,) = [f for f in findings if f.level == level]
    return finding


def test_right_records(scan):
    found = mask_findings(scan(*range(5)), "train", 4, NAMES)
    assert [f.level for f in found] == [OK, OK]
    pixels = sum(np.bincount(picture(k)[1].reshape(-1), minlength=4) for k in range(5))
    for name, share in zip(NAMES.values(), pixels / pixels.sum(), strict=True):
        assert f"{name} {share:.1%}" in found[0].found
    assert "0.0% of the pixels are ignored" in found[1].found


def test_a_class_that_no_pixel_has(scan):
    train = scan(0, 1)
    finding = worst(mask_findings(train, "train", 6, NAMES | {4: "dog", 5: "bus"}), WARNING)
    assert finding.found == "no pixels of 4 dog, 5 bus"
    # The published networks for Cityscapes have an output that is never right.
    found = mask_findings(train, "train", 5, NAMES | {4: "background"})
    assert all(f.level == OK for f in found)


def test_a_class_beyond_the_network(scan):
    finding = worst(mask_findings(scan(0, only(5), only(9, 10)), "train", 4, NAMES), ERROR)
    assert "num_classes=4" in finding.found and "image '9' in train.tfrecord" in finding.found
    assert "has class 5, and 66.7% of the labelled pixels" in finding.found
    assert "(5, 9)" in finding.found
    assert "num_classes=10" in finding.advice and "`ignore_label=5`" in finding.advice


def test_one_class_alone_teaches_nothing(scan):
    (finding,) = mask_findings(scan(only(0)), "train", 1, {0: "sky"})
    assert finding.level == ERROR and "num_classes=2" in finding.advice
    both = np.eye(*SIZE, dtype=np.uint8)
    binary = scan(made_mask_record(1, mask=both))
    assert not any(f.level == ERROR for f in mask_findings(binary, "train", 2, {}))


def test_ignored_pixels(scan):
    finding = worst(mask_findings(scan(*range(5), only(255)), "train", 4, NAMES), WARNING)
    assert finding.found.startswith("16.7% of the pixels are ignored; 1 of 6 masks")
    assert "image '9'" in finding.found
    finding = worst(mask_findings(scan(0, only(255), only(255)), "train", 4, NAMES), WARNING)
    assert finding.found.startswith("66.7%") and "background" in finding.advice
    finding = worst(mask_findings(scan(only(255)), "train", 4, NAMES), ERROR)
    assert "every pixel of 1 mask is 255" in finding.found


def test_a_mask_of_another_size(scan):
    found = mask_findings(scan(0, made_mask_record(1, mask=picture(1)[1].T)), "val", 4, NAMES)
    (finding,) = found
    assert finding.level == ERROR
    assert "image '1' in train.tfrecord has 40x56 pixels and the image 56x40" in finding.found


def test_a_class_without_a_name(scan):
    names = {k: NAMES[k] for k in range(3)}
    assert "classes 3 have" in worst(mask_findings(scan(0), "train", 4, names), WARNING).found


@pytest.mark.parametrize(
    ("window", "scale", "level", "padding"),
    [
        ((40, 56), (0.5, 2.0), OK, "0%"),
        ((80, 56), (0.5, 2.0), OK, "50%"),
        ((80, 57), (0.5, 2.0), WARNING, "51%"),
        # Twice 40 rows do not fill the window, whatever the draw.
        ((81, 28), (0.5, 2.0), WARNING, "51%"),
        ((40, 56), (0.25, 0.25), WARNING, "94%"),
    ],
)
def test_photos_against_windows(scan, window, scale, level, padding):
    (finding,) = window_findings(scan(0, 1), window, scale)
    assert finding.level == level and f": {padding} of the crops is padding" in finding.found
    never = window == (81, 28) or scale == (0.25, 0.25)
    assert ("2 of 2 photos never fill a crop" in finding.found) == never


def test_train_against_val(scan):
    train, val = scan(0, only(1)), scan(only(3, 0), only(5, 1), name="val")
    found = [f.found for f in mask_split_findings(train, val, NAMES)]
    assert found == [
        "val has classes without pixels in train: 5",
        "val has no pixels of 0 sky, 1 road, 2 tree: mIoU excludes them",
    ]
    (finding,) = overlap_findings(train.records, val.records)
    assert finding.found.startswith("1 of 2 photos of val are also in train, e.g. image '0'")


def test_only_the_first_masks_are_read(scan, tmp_path):
    for name in ("a", "b"):
        write_class_records(tmp_path / f"{name}.tfrecord", map(made_mask_record, range(6)))
    found = scan_masks(str(tmp_path / "*.tfrecord"), limit=4)
    assert found.records.num_read == 12 and len(found.pixels) == 4 and not found.complete
    assert [found.records.source_ids[k] for k in found.record_of] == ["0", "1", "0", "1"]
    assert [found.records.file_of[k] for k in found.record_of] == [0, 0, 1, 1]
    assert mask_findings(found, "train", 5, NAMES)[-1].level == OK  # Class 4 may come yet.


def test_classes_alone(tmp_path):
    path = write_class_records(tmp_path / "a.tfrecord", [made_mask_record(0), only(4)])
    check_mask_classes(path, 5, {})
    with pytest.raises(UserError, match="num_classes=4, but the mask of image '9' .* class 4"):
        check_mask_classes(path, 4, NAMES)
