"""The order of the records follows its own seed, and nothing else."""

import pytest
import tensorflow as tf

from efficientvision.data import streams
from efficientvision.tasks.detection.pipeline import detection_dataset


@pytest.fixture
def global_seed():
    yield tf.random.set_seed
    tf.random.set_seed(None)


def test_order_does_not_follow_the_global_seed(make_records, global_seed):
    pattern = make_records(10)
    orders = set()
    # 0 is one that tf.data's own shuffling cannot work with.
    for seed in (0, 1):
        global_seed(seed)
        batches = detection_dataset(
            pattern, image_hw=(64, 96), batch_size=5, training=True, seed=7, num_epochs=2
        )
        orders.add(tuple(name for b in batches for name in b["source_id"].numpy().tolist()))
    (order,) = orders
    assert len(set(order)) == 10 < len(order)


def test_reading_records_leaves_the_global_seed_alone(make_records, global_seed):
    global_seed(3)
    expected = tf.random.uniform([]).numpy()
    global_seed(3)
    next(iter(detection_dataset(make_records(4), image_hw=(64, 96), batch_size=2, training=True)))
    assert tf.random.uniform([]).numpy() == expected


def test_shuffling_holds_no_more_than_its_bytes(tmp_path, monkeypatch):
    paths, counts = [], []
    for index, (count, size) in enumerate([(4, 1000), (0, 0), (2, 4000)]):
        path = str(tmp_path / str(index))
        with tf.io.TFRecordWriter(path) as writer:
            for _ in range(count):
                writer.write(b"x" * size)
        paths.append(path)
        counts.append(count)
    assert streams.default_shuffle_buffer(paths, counts) == 1024
    # 2,000 bytes a record in the mean, and 16 of framing.
    monkeypatch.setattr(streams, "SHUFFLE_BYTES", 100_000)
    assert streams.default_shuffle_buffer(paths, counts) == 100_000 // 2016
    monkeypatch.setattr(streams, "SHUFFLE_BYTES", 100)
    assert streams.default_shuffle_buffer(paths, counts) == 1
