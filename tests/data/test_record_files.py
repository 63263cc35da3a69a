"""Finding, counting, reading and writing record files."""

import os

import pytest
import tensorflow as tf

from efficientvision.data import record_files
from efficientvision.errors import UserError


def payload(index):
    return f"record {index}".encode() * (index + 1)


def fail_at_seven(index):
    if index == 7:
        raise UserError("image 7 is bad")
    return payload(index)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_shards_hold_items_round_robin(tmp_path, num_workers):
    files = record_files.write_shards(
        range(10), payload, str(tmp_path / "new" / "set"), num_shards=3, num_workers=num_workers
    ).paths
    names = [f"set-0000{k}-of-00003.tfrecord" for k in range(3)]
    assert [os.path.basename(f) for f in files] == names
    assert sorted(os.listdir(tmp_path / "new")) == names
    for k, path in enumerate(files):
        expected = [payload(i) for i in range(k, 10, 3)]
        assert list(record_files.iter_records(path)) == expected
        # TensorFlow, which verifies the checksums, reads the same.
        assert list(tf.data.TFRecordDataset(path).as_numpy_iterator()) == expected
    assert record_files.count_records(files) == [4, 3, 3]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_an_error_leaves_nothing_behind(tmp_path, num_workers):
    with pytest.raises(UserError, match="image 7 is bad"):
        record_files.write_shards(
            range(10), fail_at_seven, str(tmp_path / "set"), num_shards=3, num_workers=num_workers
        )
    assert os.listdir(tmp_path) == []


def test_never_more_shards_than_items(tmp_path, capsys):
    files = record_files.write_shards(
        range(2), payload, str(tmp_path / "a"), num_shards=100, num_workers=1
    ).paths
    assert len(files) == 2 and "2 shards instead of 100" in capsys.readouterr().out
    with pytest.raises(UserError, match="no images"):
        record_files.write_shards([], payload, str(tmp_path / "b"), num_shards=1)


def test_outdated_shards_go(tmp_path, capsys):
    for num_shards in (4, 2):
        for name in ("set", "set2"):
            record_files.write_shards(
                range(8), payload, str(tmp_path / name), num_shards=num_shards, num_workers=1
            )
            (tmp_path / "set-notes.txt").write_text("mine")
    assert len(record_files.match_files(str(tmp_path / "set-*"))) == 2
    assert len(record_files.match_files(str(tmp_path / "set*"))) == 4
    assert (tmp_path / "set-notes.txt").exists()
    assert "Removed 4 outdated shards of set," in capsys.readouterr().out


def test_patterns(tmp_path):
    for name in ("val-0.tfrecord", "val-1.tfrecord", "train-0.tfrecord", "val.json", ".val-9.tmp"):
        (tmp_path / name).write_bytes(b"")
    at = str(tmp_path)

    def names(pattern):
        return [os.path.basename(p) for p in record_files.match_files(pattern)]

    assert names(f"{at}/val*") == ["val-0.tfrecord", "val-1.tfrecord"]
    assert names(f"{at}/train*,{at}/val-1*") == ["train-0.tfrecord", "val-1.tfrecord"]
    assert names([f"{at}/train-0.tfrecord", f"{at}/*"]) == names(f"{at}/*")
    for bad in (f"{at}/test*", f"{at}/val*,{at}/test*", "", []):
        with pytest.raises(UserError, match=r"No record file"):
            record_files.match_files(bad)


def test_a_file_cut_short_is_named(tmp_path):
    (path,) = record_files.write_shards(
        range(3), payload, str(tmp_path / "set"), num_shards=1, num_workers=1
    ).paths
    content = open(path, "rb").read()
    for length in (len(content) - 1, 20, 5):
        with open(path, "wb") as file:
            file.write(content[:length])
        with pytest.raises(UserError, match=r"set-00000-of-00001\.tfrecord is cut short"):
            record_files.count_records([path])


def test_prefix():
    assert record_files.shard_prefix("/a/b-c-00001-of-00010.tfrecord") == "b-c"
    assert record_files.shard_prefix("/a/other.tfrecord") == "other"
