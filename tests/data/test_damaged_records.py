"""Bit rot in record files, and records of other makers: named by file, record and byte."""

import os
import shutil
import struct

import pytest
import tensorflow as tf

from efficientvision.data import verified_records as verification
from efficientvision.data.checks import bad_records, find_bad_record
from efficientvision.data.record_files import iter_records
from efficientvision.data.records import decode_example
from efficientvision.data.verified_records import DamagedRecord, verified_records
from efficientvision.errors import UserError
from efficientvision.preflight.record_scan import scan_records
from tests.made_records import write_made_records

COUNT = 4


@pytest.fixture
def records(tmp_path):
    return str(write_made_records(tmp_path / "set-00000-of-00001.tfrecord", COUNT))


def offsets(path):
    """Where each record of a file begins."""
    places, position = [], 0
    for record in iter_records(path):
        places.append(position)
        position += 12 + len(record) + 4
    return places


def change(path, byte, width=1):
    with open(path, "r+b") as file:
        file.seek(byte)
        old = file.read(width)
        file.seek(byte)
        file.write(bytes(value ^ 0x10 for value in old))


def test_whole_files_verify(records):
    assert list(verified_records(records)) == list(iter_records(records))
    assert list(bad_records(records)) == []


@pytest.mark.parametrize(
    ("where", "of_length"),
    [
        ("photo", False),
        ("checksum of the data", False),
        ("a sector of the photo", False),
        ("length", True),
        ("checksum of the length", True),
    ],
)
def test_five_kinds_of_damage(records, where, of_length):
    begin, following = offsets(records)[1:3]
    byte, width = {
        "photo": (begin + 300, 1),
        "checksum of the data": (following - 2, 1),
        "a sector of the photo": (begin + 100, 200),
        "length": (begin, 1),
        "checksum of the length": (begin + 9, 1),
    }[where]
    change(records, byte, width)
    found = list(verified_records(records))
    assert found[1] == DamagedRecord(begin, following - begin if of_length else 0)
    assert len(found) == COUNT and not any(isinstance(f, DamagedRecord) for f in found[2:])
    (sentence,) = bad_records(records)
    assert sentence.startswith(f"record 1 of {records} (at byte {begin}) has a wrong checksum")
    # TensorFlow refuses the file at the same place, and the preflight says so in these words.
    with pytest.raises(tf.errors.DataLossError):
        list(tf.data.TFRecordDataset(records))
    with pytest.raises(UserError) as error:
        scan_records(records)
    assert sentence in str(error.value)


def test_a_file_cut_short(records):
    with open(records, "r+b") as file:
        file.truncate(offsets(records)[-1] + 50)
    assert f"record {COUNT - 1} of {records}" in find_bad_record(records)


@pytest.mark.parametrize(
    ("key", "feature", "words"),
    [
        (
            "image/object/class/label",
            {"float_list": {"value": [1.0]}},
            "holds floats, and must hold",
        ),
        ("image/object/bbox/xmin", {"int64_list": {"value": [0]}}, "holds integers, and must hold"),
        ("image/source_id", {"int64_list": {"value": [7]}}, "holds integers, and must hold bytes"),
    ],
)
def test_records_of_other_makers(records, tmp_path, key, feature, words):
    path = str(tmp_path / "other-00000-of-00001.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for serialized in iter_records(records):
            example = tf.train.Example.FromString(serialized)
            example.features.feature[key].CopyFrom(tf.train.Feature(**feature))
            writer.write(example.SerializeToString())
            with pytest.raises(UserError, match=words):
                decode_example(example.SerializeToString())
    with pytest.raises(UserError, match=f"record 0 of .*{words}"):
        scan_records(path)


def test_the_checksum_is_tensorflows(tmp_path):
    path = str(tmp_path / "a.tfrecord")
    contents = [b"", b"x", bytes(range(256)) * 9]
    with tf.io.TFRecordWriter(path) as writer:
        for content in contents:
            writer.write(content)
    assert list(verified_records(path)) == contents
    copy = shutil.copy(path, tmp_path / "b.tfrecord")
    with open(copy, "r+b") as file:
        file.write(struct.pack("<Q", 1 << 40))
    assert list(verified_records(str(copy))) == [
        DamagedRecord(0, 16 + len(contents[0])),
        *contents[1:],
    ]
    # Of the last one there is nothing to go on from.
    size = os.path.getsize(copy)
    begin = size - 16 - len(contents[2])
    with open(copy, "r+b") as file:
        file.seek(begin)
        file.write(b"\1")
    last = list(verified_records(str(copy)))[-1]
    assert last == DamagedRecord(begin, size - begin, rest_is_lost=True)


def test_the_next_record_is_found_across_chunks(tmp_path, monkeypatch):
    path = str(tmp_path / "a.tfrecord")
    contents = [b"\0" * 50, bytes(range(256)) * 2, b"\0\0\0\0abc\0\0\0\0\0\0\0\0", b"end"]
    with tf.io.TFRecordWriter(path) as writer:
        for content in contents:
            writer.write(content)
    change(path, 0)
    for size in range(13, 40):
        monkeypatch.setattr(verification, "_SEARCHED_BYTES", size)
        assert list(verified_records(path)) == [DamagedRecord(0, 66), *contents[1:]]
