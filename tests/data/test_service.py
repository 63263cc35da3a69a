"""Training through a tf.data service: a dispatcher and workers of this process."""

import collections
import gc
import socket

import numpy as np
import pytest
import tensorflow as tf

from efficientvision.data.service import check_service
from efficientvision.errors import UserError
from efficientvision.tasks.detection.augmentation import Augmentation
from efficientvision.tasks.detection.pipeline import detection_dataset

service = tf.data.experimental.service


@pytest.fixture
def address():
    """A running service of two workers."""
    dispatcher = service.DispatchServer(service.DispatcherConfig(port=0))
    workers = [
        service.WorkerServer(
            service.WorkerConfig(dispatcher_address=dispatcher.target.split("://")[1])
        )
        for _ in range(2)
    ]
    yield dispatcher.target
    # Readers that are garbage give their share back; without a dispatcher they try for a minute.
    gc.collect()
    del workers, dispatcher


def batches(pattern, address, steps, **options):
    dataset = detection_dataset(
        pattern,
        image_hw=(32, 48),
        batch_size=3,
        training=True,
        seed=1,
        data_service=address,
        **options,
    )
    return [{k: v.numpy() for k, v in batch.items()} for batch in dataset.take(steps)]


def test_each_photo_once_an_epoch_whichever_worker_reads_it(make_records, address):
    pattern = make_records(9)
    check_service(address)
    read = batches(pattern, address, 12)  # four epochs
    assert all(batch["images"].shape == (3, 32, 48, 3) for batch in read)
    counts = collections.Counter(np.concatenate([batch["source_id"] for batch in read]))
    # Two workers, two epochs each; one may be ahead by an epoch.
    assert set(counts) == {str(k).encode() for k in range(1, 10)}
    assert max(counts.values()) - min(counts.values()) <= 2
    # No example twice: the same photo is augmented differently in every epoch.
    pictures = np.concatenate([batch["images"] for batch in read])
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


@pytest.mark.slow
def test_shares_of_several_readers_stay_apart(make_records, address):
    pattern = make_records(8)
    options = {"num_epochs": 2, "augmentation": Augmentation(mosaic_prob=0.5)}
    read = [
        np.concatenate(
            [
                batch["source_id"]
                for batch in batches(pattern, address, 9, input_shard=(k, 2), **options)
            ]
        )
        for k in (0, 1)
    ]
    first = [[name.split(b"+")[0] for name in names] for names in read]
    for names in first:
        assert 3 <= len(names) <= 8  # half of sixteen, less what fills no batch of a worker
    together = collections.Counter(first[0] + first[1])
    assert max(together.values()) <= 2


def test_addresses_that_cannot_be():
    for address in ("localhost:5000", "grpc://localhost", "grpc://:80", "grpc://host:port"):
        with pytest.raises(UserError, match="grpc://host:port"):
            check_service(address)
    with socket.socket() as unused:
        unused.bind(("localhost", 0))
        port = unused.getsockname()[1]
        with pytest.raises(UserError, match=f"No tf.data service answers at .*{port}"):
            check_service(f"grpc://localhost:{port}")
