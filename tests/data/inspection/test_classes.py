"""The report on records of images with classes."""

from efficientvision.data.inspection.classes import ClassReport
from efficientvision.data.inspection.report import inspect_records, record_kind
from tests.made_class_records import NAMES, made_class_record, write_class_records


def test_right_records(tmp_path):
    records = [made_class_record(k) for k in range(5)]
    pattern = write_class_records(tmp_path / "a.tfrecord", records)
    assert record_kind(pattern) == "classes"
    report = inspect_records(pattern, ClassReport(NAMES))
    assert report.classes == {1: 2, 2: 2, 3: 1} and report.class_ids() == [1, 2, 3]
    assert report.problems == {}
    assert "5; images: 5 with 1" in str(report) and "green                2" in str(report)


def test_odd_records(tmp_path):
    records = [made_class_record(0, [1, 2]), made_class_record(1, []), made_class_record(2, [7])]
    pattern = write_class_records(tmp_path / "a.tfrecord", records)
    report = inspect_records(pattern, ClassReport(NAMES))
    assert report.num_empty == 1 and "1 with 0, 1 with 1, 1 with 2" in str(report)
    ((kind, (place,)),) = report.problems.items()
    assert kind == "images of an unknown class" and place.endswith("class 7")
    assert "image '2'" in place
    assert "without images red" in str(report)


def test_records_of_objects_are_of_detection(make_records):
    assert record_kind(make_records(2)) == "boxes"
