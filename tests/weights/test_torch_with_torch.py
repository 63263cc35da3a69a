"""Our reader against PyTorch's own, where that is installed."""

import pathlib

import numpy as np
import pytest

from efficientvision.weights.torch_file import open_torch_file
from tests.weights.made_torch_files import write_legacy, write_zip

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

PUBLISHED = pathlib.Path(__file__).resolve().parents[3] / "shared" / "weights" / "edgenets"


def theirs(path):
    """What PyTorch reads, as numpy arrays by name."""
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    loaded = loaded.get("state_dict", loaded)
    return {
        name.removeprefix("module."): (t.float() if t.dtype == torch.bfloat16 else t)
        .detach()
        .numpy()
        for name, t in loaded.items()
    }


def assert_read_alike(path):
    file, expected = open_torch_file(path), theirs(path)
    arrays = dict(zip(file.tensors, file.read(list(file.tensors)), strict=True))
    assert list(arrays) == list(expected)
    for name, value in expected.items():
        assert arrays[name].dtype == value.dtype, name
        np.testing.assert_array_equal(arrays[name], value, err_msg=name)


@pytest.fixture(params=[True, False], ids=["zip", "legacy"])
def save(request):
    def write(value, path, **options):
        torch.save(value, path, _use_new_zipfile_serialization=request.param, **options)

    return write


def test_a_module(tmp_path, save):
    network = torch.nn.Sequential(
        torch.nn.Conv2d(4, 8, 3, groups=2), torch.nn.BatchNorm2d(8), torch.nn.PReLU(8)
    )
    save(network.state_dict(), tmp_path / "net.pth")
    assert_read_alike(tmp_path / "net.pth")


def test_a_training_checkpoint(tmp_path, save):
    network = torch.nn.DataParallel(torch.nn.Linear(3, 5))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    network(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    checkpoint = {
        "epoch": 3,
        "arch": "espnetv2",
        "state_dict": network.state_dict(),
        "best_loss": torch.tensor(0.5),
        "optimizer": optimizer.state_dict(),
    }
    save(checkpoint, tmp_path / "checkpoint.pth.tar")
    assert_read_alike(tmp_path / "checkpoint.pth.tar")
    checkpoint["best_miou"] = np.float64(0.7)  # PyTorch's own restricted reader refuses this one.
    save(checkpoint, tmp_path / "numpy.pth")
    assert list(open_torch_file(tmp_path / "numpy.pth").tensors) == ["weight", "bias"]


def test_every_dtype_and_view(tmp_path, save):
    whole = torch.arange(60, dtype=torch.float32).reshape(3, 4, 5)
    tensors = {
        str(kind): torch.tensor([0, 1, 100]).to(kind)
        for kind in (
            torch.float64,
            torch.float16,
            torch.bfloat16,
            torch.int8,
            torch.int16,
            torch.int32,
            torch.int64,
            torch.uint8,
            torch.bool,
        )
    }
    tensors |= {
        "whole": whole,
        "row": whole[1],
        "columns": whole[:, 1::2, 2:],
        "transposed": whole.permute(2, 0, 1),
        "parameter": torch.nn.Parameter(torch.ones(2, 2)),
        "number": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "not finite": torch.tensor([float("nan"), float("inf")]),
    }
    save(tensors, tmp_path / "tensors.pth")
    assert_read_alike(tmp_path / "tensors.pth")
    # PyTorch writes newer pickles on demand, which its own restricted reader cannot read.
    save(tensors, tmp_path / "protocol4.pth", pickle_protocol=4)
    files = [open_torch_file(tmp_path / name) for name in ("tensors.pth", "protocol4.pth")]
    for a, b in zip(*(file.read(list(tensors)) for file in files), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("write", [write_legacy, write_zip])
def test_pytorch_reads_what_the_tests_write(tmp_path, write):
    arrays = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.int64(3)}
    write(tmp_path / "made.pth", {"state_dict": arrays, "epoch": 1})
    assert_read_alike(tmp_path / "made.pth")


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published weights are not here")
def test_published_files():
    paths = sorted(PUBLISHED.glob("*.pth"))
    assert paths
    for path in paths:
        assert_read_alike(path)
