import shutil
from pathlib import Path

import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.training.checkpoints import Checkpoint, checkpoint_path, write_checkpoint
from efficientvision.weights.checkpoint_reader import find_checkpoint, open_checkpoint
from efficientvision.weights.load import load_weights
from efficientvision.weights.names import EMA_SUFFIX, published_variables
from efficientvision.weights.tensorflow_checkpoint import write_tf1_checkpoint
from tests.weights.conftest import assert_filled

SMALL = {"box_net/box-predict/bias": np.arange(36, dtype=np.float32)}
SHARD = ".data-00000-of-00001"


@pytest.mark.parametrize("suffix", ["", ".index", SHARD])
def test_prefix_index_and_data_file_mean_the_checkpoint(tmp_path, suffix):
    prefix = write_tf1_checkpoint(tmp_path / "model.ckpt-3", SMALL)
    reader = open_checkpoint(prefix + suffix)
    assert reader.kind == "tf1"
    assert reader.names() == {"box_net/box-predict/bias": (36,)}
    np.testing.assert_array_equal(reader.read("box_net/box-predict/bias"), np.arange(36))


def test_a_folder_means_what_its_checkpoint_file_says(tmp_path):
    write_tf1_checkpoint(tmp_path / "model-1", SMALL)
    write_tf1_checkpoint(tmp_path / "model-2", SMALL)
    assert find_checkpoint(tmp_path) == str(tmp_path / "model-2")
    # A folder that was moved: the stated path is foreign, its last component is not.
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/elsewhere/model-1"\n')
    assert find_checkpoint(tmp_path) == str(tmp_path / "model-1")
    (tmp_path / "checkpoint").unlink()
    assert find_checkpoint(tmp_path) == str(tmp_path / "model-2")


def test_averages_and_raw_values_are_both_readable(tmp_path):
    name = "box_net/box-predict/bias"
    prefix = write_tf1_checkpoint(
        tmp_path / "m", {name: np.zeros(36), name + EMA_SUFFIX: np.ones(36)}
    )
    reader = open_checkpoint(prefix)
    assert set(reader.ema_keys) == {name}
    assert reader.read(name).sum() == 36
    assert reader.read(name, ema=False).sum() == 0


def test_missing_path_is_named():
    with pytest.raises(UserError, match="no/such/model"):
        open_checkpoint("no/such/model")


def test_empty_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=f"{tmp_path.name} contains no checkpoint"):
        open_checkpoint(tmp_path)


def test_missing_data_file_is_named(tmp_path):
    prefix = write_tf1_checkpoint(tmp_path / "model", SMALL)
    Path(prefix + SHARD).unlink()
    with pytest.raises(UserError, match="model.data-00000-of-00001"):
        open_checkpoint(prefix)


def test_missing_shard_is_named(tmp_path):
    prefix = write_tf1_checkpoint(tmp_path / "model", SMALL)
    Path(prefix + SHARD).rename(prefix + ".data-00000-of-00002")
    with pytest.raises(UserError, match="model.data-00001-of-00002"):
        open_checkpoint(prefix)


def test_missing_index_is_named(tmp_path):
    prefix = write_tf1_checkpoint(tmp_path / "model", SMALL)
    Path(prefix + ".index").unlink()
    with pytest.raises(UserError, match="model.index is missing"):
        open_checkpoint(prefix)


@pytest.mark.parametrize("suffix", [SHARD, ".index"])
@pytest.mark.parametrize("keep", [0, 0.5, 0.95])
def test_truncated_file_changes_no_weight(tmp_path, d0_checkpoint, blank_d0, suffix, keep):
    for part in (SHARD, ".index"):
        shutil.copy(d0_checkpoint + part, tmp_path / f"model{part}")
    file = tmp_path / f"model{suffix}"
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(UserError, match="damaged or cut short"):
        load_weights(blank_d0, tmp_path / "model", verbose=False)
    assert not any(np.any(v.numpy()) for v in published_variables(blank_d0).values())


def test_a_run_is_read_by_its_newest_checkpoint(tmp_path, d0_arrays, blank_d0):
    def keras_path(name):
        if "/depthwise_conv2d" in name:
            return name.replace("/depthwise_kernel", "/kernel")
        return name

    weights = {keras_path(name): value for name, value in d0_arrays.items()}
    averages = {name: 2 * value for name, value in weights.items()}
    old = Checkpoint(weights={n: 0 * v for n, v in weights.items()}, step=1)
    write_checkpoint(checkpoint_path(tmp_path, 1), old)
    new = Checkpoint(weights=weights, ema=averages, step=20, optimizer={"iteration": np.int64(9)})
    write_checkpoint(checkpoint_path(tmp_path, 20), new)

    report = load_weights(blank_d0, tmp_path, verbose=False)
    assert report.num_averaged == 709 and report.auxiliary == 1
    assert_filled(blank_d0, scale=2)
    load_weights(blank_d0, checkpoint_path(tmp_path, 20), use_ema=False, verbose=False)
    assert_filled(blank_d0)


def test_an_unknown_kind_is_named(tmp_path):
    file = tmp_path / "weights.bin"
    file.write_bytes(b"x")
    with pytest.raises(UserError, match="weights.bin is not a checkpoint of a known kind"):
        open_checkpoint(file)
