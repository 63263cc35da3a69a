"""Records as others write them: the right answer, or the same named fault at every door."""

import gzip
import json
import zlib

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.data import checks
from efficientvision.data.class_records import parse_class_example
from efficientvision.data.ground_truth import coco_ground_truth, image_ids
from efficientvision.data.inspection.boxes import BoxReport
from efficientvision.data.inspection.report import inspect_records, record_kind
from efficientvision.data.record_files import count_records, iter_records, match_files
from efficientvision.data.records import decode_example, parse_example
from efficientvision.data.usable_records import usable_records
from efficientvision.errors import UserError
from efficientvision.preflight.record_scan import scan_records
from efficientvision.tasks.classification.pipeline import classification_dataset
from efficientvision.tasks.detection.evaluate_export import evaluate_export
from efficientvision.tasks.detection.ground_truth_checks import id_findings
from efficientvision.tasks.detection.pipeline import detection_dataset
from tests.example_records import HEIGHT, WIDTH, example, write_examples

BOX = (10, 20, 30, 60)
# What TensorFlow raises; where a message of its own is no UTF-8, Python fails to decode that.
GRAPH_ERRORS = (tf.errors.InvalidArgumentError, UnicodeDecodeError)


def feature(*values):
    kind, cast = {
        int: ("int64_list", int),
        float: ("float_list", float),
        str: ("bytes_list", str.encode),
        bytes: ("bytes_list", bytes),
    }[type(values[0])]
    return tf.train.Feature(**{kind: {"value": [cast(value) for value in values]}})


