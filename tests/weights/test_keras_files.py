import h5py
import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.weights.checkpoint_reader import open_checkpoint
from efficientvision.weights.load import load_weights
from efficientvision.weights.names import published_variables
from tests.goldens.fill import fill
from tests.weights.conftest import assert_filled, build_detector, small_detector, values_of


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


def filled(model):
    for name, variable in published_variables(model).items():
        variable.assign(fill(name, variable.shape))
    return model


@pytest.mark.parametrize(
    ("build", "ending"),
    [(build_detector, ".weights.h5"), (lambda: small_detector(3), ".keras")],
    ids=["weights of D0", "a whole model"],
)
def test_own_keras3_files_are_loaded_whole(tmp_path, build, ending):
    model = filled(build())
    path = tmp_path / f"model{ending}"
    (model.save if ending == ".keras" else model.save_weights)(path)
    assert open_checkpoint(path).names() == {n: v.shape for n, v in values_of(model).items()}
    for variable in model.weights:
        variable.assign(np.zeros(variable.shape))
    report = load_weights(model, path, verbose=False)
    assert report.kind == "keras" and len(report.loaded) == len(model.weights)
    assert_filled(model)


def test_keras3_file_into_another_number_of_classes(tmp_path):
    filled(small_detector(3)).save_weights(tmp_path / "model.weights.h5")
    model = small_detector(4)
    report = load_weights(model, tmp_path / "model.weights.h5", verbose=False)
    assert set(report.skipped) == {
        "class_net/class-predict/bias",
        "class_net/class-predict/pointwise_kernel",
    }
    assert_filled(model, only=lambda name: name not in report.skipped)


@pytest.mark.parametrize("ending", [".h5", ".weights.h5", ".keras"])
def test_a_file_cut_short_is_named(tmp_path, ending):
    path = tmp_path / f"model{ending}"
    model = small_detector(3)
    if ending == ".h5":
        write_keras2_h5(path, values_of(model))
    else:
        (model.save if ending == ".keras" else model.save_weights)(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=f"{path.name} is damaged, cut short"):
        load_weights(model, path, verbose=False)
