"""Runs' checkpoints that strangers made, or that are damaged: one sentence, memory bounded."""

import dataclasses
import io
import json
import resource
import zipfile

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.training.checkpoints import (
    Checkpoint,
    is_whole,
    read_checkpoint,
    write_checkpoint,
)
from efficientvision.weights import strangers
from efficientvision.weights.checkpoint_reader import open_checkpoint
from tests.weights.test_keras_hostile import mutations

KERNEL = np.arange(36, dtype=np.float32).reshape(3, 3, 2, 2)
OURS = Checkpoint(
    weights={"box_net/box-0/kernel": KERNEL},
    ema={"box_net/box-0/kernel": KERNEL / 2},
    optimizer={"momentum/kernel": KERNEL * 3},
    step=7,
    meta={"seed": 1},
)
META = {"step": 7}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ckpt-7.npz"


def header(shape, dtype="<f4"):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


def array(value):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(value))
    return stream.getvalue()


def write(path, entries, meta=META, compression=zipfile.ZIP_STORED):
    """Writes an archive of raw entries; `meta` is JSON, a text as it is, or an array's bytes."""
    if not isinstance(meta, bytes):
        meta = array(meta if isinstance(meta, str) else json.dumps(meta))
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("meta.npy", meta)
        for name, content in entries:
            archive.writestr(f"{name}.npy", content)


def read(path):
    reader = open_checkpoint(path)
    values = reader.read_many(reader.names())
    values.update(reader.read_many(reader.names(), ema=False))
    return values


def refused(path, says):
    """What both readers say of a file, one sentence each."""
    for reader in (read, read_checkpoint):
        with pytest.raises(UserError, match=says) as caught:
            reader(path)
        sentence = str(caught.value)
        assert str(path) in sentence and sentence.isprintable() and sentence.endswith(".")
    assert not is_whole(path)


def test_a_checkpoint_is_read(path):
    write_checkpoint(path, OURS)
    reader = open_checkpoint(path)
    name = "box_net/box-0/kernel"
    assert reader.names() == {name: KERNEL.shape} and reader.ema_keys
    np.testing.assert_array_equal(reader.read(name), KERNEL / 2)
    np.testing.assert_array_equal(reader.read(name, ema=False), KERNEL)
    assert reader.auxiliary == ("optimizer/momentum/kernel",)
    again = read_checkpoint(path)
    assert again.step == 7 and again.meta == {"seed": 1}
    np.testing.assert_array_equal(again.optimizer["momentum/kernel"], KERNEL * 3)


def test_only_what_a_network_wants_is_read(path):
    """The optimizer's part may be damaged: it is never read for a network."""
    slots = np.full(1 << 16, 3.0, np.float32)
    write_checkpoint(path, dataclasses.replace(OURS, optimizer={"momentum/kernel": slots}))
    content = path.read_bytes()
    at = content.index(slots.tobytes()) + slots.nbytes - 1
    path.write_bytes(content[:at] + b"\xff" + content[at + 1 :])
    np.testing.assert_array_equal(read(path)["box_net/box-0/kernel"], KERNEL)
    with pytest.raises(UserError, match="cut short, damaged"):
        read_checkpoint(path)


def test_an_archive_that_unpacks_to_too_much_is_refused(path, monkeypatch):
    monkeypatch.setattr(strangers, "FREE_BYTES", 1 << 16)
    zeros = array(np.zeros(1 << 20, np.float32))
    write(path, [("weights/box_net/a", zeros)], compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10_000
    refused(path, r"bytes and unpacks to 4,\d+,\d+, which no weights do")


def test_entries_that_share_their_bytes_are_counted_each(path, monkeypatch):
    """One megabyte, stored once and listed four hundred times."""
    monkeypatch.setattr(strangers, "FREE_BYTES", 1 << 16)
    write(path, [("weights/box_net/a", array(np.ones(1 << 18, np.float32)))])
    with zipfile.ZipFile(path, "a") as archive:
        for _ in range(400):
            archive.filelist.append(archive.filelist[-1])
        archive._didModify = True
    refused(path, "which no weights do|two arrays of one name")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_without_a_bound_are_refused(path, compression):
    write(path, [("weights/box_net/a", array(KERNEL))], compression=compression)
    refused(path, "compressed in a way that numpy does not use")


@pytest.mark.parametrize(
    "content",
    [
        header((1 << 40,)),
        header((1 << 62, 1 << 62)),
        header((-1,)),
        header((3,)) + bytes(11),
        header((3,)) + bytes(13),
        header((1,), "|O") + bytes(8),
        header((1,), "<U1000000000"),
        header((2.5,)),
        header((3,), "no type"),
        b"\x93NUMPY\x09\x00" + header((3,))[8:] + bytes(12),
        b"\x93NUMPY\x01\x00\xff\xff{",
        b"",
        b"hello",
        b"\x93NUMPY\x01\x00\x76\x00" + b"(" * 0x76,
    ],
)
def test_arrays_that_are_not_what_they_say_are_named(path, content):
    write(path, [("weights/box_net/a", content)])
    refused(path, "damaged")


@pytest.mark.parametrize(
    "meta",
    [
        *("", "7", "[]", "{}", "null", "[" * 100_000, '{"step": 1e999}', '{"step": null}'),
        *('{"step": []}', '{"step": "x"}', '{"step": 1, "arrays": 3}'),
        *('{"step": 1, "arrays": {"a": 1}}', '{"step": NaN}', "{" + '"a":{' * 50_000),
        *('{"step": ' + "9" * 5000 + "}", array(KERNEL), array([b"a"]), b"", header((1 << 40,))),
        '{"step": 1, "arrays": {"weights/box_net/a": ["<f4", [3, 3, 2, 3]]}}',
        '{"step": 1, "arrays": {"weights/box_net/a": ["<f4", [[3], 3, 2, 2]]}}',
    ],
    ids=str,
)
def test_a_malformed_meta_is_one_sentence(path, meta):
    write(path, [("weights/box_net/a", array(KERNEL))], meta)
    refused(path, "damaged")


def test_a_file_without_meta_is_not_one_of_ours(path):
    np.savez(path, a=KERNEL)
    refused(path, "not one of this program's")


def outcomes(path, content, seed, count):
    found = {"read": 0, "refused": 0}
    for data in mutations(content, seed, count):
        path.write_bytes(data)
        for reader in (read, read_checkpoint):
            try:
                reader(path)
                found["read"] += 1
            except UserError as error:
                assert "\n" not in str(error)
                found["refused"] += 1
        is_whole(path)
    return found


def test_damage_is_one_sentence(path):
    write_checkpoint(path, OURS)
    found = outcomes(path, path.read_bytes(), seed=1, count=80)
    assert sum(found.values()) == 160 and found["refused"] > 80


@pytest.mark.slow
def test_much_damage_is_one_sentence_and_takes_no_memory(path):
    """About 15 seconds; 4,000 damaged files take less than 64 MiB more than none."""
    write_checkpoint(path, OURS)
    content = path.read_bytes()
    outcomes(path, content, seed=2, count=10)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = outcomes(path, content, seed=3, count=4000)
    assert sum(found.values()) == 8000 and found["refused"] > 4000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
