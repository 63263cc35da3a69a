"""Image ids of records, in the order of evaluation."""

import json

import pytest
import tensorflow as tf

from efficientvision.data import pascal
from efficientvision.data.ground_truth import coco_ground_truth, image_ids
from efficientvision.errors import UserError
from tests.made_records import made_record, write_made_records


def test_ids_are_those_of_the_ground_truth(tmp_path):
    records = str(write_made_records(tmp_path / "made.tfrecord", 4))
    assert image_ids(records) == [1, 2, 3, 4]
    assert image_ids(records, max_examples=3) == [1, 2, 3]
    assert [image["id"] for image in coco_ground_truth(records)["images"]] == [1, 2, 3, 4]


def test_an_id_that_comes_twice_is_refused(tmp_path):
    for name in ("a.tfrecord", "b.tfrecord"):
        write_made_records(tmp_path / name, 2)
    for read in (image_ids, coco_ground_truth):
        with pytest.raises(UserError, match="Two records in .* have the image id 1"):
            read(str(tmp_path / "*.tfrecord"))
    assert image_ids(str(tmp_path / "*.tfrecord"), max_examples=2) == [1, 2]


def test_a_record_without_an_id_is_refused(tmp_path):
    example = tf.train.Example.FromString(made_record(0))
    del example.features.feature["image/source_id"]
    path = str(tmp_path / "nameless.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(example.SerializeToString())
    with pytest.raises(UserError, match=rf"record 0 of {path} \(0\.jpg\) has no image/source_id"):
        image_ids(path)


def test_difficult_objects_are_marked(voc_folder, tmp_path):
    """In what is read back from the records as in the JSON beside them."""
    data_dir, year, add = voc_folder
    add("one", [("dog", (1, 1, 9, 9)), ("cat", (2, 2, 8, 8), "difficult")])
    pascal.convert(data_dir, year, "train", str(tmp_path / "p"), num_shards=1, num_workers=1)
    written = json.loads((tmp_path / "json_p.json").read_text())
    for truth in (written, coco_ground_truth(str(tmp_path / "p*.tfrecord"))):
        marks = {a["category_id"]: a["difficult"] for a in truth["annotations"]}
        assert marks == {12: 0, 8: 1}  # VOC's dog and cat.
