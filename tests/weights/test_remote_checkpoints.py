"""Checkpoints of every kind are read from a remote folder as from a local one."""

import keras
import numpy as np
import pytest

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.training.checkpoints import Checkpoint, checkpoint_path, write_checkpoint
from efficientvision.weights.checkpoint_reader import open_checkpoint
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint
from tests.weights.made_torch_files import write_legacy, write_zip

NAME = "box_net/box-predict/bias"
VALUE = np.arange(36, dtype=np.float32)


@pytest.fixture
def remote(tmp_path):
    yield (folder := f"ram://{tmp_path.name}")
    files.remove_folder(folder)


def _upload(source, remote):
    for path in sorted(source.iterdir()):
        files.copy(path, files.join(remote, path.name))


@pytest.mark.parametrize("ending", ["", "/model", "/model.index", "/model.data-00000-of-00001"])
def test_tensorflow_checkpoint(tmp_path, remote, ending):
    write_tf1_checkpoint(tmp_path / "model", {NAME: VALUE})
    _upload(tmp_path, remote)
    reader = open_checkpoint(remote + ending)
    assert (reader.kind, reader.path) == ("tf1", f"{remote}/model")
    np.testing.assert_array_equal(reader.read(NAME), VALUE)


def test_tensorflow_checkpoint_is_written_there(remote):
    prefix = write_tf1_checkpoint(f"{remote}/new/model", {NAME: VALUE})
    assert files.list_names(f"{remote}/new") == [
        "checkpoint",
        "model.data-00000-of-00001",
        "model.index",
    ]
    np.testing.assert_array_equal(open_checkpoint(prefix).read(NAME), VALUE)


def test_parts_that_are_missing_are_named(tmp_path, remote):
    write_tf1_checkpoint(tmp_path / "model", {NAME: VALUE})
    _upload(tmp_path, remote)
    files.remove(f"{remote}/model.data-00000-of-00001")
    with pytest.raises(UserError, match="model.data-00000-of-00001"):
        open_checkpoint(f"{remote}/model")
    with pytest.raises(UserError, match="There is no checkpoint ram://.*/other"):
        open_checkpoint(f"{remote}/other")


@pytest.mark.parametrize("name", ["model.weights.h5", "model.keras"])
def test_keras_files(tmp_path, remote, name):
    inputs = keras.Input((8, 8, 4))
    layer = keras.layers.Conv2D(36, 1, name="conv2d")
    model = keras.Model(inputs, layer(inputs))
    layer.bias.assign(VALUE)
    save = model.save_weights if name.endswith(".h5") else model.save
    save(tmp_path / name)
    local = open_checkpoint(tmp_path / name)
    _upload(tmp_path, remote)
    for path in (remote, f"{remote}/{name}"):
        reader = open_checkpoint(path)
        assert (reader.kind, reader.path) == ("keras", f"{remote}/{name}")
        assert reader.names() == local.names() and len(reader.names()) == 2
        (bias,) = [n for n, shape in reader.names().items() if shape == (36,)]
        np.testing.assert_array_equal(reader.read(bias), VALUE)


def test_run_folder(remote):
    for step in (1, 20):
        checkpoint = Checkpoint({NAME: VALUE * step}, step=step)
        write_checkpoint(checkpoint_path(remote, step), checkpoint)
    np.testing.assert_array_equal(open_checkpoint(remote).read(NAME), VALUE * 20)
    path = checkpoint_path(remote, 20)
    content = files.read_bytes(path)
    files.write_bytes(path, content[: len(content) // 2])
    np.testing.assert_array_equal(open_checkpoint(remote).read(NAME), VALUE)


@pytest.mark.parametrize("write", [write_legacy, write_zip])
def test_pytorch_file(tmp_path, remote, write):
    write(tmp_path / "net.pth", {"classifier.bias": VALUE})
    _upload(tmp_path, remote)
    reader = open_checkpoint(f"{remote}/net.pth")
    assert reader.kind == "torch"
    np.testing.assert_array_equal(reader.read("classifier.bias"), VALUE)
