import h5py
import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.weights.automl import load_weights
from efficientvision.weights.checkpoint_reader import open_checkpoint
from tests.weights.conftest import (
    CHANNEL_WEIGHTS,
    SEGMENTATION,
    VFPN,
    assert_filled,
    build_detector,
    values_of,
)


def write_keras2_h5(path, arrays):
    """Writes what Keras 2's `save_weights` made of the original network: a group per layer."""
    groups = {}
    for name, value in arrays.items():
        groups.setdefault(name.split("/")[0], {})[name] = value
    groups["resample_p7"] = {}
    groups["top_level_model_weights"] = {}
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [n.encode() for n in groups if n != "top_level_model_weights"]
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.15.0"
        for layer, weights in groups.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{name}:0".encode() for name in weights]
            for name, value in weights.items():
                group.create_dataset(f"{name}:0", data=value)


def test_keras2_h5_is_loaded_whole(tmp_path, d0_arrays, blank_d0):
    path = tmp_path / "efficientdet-d0.h5"
    write_keras2_h5(path, d0_arrays)
    with h5py.File(path) as file:  # The layout of the reference file.
        assert "/box_net/box_net/box-0/depthwise_kernel:0" in file
    report = load_weights(blank_d0, path, verbose=False)
    assert report.kind == "h5" and len(report.loaded) == 709 and not report.unused
    assert_filled(blank_d0)


@pytest.mark.parametrize("ending", [".weights.h5", ".keras"])
def test_own_keras3_files_are_loaded_whole(tmp_path, d0_arrays, d0_checkpoint, blank_d0, ending):
    load_weights(blank_d0, d0_checkpoint, verbose=False)
    path = tmp_path / f"model{ending}"
    (blank_d0.save if ending == ".keras" else blank_d0.save_weights)(path)
    names = open_checkpoint(path).names()
    assert names == {name: value.shape for name, value in d0_arrays.items()}
    for variable in blank_d0.weights:
        variable.assign(np.zeros(variable.shape))
    report = load_weights(blank_d0, path, verbose=False)
    assert report.kind == "keras" and len(report.loaded) == 709
    assert_filled(blank_d0)


def test_keras3_file_into_another_number_of_classes(tmp_path, blank_d0, d0_checkpoint):
    load_weights(blank_d0, d0_checkpoint, verbose=False)
    blank_d0.save_weights(tmp_path / "model.weights.h5")
    model = build_detector(num_classes=20)
    report = load_weights(model, tmp_path / "model.weights.h5", verbose=False)
    assert set(report.skipped) == {
        "class_net/class-predict/bias",
        "class_net/class-predict/pointwise_kernel",
    }
    assert_filled(model, only=lambda name: name not in report.skipped)


@pytest.mark.parametrize(
    "options",
    [VFPN, SEGMENTATION, CHANNEL_WEIGHTS],
    ids=["vfpn", "segmentation", "channel_attn"],
)
def test_keras3_names_of_other_members(tmp_path, options):
    model = build_detector(**options)
    model.save_weights(tmp_path / "model.weights.h5")
    expected = values_of(model)
    reader = open_checkpoint(tmp_path / "model.weights.h5")
    assert reader.names() == {name: value.shape for name, value in expected.items()}
    read = reader.read_many(expected)
    assert all(np.array_equal(read[name], expected[name]) for name in expected)


@pytest.mark.parametrize("ending", [".h5", ".weights.h5", ".keras"])
def test_a_file_cut_short_is_named(tmp_path, blank_d0, d0_arrays, ending):
    path = tmp_path / f"model{ending}"
    if ending == ".h5":
        write_keras2_h5(path, d0_arrays)
    else:
        (blank_d0.save if ending == ".keras" else blank_d0.save_weights)(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=f"{path.name} is damaged, cut short"):
        load_weights(blank_d0, path, verbose=False)
