"""Safetensors files: honest ones are read, hostile ones refused by name before any value."""

import json
import struct

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.weights.checkpoint_reader import open_checkpoint
from efficientvision.weights.safetensors_file import open_safetensors
from tests.weights.made_safetensors import header_of, write_safetensors
from tests.weights.made_torch_files import write_zip

WEIGHTS = {
    "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "a.bias": np.arange(5, dtype=np.float64),
    "n.num_batches_tracked": np.array(3, np.int64),
    "empty": np.zeros((0, 2), np.float16),
}
HEADER = header_of(WEIGHTS)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def test_values_of_every_tensor(path):
    write_safetensors(path, WEIGHTS, {**HEADER, "__metadata__": {"format": "pt"}})
    file = open_safetensors(path)
    assert list(file.tensors) == list(WEIGHTS)
    for name, value in zip(WEIGHTS, file.read(list(WEIGHTS)), strict=True):
        np.testing.assert_array_equal(value, WEIGHTS[name])
        assert value.dtype == WEIGHTS[name].dtype


def test_bfloat16_is_widened(path):
    values = np.array([1.5, -2.0, 0.25], np.float32)
    write_safetensors(path, {"a": (values.view(np.uint32) >> 16).astype(np.uint16)})
    (read,) = open_safetensors(path).read(["a"])
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, values)


def test_the_content_decides_not_the_name(tmp_path):
    named_otherwise, pytorch = tmp_path / "a.pth", tmp_path / "b.safetensors"
    write_safetensors(named_otherwise, WEIGHTS)
    write_zip(pytorch, WEIGHTS)
    assert open_checkpoint(named_otherwise).kind == "safetensors"
    assert open_checkpoint(pytorch).kind == "torch"
    assert open_checkpoint(named_otherwise).names()["a.weight"] == (2, 3, 4)


def changed(name="a.weight", **entry):
    return {**HEADER, name: {**HEADER[name], **entry}}


def refused(path, says):
    with pytest.raises(UserError, match=says) as caught:
        file = open_safetensors(path)
        file.read(list(file.tensors))
    assert str(path) in str(caught.value) and str(caught.value).isprintable()


@pytest.mark.parametrize(
    "header, says",
    [
        (changed(data_offsets=[0, 92]), "does not fit its shape"),
        (changed(shape=[2**39, 2**39]), "does not fit its shape"),
        (changed(shape=[2**62]), "states 4611"),
        (changed(shape=[-2, 12]), "states -2"),
        (changed(shape=[2.0, 12]), "states 2.0"),
        (changed(shape=[True, 24]), "states True"),
        (changed(shape="many"), "no lists of numbers"),
        (changed(shape=[1] * 20 + [24]), "of 21 dimensions"),
        (changed(shape=[1] * 200_000 + [24]), "of 200,001 dimensions"),
        (changed(shape=[2**39] * 100_000), "of 100,000 dimensions"),
        (changed(shape=[0, 2**39, 2**39], data_offsets=[0, 0]), "states 3022"),
        (changed(data_offsets=[96, 0]), "does not fit"),
        (changed(data_offsets=[0, 96, 96]), "no lists of numbers"),
        (changed("a.bias", data_offsets=[56, 96]), "overlaps another"),
        (changed("a.bias", data_offsets=[97, 137]), "follows unused bytes"),
        (changed("empty", data_offsets=[2**39, 2**39]), "follows unused bytes"),
        (changed(dtype="F8_E4M3"), "as F8_E4M3, expected one of"),
        (changed(dtype=["F32"]), "expected one of"),
        ({**HEADER, "b": 3}, "not described"),
        ({**HEADER, "x" * 400: HEADER["empty"]}, "no name of a layer"),
        ({**HEADER, "\x1b[2J": HEADER["empty"]}, "no name of a layer"),
        ([], "is a list|does not begin"),
        ({}, "belong to no tensor"),
        (b"{not json", "not the JSON"),
        (b'{"a": ' * 100_000, "not the JSON"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "not the JSON"),
        (b'{"\xff": 1}', "not the JSON"),
        (b'{"a": 1, "b": {}, "a": 2}', "states 'a' twice"),
    ],
)
def test_impossible_headers(path, header, says):
    write_safetensors(path, WEIGHTS, header)
    refused(path, says)


@pytest.mark.parametrize(
    "length, says",
    [(2**63, "cut short, or no"), (2**64 - 1, "cut short, or no"), (10_000, "cut short, or no")],
)
def test_headers_longer_than_the_file(path, length, says):
    write_safetensors(path, WEIGHTS, length=length)
    refused(path, says)


def test_a_header_of_a_million_tensors_is_not_parsed(path):
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", 1 << 26) + b"{")
        file.truncate((1 << 26) + 8)
    refused(path, "header of 67,108,864 bytes, expected at most")


@pytest.mark.parametrize("kept", [3, 8, 200, -1])
def test_cut_short(path, kept):
    write_safetensors(path, WEIGHTS)
    path.write_bytes(path.read_bytes()[:kept])
    refused(path, "cut short|does not begin")


def test_bytes_after_the_last_tensor(path):
    write_safetensors(path, WEIGHTS)
    path.write_bytes(path.read_bytes() + b"more")
    refused(path, "4 bytes at its end")


@pytest.mark.parametrize(
    "content, says",
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html>" * 9, "web page"),
        (b"version https://git-lfs.github.com/spec/v1", "git-lfs pointer"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 90, "HDF5"),
    ],
)
def test_other_files_under_this_name(path, content, says):
    path.write_bytes(content)
    refused(path, says)
    with pytest.raises(UserError, match=says):
        open_checkpoint(path)


def test_the_index_of_a_sharded_network_says_what_to_do(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {}}))
    with pytest.raises(UserError, match="saved in several files; save it in one"):
        open_checkpoint(index)


def test_a_folder_is_searched(tmp_path, path):
    path.mkdir()
    with pytest.raises(UserError, match="contains no checkpoint"):
        open_checkpoint(path)
    write_safetensors(path / "weights.safetensors", WEIGHTS)
    assert open_checkpoint(path).kind == "safetensors"