def write_changed(folder, changes, count=2, **fields):
    """Records of two objects each with features in place of theirs (None: without); the path."""
    source = write_examples(
        folder / "source",
        [example(i, [BOX, (0, 0, 60, 90)], [1, 2], **fields) for i in range(count)],
    )
    path = str(folder / "changed.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for record in (r for file in match_files(source) for r in iter_records(file)):
            message = tf.train.Example.FromString(record)
            for key, value in changes.items():
                if value is None:
                    del message.features.feature[key]
                else:
                    message.features.feature[key].CopyFrom(value)
            writer.write(message.SerializeToString())
    return path


@pytest.mark.parametrize("stated", [None, (2 * HEIGHT, 2 * WIDTH)])
def test_the_size_is_the_photos_own(tmp_path, stated):
    """Boxes are fractions of the photo, whatever the record says of its size."""
    height, width = (feature(side) for side in stated) if stated else (None, None)
    path = write_changed(tmp_path, {"image/height": height, "image/width": width})
    truth = coco_ground_truth(path)
    assert [(i["height"], i["width"]) for i in truth["images"]] == [(HEIGHT, WIDTH)] * 2
    ymin, xmin, ymax, xmax = BOX
    np.testing.assert_allclose(
        truth["annotations"][0]["bbox"], [xmin, ymin, xmax - xmin, ymax - ymin], atol=1e-4
    )
    report = inspect_records(path, BoxReport())
    assert report.image_sizes == {(HEIGHT, WIDTH): 2}
    wrong = "records that state another size than their image has"
    assert list(report.problems) == ([wrong] if stated else [])
    if stated:
        assert f"{2 * WIDTH}x{2 * HEIGHT}, the image has {WIDTH}x{HEIGHT}" in str(report)


def test_areas_that_are_not_stated_are_those_of_the_photos_boxes(tmp_path):
    path = write_changed(tmp_path, {"image/object/area": None, "image/height": None})
    areas = [a["area"] for a in coco_ground_truth(path)["annotations"]]
    np.testing.assert_allclose(areas, [20 * 40, 60 * 90] * 2, rtol=1e-5)


def test_no_size_and_no_picture(tmp_path):
    path = write_changed(
        tmp_path, {"image/height": None, "image/encoded": feature(b"no picture")}, count=1
    )
    assert "states no size, and its image cannot be decoded" in checks.find_bad_record(path)


FAULTS = {
    "height of floats": ("image/height", feature(60.0), "holds floats, and must hold integers"),
    "height of text": ("image/height", feature("60"), "holds bytes, and must hold integers"),
    "two heights": ("image/height", feature(60, 90), "holds 2 values, and must hold one"),
    "two widths": ("image/width", feature(60, 90), "holds 2 values, and must hold one"),
    "names of numbers": ("image/object/class/text", feature(1, 2), "holds integers, and must hold"),
    "two ids": ("image/source_id", feature("1", "x"), "holds 2 values, and must hold one"),
    "an id in Latin-1": (
        "image/source_id",
        feature("café".encode("latin1")),
        r"holds b'caf\\xe9', and must hold UTF-8 text",
    ),
    "two photos": ("image/encoded", feature("a", "b"), "holds 2 values, and must hold one"),
    "one crowd": ("image/object/is_crowd", feature(0), "holds 1 value for 2 objects, and must"),
    "three difficult": ("image/object/difficult", feature(0, 1, 0), "holds 3 values for 2 obj"),
    "difficult floats": ("image/object/difficult", feature(0.0, 1.0), "holds floats, and must"),
    "one area": ("image/object/area", feature(5.0), "holds 1 value for 2 objects, and must hold"),
    "negative": ("image/object/class/label", feature(-1, 1), "holds -1, and must hold class"),
    "huge": ("image/object/class/label", feature(2**40, 1), "holds 1099511627776, and must hold"),
    "an empty list of floats": (
        "image/object/is_crowd",
        tf.train.Feature(float_list={}),
        "holds an empty list of floats, and must hold integers",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_the_same_in_python_and_in_the_graph(tmp_path, fault):
    key, changed, words = FAULTS[fault]
    path = write_changed(tmp_path, {key: changed}, count=1)
    (record,) = iter_records(path)
    with pytest.raises(UserError, match=f"its {key} {words}"):
        decode_example(record)
    with pytest.raises(GRAPH_ERRORS):
        parse_example(tf.constant(record))


def test_evaluations_of_exports_name_the_record(tmp_path):
    path = write_changed(tmp_path, {"image/height": feature(60.0)})
    with pytest.raises(UserError, match=f"record 0 of {path}: its image/height holds floats"):
        evaluate_export(None, path, None)


@pytest.mark.parametrize("fault", ["two heights", "one crowd", "an id in Latin-1"])
def test_faults_are_the_same_at_every_door(tmp_path, fault):
    key, changed, words = FAULTS[fault]
    path = write_changed(tmp_path, {key: changed})
    named = f"record 0 of {path}: its {key} {words}.*; replace or remove it and make the records"

    def draw(training):
        dataset = detection_dataset(path, image_hw=(32, 32), batch_size=1, training=training)
        list(checks.iterate(dataset.take(1), path))

    for door in (
        lambda: scan_records(path),
        lambda: draw(True),
        lambda: draw(False),
        lambda: coco_ground_truth(path),
    ):
        with pytest.raises(UserError, match=named):
            door()
    problems = inspect_records(path, BoxReport()).problems
    assert {kind: len(places) for kind, places in problems.items()} == {"unreadable records": 2}


def test_faults_are_left_out_on_request(tmp_path):
    bad = write_changed(tmp_path, {"image/height": feature(60.0)}, count=1)
    good = write_examples(tmp_path / "good", [example(0)])
    pattern, left_out = usable_records(f"{bad},{good}", str(tmp_path / "usable"))
    assert match_files(pattern) == match_files(good)
    (bad,) = left_out
    assert "its image/height holds floats" in bad.sentence


def test_no_example_at_all(tmp_path):
    path = str(tmp_path / "a.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(b"\x08\x96\x01hello")
    with pytest.raises(UserError, match=f"record 0 of {path}: it is not a tf.train.Example"):
        scan_records(path)
    with pytest.raises(UserError, match="it is not a tf.train.Example"):
        record_kind(path)
    # One such record hides nothing of the others.
    good = write_examples(tmp_path / "good", [example(0)])
    assert record_kind(f"{path},{good}") == "boxes"


@pytest.mark.parametrize("nothing", [None, tf.train.Feature(bytes_list={})])
def test_records_without_ids_and_what_to_do(tmp_path, nothing):
    """As Roboflow exports them: no JSON file has the ids that they get, their own boxes do."""
    path = write_changed(tmp_path, {"image/source_id": nothing})
    with pytest.raises(UserError, match=r"record 0 of .* no image/source_id: set regenerate_sour"):
        coco_ground_truth(path)
    with pytest.raises(UserError, match=r"no image/source_id: .* \(`image_info_file`\)"):
        image_ids(path)
    file = tmp_path / "val.json"
    file.write_text(json.dumps({"images": [{"id": 1}], "annotations": [], "categories": []}))
    scan = scan_records(path)
    for json_file in (None, str(file)):
        (row,) = id_findings(scan, json_file)
        assert row.level == "error" and row.found.startswith("2 records without image/source_id")
        assert row.advice.startswith("set regenerate_source_id=true")
    (row,) = id_findings(scan_records(path, regenerate_source_id=True), None, regenerated=True)
    assert row.level == "ok"


def test_label_maps_beside_records_are_no_records(tmp_path):
    path = write_changed(tmp_path, {})
    (tmp_path / "cells_label_map.pbtxt").write_text('item { name: "cell", id: 1 }')
    assert match_files(f"{tmp_path}/c*") == [path]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gzip", r"is compressed \(GZIP\).*gzip -dc"),
        ("zlib", r"is compressed \(ZLIB\).*compression_type='ZLIB'"),
        ("csv", "is no TFRecord file.*narrow the pattern"),
    ],
)
def test_files_that_hold_no_records_as_they_are(tmp_path, name, words):
    path = tmp_path / "other"
    with open(write_changed(tmp_path, {}), "rb") as file:
        content = file.read()
    make = {"gzip": gzip.compress, "zlib": zlib.compress, "csv": lambda _: b"name,ymin,xmin\n" * 9}
    path.write_bytes(make[name](content))
    for door in (iter_records, scan_records, coco_ground_truth):
        with pytest.raises(UserError, match=f"{path} {words}"):
            list(door(str(path)))
    with pytest.raises(UserError, match=f"{path} {words}"):
        count_records([str(path)])
    (sentence,) = checks.bad_records(str(path))
    assert sentence.startswith(f"record 0 of {path} cannot be read: the file is ")


@pytest.mark.parametrize(
    ("key", "changed", "words"),
    [
        ("image/class/label", feature("cat"), "holds bytes, and must hold integers"),
        ("image/class/label", feature(1.0), "holds floats, and must hold integers"),
        ("image/class/label", feature(-1), "holds -1, and must hold class numbers"),
        ("image/class/label", feature(2**40), "holds 1099511627776, and must hold class numbers"),
        ("image/class/text", feature(1), "holds integers, and must hold bytes"),
        ("image/width", feature("90"), "holds bytes, and must hold integers"),
    ],
)
def test_faults_of_classes(tmp_path, key, changed, words):
    (record,) = iter_records(write_changed(tmp_path, {key: changed}, count=1))
    with pytest.raises(UserError, match=f"its {key} {words}"):
        decode_example(record)
    with pytest.raises(GRAPH_ERRORS):
        parse_class_example(tf.constant(record))


def test_classes_as_text_are_named_in_training(tmp_path):
    path = write_changed(tmp_path, {"image/class/label": feature("cat")})
    dataset = classification_dataset(
        path, image_hw=(32, 32), batch_size=1, training=True, class_ids=[1, 2]
    )
    with pytest.raises(UserError, match=f"record . of {path}: its image/class/label holds bytes"):
        list(checks.iterate(dataset.take(1), path))
    with pytest.raises(UserError, match=f"record 0 of {path}: its image/class/label holds bytes"):
        scan_records(path, labels_only=True)
