"""The report on records with masks."""

import re

import numpy as np
import pytest

from efficientvision.data.inspection.masks import MaskReport
from efficientvision.data.inspection.report import inspect_records, record_kind
from efficientvision.data.mask_records import encode_mask
from tests.made_class_records import made_class_record, write_class_records
from tests.made_mask_records import made_mask_record, picture, write_records

NAMES = {0: "sky", 1: "road", 2: "tree", 3: "car"}


def test_right_records(tmp_path):
    pattern = write_records(tmp_path / "a.tfrecord", 5, [(40, 56), (24, 30)])
    assert record_kind(pattern) == "masks"
    report = inspect_records(pattern, MaskReport(NAMES))
    pixels = [picture(k, [(40, 56), (24, 30)][k % 2])[1].reshape(-1) for k in range(5)]
    expected = np.bincount(np.concatenate(pixels), minlength=256)
    np.testing.assert_array_equal(report.pixels, expected)
    assert report.problems == {} and report.class_ids() == [0, 1, 2, 3]
    assert f"car                  {expected[3] / expected.sum():7.2%}" in str(report)


@pytest.mark.parametrize(
    ("record", "kind", "place"),
    [
        ({"mask": np.full((40, 56), 7, np.uint8)}, "an unknown class", r"class 7 \(2,240 pixels"),
        ({"mask": picture(1)[1].T}, "another size", "40x56, the image 56x40"),
        ({"mask_encoded": encode_mask(picture(1)[1])[:50]}, "cannot be decoded", "its mask cannot"),
        ({"mask_encoded": b""}, "cannot be decoded", "cannot identify"),
    ],
)
def test_problems_name_the_record(tmp_path, record, kind, place):
    records = [made_mask_record(0), made_mask_record(1, **record)]
    report = inspect_records(write_class_records(tmp_path / "a", records), MaskReport(NAMES))
    ((found, (where,)),) = report.problems.items()
    assert kind in found and "record 1 of" in where and "image '1' (1.png)" in where
    assert re.search(place, where)


def test_images_without_labelled_pixels(tmp_path):
    blank = made_mask_record(1, mask=np.full((40, 56), 255, np.uint8))
    records = [made_mask_record(0), blank, made_class_record(2)]
    report = inspect_records(write_class_records(tmp_path / "a", records), MaskReport(NAMES))
    assert report.num_images == 3 and report.num_empty == 2
    assert list(report.problems) == ["images without a mask"]
