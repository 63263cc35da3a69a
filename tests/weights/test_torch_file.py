import pickle
import string

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.weights.torch_file import is_torch_file, open_torch_file
from tests.weights.made_torch_files import (
    Call,
    Storage,
    View,
    ordered,
    parameter,
    write_legacy,
    write_zip,
)

RNG = np.random.default_rng(5)


@pytest.fixture(params=[write_legacy, write_zip], ids=["legacy", "zip"])
def write(request):
    return request.param


def arrays_of(path):
    """Name -> value of every tensor in a file."""
    file = open_torch_file(path)
    return dict(zip(file.tensors, file.read(list(file.tensors)), strict=True))


def assert_read(path, expected):
    arrays = arrays_of(path)
    assert list(arrays) == list(expected)
    for name, value in expected.items():
        assert arrays[name].dtype == np.asarray(value).dtype, name
        np.testing.assert_array_equal(arrays[name], value, err_msg=name)


def some_weights():
    return {
        "level1.conv.weight": RNG.standard_normal((4, 3, 3, 3)).astype(np.float32),
        "level1.bn.num_batches_tracked": np.int64(11),
        "classifier.bias": RNG.standard_normal(5).astype(np.float32),
    }


@pytest.mark.parametrize("location", ["cpu", "cuda:0"])
def test_state_dict(tmp_path, write, location):
    weights = some_weights()
    write(tmp_path / "net.pth", ordered(weights, version=1), location=location)
    assert is_torch_file(tmp_path / "net.pth")
    assert_read(tmp_path / "net.pth", weights)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "net"])
def test_training_checkpoint(tmp_path, write, key):
    weights = some_weights()
    checkpoint = {
        "epoch": 3,
        "arch": "espnetv2",
        "best_loss": np.float32(0.25),
        key: weights,
        "optimizer": {"state": {0: {"momentum_buffer": np.ones(3)}}, "param_groups": [{"lr": 0.1}]},
        "best_miou": Call(
            "numpy.core.multiarray scalar", (Call("numpy dtype", ("f8",)), "xxxxxxxx")
        ),
    }
    write(tmp_path / "checkpoint.pth.tar", checkpoint)
    assert_read(tmp_path / "checkpoint.pth.tar", weights)


def test_data_parallel_prefix(tmp_path, write):
    weights = some_weights()
    write(tmp_path / "net.pth", {f"module.{name}": value for name, value in weights.items()})
    assert_read(tmp_path / "net.pth", weights)


@pytest.mark.parametrize(
    "dtype", "float16 float32 float64 int8 int16 int32 int64 uint8 bool".split()
)
def test_dtypes(tmp_path, write, dtype):
    value = np.array([[0, 1, 2], [3, 4, 100]]).astype(dtype)
    write(tmp_path / "net.pth", {"w": value, "scalar": value[1, 2]})
    assert_read(tmp_path / "net.pth", {"w": value, "scalar": value[1, 2]})


def test_bfloat16_becomes_float32(tmp_path, write):
    # The upper half of a float32 is a bfloat16: -1.5 and 3e38, infinity.
    halves = np.array([0xBFC0, 0x7F62, 0x7F80], np.uint16)
    tensor = View(Storage(halves, "BFloat16Storage"), (3,))
    write(tmp_path / "net.pth", {"w": tensor})
    read = arrays_of(tmp_path / "net.pth")["w"]
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, [-1.5, 3.0e38, np.inf], rtol=4e-3)


def test_views_of_one_storage(tmp_path, write):
    storage = Storage(np.arange(24, dtype=np.float32))
    whole = storage.values.reshape(2, 3, 4)
    tensors = {
        "whole": View(storage, (2, 3, 4)),
        "last": View(storage, (3, 4), offset=12),
        "every other column": View(storage, (2, 3, 2), (12, 4, 2), offset=1),
        "transposed": View(storage, (4, 3, 2), (1, 4, 12)),
        "parameter": Call("torch._utils _rebuild_parameter", (View(storage, (24,)), True, {})),
        "empty": View(storage, (0, 5)),
    }
    write(tmp_path / "net.pth", tensors)
    expected = {
        "whole": whole,
        "last": whole[1],
        "every other column": whole[:, :, 1::2],
        "transposed": whole.transpose(2, 1, 0),
        "parameter": whole.reshape(-1),
        "empty": np.zeros((0, 5), np.float32),
    }
    assert_read(tmp_path / "net.pth", expected)


def test_window_of_a_storage(tmp_path):
    storage = Storage(np.arange(10, dtype=np.float32))
    write_legacy(tmp_path / "net.pth", {"w": View(storage, (2,), offset=1, window=(4, 3))})
    assert_read(tmp_path / "net.pth", {"w": np.float32([5, 6])})


def test_big_endian_archive(tmp_path):
    storage = Storage(np.array([1, 256], ">i4").view(np.int32), "IntStorage")
    write_zip(tmp_path / "net.pth", {"w": View(storage, (2,))}, byte_order="big")
    assert_read(tmp_path / "net.pth", {"w": np.int32([1, 256])})


def test_archive_without_byte_order(tmp_path):
    write_zip(tmp_path / "net.pth", {"w": np.float32([1, 2])}, byte_order=None)
    assert_read(tmp_path / "net.pth", {"w": np.float32([1, 2])})


def test_dictionary_of_python_2(tmp_path, write):
    pairs = [["w", np.float32([1, 2])], ["b", np.float32([3])]]
    write(tmp_path / "net.pth", Call("collections OrderedDict", (pairs,)))
    assert_read(tmp_path / "net.pth", dict(pairs))


def test_parameters(tmp_path, write):
    write(tmp_path / "net.pth", {"w": parameter(np.float32([1, 2]))})
    assert_read(tmp_path / "net.pth", {"w": np.float32([1, 2])})


@pytest.mark.parametrize(
    "content, says",
    [
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><html><body>Not found</body></html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git lfs pull"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        (b"a/b".ljust(257, b"\0") + b"ustar\x0000", "tar archive: unpack"),
        (b"\x1f\x8b\x08" + bytes(20), "compressed: unpack"),
        (b"PK\x03\x04" + bytes(40), "zip archive that is damaged"),
        (b"hello", "no PyTorch file"),
        (pickle.dumps({"w": [1.0, 2.0]}), "not of PyTorch's format"),
        (pickle.dumps(string.Template(""), 2), "holds string.Template"),
    ],
)
def test_what_is_no_pytorch_file_is_named(tmp_path, content, says):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=says) as caught:
        open_torch_file(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not is_torch_file(path)


@pytest.mark.parametrize("value", [[1, 2], {"epoch": 3}, 7, {"state_dict": {}}])
def test_file_without_a_state_dict(tmp_path, write, value):
    write(tmp_path / "net.pth", value)
    with pytest.raises(UserError, match="state dict|state_dict"):
        open_torch_file(tmp_path / "net.pth")
