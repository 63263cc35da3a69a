"""What loading says of files that do not fit, and whole models as today's Keras saves them."""

import gzip

import keras
import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.tasks.classification.network import build_classifier
from efficientvision.weights import edgenet_names
from efficientvision.weights.checkpoint_reader import open_checkpoint
from efficientvision.weights.load import load_weights
from tests.weights.made_keras_files import write_archive, write_keras3
from tests.weights.made_torch_files import write_zip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pth"


@pytest.fixture(scope="module")
def model():
    return build_classifier("shufflenetv2_s_0.1", num_classes=3, image_hw=(32, 32))


def named(model, value):
    layouts = {4: (3, 2, 0, 1), 2: (1, 0)}
    return {
        edgenet_names.name_from_path(variable.path): np.ascontiguousarray(
            np.full(variable.shape, value, np.float32).transpose(
                layouts.get(len(variable.shape), range(len(variable.shape)))
            )
        )
        for variable in model.weights
    }


def test_names_of_another_network_are_shown_beside_ours(model, path):
    write_zip(path, {"trunk.stem.conv.weight": np.ones((2, 2), np.float32)})
    for skip in (False, True):
        with pytest.raises(UserError, match=r"like 'trunk\.stem\.conv\.weight'") as caught:
            load_weights(model, path, skip_mismatch=skip, verbose=False)
        assert "the model's like 'level1." in str(caught.value)
        assert "skip_mismatch" not in str(caught.value)


def test_the_report_says_what_was_averaged_and_what_is_no_number(model, path, capsys):
    weights = named(model, 0.5)
    weights["level1.cbr.1.weight"][1] = np.nan
    write_zip(path, {"model": weights, "ema": {"shadow_params": [np.ones(3)]}})
    load_weights(model, path)
    printed = capsys.readouterr().out
    assert "note: its value of 'ema' was not loaded" in printed
    assert "note: 1 variables hold values that are not finite" in printed
    before = [np.array(keras.ops.convert_to_numpy(v)) for v in model.weights]
    write_zip(path, named(model, np.nan))
    with pytest.raises(UserError, match="not finite .* in every variable"):
        load_weights(model, path, verbose=False)
    for variable, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["whole.h5", "WHOLE.H5", "whole.hdf5", "WHOLE.KERAS"])
def test_whole_models_of_todays_keras(model, tmp_path, name):
    for number, variable in enumerate(model.weights):
        variable.assign(np.full(variable.shape, number + 1))
    made = tmp_path / name.lower()
    model.save(made)
    made.rename(tmp_path / name)
    for variable in model.weights:
        variable.assign(np.zeros(variable.shape))
    report = load_weights(model, tmp_path / name, verbose=False)
    assert len(report.loaded) == len(model.weights) and not report.unused
    for number, variable in enumerate(model.weights):
        assert float(keras.ops.max(variable)) == number + 1


PAGE = b"<!DOCTYPE html><html><body>404</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12\n"


@pytest.mark.parametrize("ending", [".h5", ".weights.h5", ".keras", ".pth"])
@pytest.mark.parametrize(
    "content, says",
    [
        (b"", "is empty: fetch it again"),
        (PAGE, "is a web page, not weights"),
        (POINTER, "is a git-lfs pointer.*run git lfs pull"),
        (gzip.compress(b"weights"), "is compressed: unpack it"),
    ],
    ids=["empty", "page", "pointer", "gzip"],
)
def test_what_came_in_the_place_of_weights(tmp_path, ending, content, says):
    path = tmp_path / f"w{ending}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"The file .*w{ending} .*{says}"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    "write, ending, says",
    [
        (write_keras3, ".keras", r"is an HDF5 file, not a Keras archive: rename it to \.h5"),
        (write_archive, ".h5", r"is a zip archive, not an HDF5 file: rename it to \.keras"),
        (write_archive, ".pth", r"written by Keras: rename it to \.keras"),
        (write_keras3, ".pth", r"is an HDF5 file, as Keras writes it: rename it to \.h5"),
    ],
)
def test_the_other_kind_of_keras_file(tmp_path, write, ending, says):
    path = tmp_path / f"w{ending}"
    write(path)
    with pytest.raises(UserError, match=says):
        open_checkpoint(path)
