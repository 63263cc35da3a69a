"""Conversions that end early: the disk is full, the process is killed."""

import errno
import multiprocessing
import os
import time

import pytest
import tensorflow as tf

from efficientvision.data import record_files
from efficientvision.data.parallel import end_with_parent


class FullDisk:
    """Stands for TFRecordWriter on a disk without space."""

    def __init__(self, path):
        open(path, "wb").close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def write(self, record):
        raise tf.errors.ResourceExhaustedError(None, None, "x.tmp; No space left on device")


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tf.io, "TFRecordWriter", FullDisk)
    with pytest.raises(OSError, match="No space left on device") as error:
        record_files.write_shards(
            [b"a", b"b"], bytes, str(tmp_path / "out" / "set"), num_shards=2, num_workers=1
        )
    assert error.value.errno == errno.ENOSPC and error.value.filename == str(tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_what_a_killed_conversion_left_goes(tmp_path):
    for name in (".set-00003-of-00007.tfrecord.tmp", ".other-00000-of-00001.tfrecord.tmp"):
        (tmp_path / name).write_bytes(b"half")
    record_files.write_shards([b"a"], bytes, str(tmp_path / "set"), num_shards=1, num_workers=1)
    # That of another data set may be another process's at this moment.
    assert sorted(os.listdir(tmp_path)) == [
        ".other-00000-of-00001.tfrecord.tmp",
        "set-00000-of-00001.tfrecord",
    ]


def _worker():
    end_with_parent(os.getppid() + 1)  # A parent that is gone.
    time.sleep(60)


def test_a_worker_whose_parent_is_gone_ends():
    process = multiprocessing.get_context("fork").Process(target=_worker)
    process.start()
    process.join(30)
    assert process.exitcode == 1
