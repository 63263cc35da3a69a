"""Records with classes, from the file to the batch."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientvision.data.class_records import parse_class_example
from efficientvision.errors import UserError
from efficientvision.tasks.classification.pipeline import Cropping, classification_dataset
from tests.made_class_records import SIZE, encoded_picture, made_class_record, write_class_records
from tests.made_records import made_record

COUNT = 10


@pytest.fixture
def records(tmp_path):
    for part in range(2):
        write_class_records(
            tmp_path / f"train-{part:05d}-of-00002.tfrecord",
            (made_class_record(i) for i in range(part, COUNT, 2)),
        )
    return str(tmp_path / "train-*")


def batches(pattern, count, **options):
    options = {"image_hw": (32, 32), "class_ids": (1, 2, 3), "batch_size": 4, **options}
    dataset = classification_dataset(pattern, **options)
    return [{k: v.numpy() for k, v in batch.items()} for batch in dataset.take(count)]


def test_record_comes_back():
    parsed = parse_class_example(tf.constant(made_class_record(4, [3, 1, 3])))
    assert parsed["classes"].numpy().tolist() == [3, 1]
    assert parsed["texts"].numpy().tolist() == [b"red", b"blue"]
    assert parsed["source_id"].numpy() == b"4"
    assert parsed["encoded"].numpy() == encoded_picture(4, 2)


def test_detection_records_serve_with_the_classes_of_their_objects():
    """Crowds included; a class of several objects once."""
    parsed = parse_class_example(tf.constant(made_record(1)))
    assert parsed["classes"].numpy().tolist() == [2]
    assert parsed["texts"].numpy().tolist() == [b"thing"]


def test_training_images_and_labels_belong_together(records):
    """The colour of the square tells the class, whatever the crop."""
    cropping = Cropping(scale=(0.6, 1.0))
    for batch in batches(records, 5, training=True, seed=3, cropping=cropping):
        assert batch["images"].dtype == np.uint8 and batch["images"].shape == (4, 32, 32, 3)
        brightest = 2 - batch["images"].reshape(4, -1, 3).astype(float).mean(axis=1).argmax(-1)
        np.testing.assert_array_equal(batch["labels"], brightest)


def test_training_goes_on_where_it_stopped(records):
    whole = batches(records, 5, training=True, seed=3)
    rest = batches(records, 2, training=True, seed=3, start_step=3)
    for ours, theirs in zip(whole[3:], rest, strict=True):
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name])
    other = batches(records, 1, training=True, seed=4)
    assert (other[0]["images"] != whole[0]["images"]).any()


def test_every_epoch_has_every_image_once(records):
    seen = [n for b in batches(records, 5, training=True, seed=0) for n in b["source_id"]]
    assert sorted(seen[:COUNT]) == sorted(seen[COUNT:]) == sorted(b"%d" % i for i in range(COUNT))
    assert seen[:COUNT] != seen[COUNT:]


def test_readers_share_the_one_sequence(records):
    whole = [n for b in batches(records, 4, training=True, seed=0) for n in b["source_id"]]
    share = batches(records, 4, training=True, seed=0, batch_size=2, input_shard=(1, 2))
    assert [n for b in share for n in b["source_id"]] == whole[1::2]


def test_evaluation_reads_all_in_order_and_crops_the_middle(records):
    found = batches(records, 9, training=False)
    names = [n for b in found for n in b["source_id"]]
    assert names == [b"%d" % i for i in (*range(0, COUNT, 2), *range(1, COUNT, 2))]
    photo = Image.open(io.BytesIO(encoded_picture(0, 1)))
    assert photo.size == (SIZE, SIZE)
    resized = photo.resize((36, 36), Image.Resampling.BILINEAR)  # 32 / 0.875.
    expected = np.asarray(resized.crop((2, 2, 34, 34))).astype(int)
    assert np.abs(found[0]["images"][0].astype(int) - expected).max() <= 1


def test_several_labels_are_marks(tmp_path):
    sets = ([1], [], [7, 3], [9])
    path = write_class_records(
        tmp_path / "a.tfrecord", (made_class_record(i, c) for i, c in enumerate(sets))
    )
    (batch,) = batches(path, 2, training=False, multi_label=True, class_ids=(1, 3, 7))
    expected = [[1, 0, 0], [0, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert batch["labels"].tolist() == expected


def test_an_unknown_class_is_marked(tmp_path):
    path = write_class_records(tmp_path / "a.tfrecord", [made_class_record(0, [5])])
    (batch,) = batches(path, 1, training=False)
    assert batch["labels"].tolist() == [-1]


def test_png_and_grey_photos(tmp_path):
    grey = io.BytesIO()
    Image.fromarray(np.full((20, 30), 77, np.uint8)).save(grey, "PNG")
    fields = {"encoded": grey.getvalue(), "image_format": "png"}
    path = write_class_records(tmp_path / "a.tfrecord", [made_class_record(0, **fields)])
    for training in (True, False):
        images = batches(path, 1, training=training, seed=1, batch_size=1)[0]["images"]
        assert (images == 77).all()


def test_no_records_is_said(tmp_path):
    with pytest.raises(UserError, match="contain no records"):
        batches(write_class_records(tmp_path / "a.tfrecord", []), 1, training=True)
