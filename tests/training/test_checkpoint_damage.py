"""Checkpoints whose zip index, arrays or list of arrays are damaged: never taken, no traceback."""

import io
import json
import pathlib
import random
import zipfile

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.training import checkpoints


def _checkpoint(step, arrays=3):
    rng = np.random.default_rng(step)
    weights = {f"block_{i}/kernel": rng.normal(size=(2, i + 1)).astype("f4") for i in range(arrays)}
    return checkpoints.Checkpoint(
        weights=weights,
        ema={k: v * 2 for k, v in weights.items()},
        optimizer={"iterations": np.int64(step)},
        step=step,
        meta={"seed": 3},
    )


def _contents(checkpoint):
    return {
        f"{group}/{name}": (np.asarray(value).dtype.str, np.asarray(value).tobytes())
        for group in ("weights", "ema", "optimizer")
        for name, value in getattr(checkpoint, group).items()
    }


def _look_at_flips(tmp_path, capsys, bytes_of_index, arrays):
    """Flips a bit in each of these bytes of the newest file; how often it was taken nonetheless."""
    folder = checkpoints.CheckpointFolder(tmp_path)
    folder.save(_checkpoint(1, arrays))
    newest = pathlib.Path(folder.save(_checkpoint(2, arrays)))
    whole = newest.read_bytes()
    with zipfile.ZipFile(newest) as archive:
        start = archive.start_dir
    expected = {step: _contents(_checkpoint(step, arrays)) for step in (1, 2)}
    rng, taken = random.Random(0), 0
    for place in bytes_of_index(range(start, len(whole))):
        content = bytearray(whole)
        content[place] ^= 1 << rng.randrange(8)
        newest.write_bytes(content)
        capsys.readouterr()
        read = checkpoints.read_checkpoint(tmp_path)
        assert _contents(read) == expected[read.step], place
        assert read.meta == {"seed": 3}
        taken += read.step == 2
        assert (str(newest) in capsys.readouterr().out) == (read.step == 1)
    return taken, len(whole) - start


def test_a_bit_in_the_index(tmp_path, capsys):
    _look_at_flips(tmp_path, capsys, lambda places: places[::7], arrays=1)


@pytest.mark.slow
def test_a_bit_in_every_byte_of_the_index(tmp_path, capsys):
    taken, size = _look_at_flips(tmp_path, capsys, lambda places: places, arrays=12)
    assert size > 1500
    # Dates, attributes, versions: what nobody reads is about a third of an index.
    assert taken < size / 2


def _rewritten(path, change):
    """The file with its members changed by `change`, checksums and index right."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    path.write_bytes(content.getvalue())


def _npy(array):
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def _drop(name):
    return lambda members: members.pop(name)


def _put(name, value):
    return lambda members: members.__setitem__(name, _npy(value))


def _renamed(members):
    members["ema/other.npy"] = members.pop("ema/block_0/kernel.npy")


@pytest.mark.parametrize(
    "change",
    [
        _drop("weights/block_0/kernel.npy"),
        _drop("ema/block_1/kernel.npy"),
        _drop("optimizer/iterations.npy"),
        _drop("meta.npy"),
        _renamed,
        _put("weights/more.npy", np.zeros(3)),
        _put("weights/block_0/kernel.npy", np.zeros((2, 1))),
        _put("weights/block_0/kernel.npy", np.zeros((1, 2), "f4")),
        _put("meta.npy", np.array("[]")),
        _put("meta.npy", np.array("{")),
        _put("meta.npy", np.array(json.dumps({"step": "two"}))),
        _put("meta.npy", np.array(json.dumps({"step": 2, "arrays": 5}))),
        _put("meta.npy", np.zeros(3)),
        lambda members: members.__setitem__("ema/block_0/kernel.npy", b"no array"),
    ],
)
def test_other_arrays_than_were_written(tmp_path, capsys, change):
    folder = checkpoints.CheckpointFolder(tmp_path)
    folder.save(_checkpoint(1))
    newest = pathlib.Path(folder.save(_checkpoint(2)))
    _rewritten(newest, change)
    assert not checkpoints.is_whole(newest)
    assert folder.restore().step == 1
    assert str(newest) in capsys.readouterr().out
    with pytest.raises(UserError, match=r"ckpt-2\.npz is cut short, damaged"):
        checkpoints.read_checkpoint(newest)


def test_a_checkpoint_from_before_there_was_a_list_is_read(tmp_path):
    path = pathlib.Path(checkpoints.CheckpointFolder(tmp_path).save(_checkpoint(1)))
    _rewritten(path, _put("meta.npy", np.array(json.dumps({"step": 1, "seed": 3}))))
    assert checkpoints.is_whole(path)
    assert checkpoints.read_checkpoint(tmp_path).weights.keys() == _checkpoint(1).weights.keys()


@pytest.mark.parametrize("content", [b"", b"PK", _npy(np.zeros(3)), b"\x80\x04N.", b"x" * 1000])
def test_what_is_no_checkpoint_at_all(tmp_path, content):
    path = tmp_path / "ckpt-1.npz"
    path.write_bytes(content)
    assert not checkpoints.is_whole(path)
    with pytest.raises(UserError, match="not one of this program's"):
        checkpoints.read_checkpoint(path)


@pytest.mark.parametrize("content", [b"[]", b"5", b"\xff\xfe{", b"{", b'{"ended": 0}'])
def test_a_damaged_index_file_says_nothing(tmp_path, content):
    (tmp_path / "checkpoint.json").write_bytes(content)
    assert checkpoints.has_ended(tmp_path) is False


def test_a_byte_in_an_array(tmp_path):
    """Far behind the array's header, which is right as the index is; the checksum is not."""
    folder = checkpoints.CheckpointFolder(tmp_path)
    large = np.random.default_rng(0).normal(size=100_000).astype("f4")
    before, newest = (
        pathlib.Path(folder.save(checkpoints.Checkpoint({"large": large}, step=step)))
        for step in (1, 2)
    )
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    assert checkpoints.is_whole(before) and not checkpoints.is_whole(newest)
    assert checkpoints.latest_checkpoint(tmp_path) == str(before)
