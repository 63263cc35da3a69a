"""What loading says of files that do not fit, and whole models as today's Keras saves them."""

import keras
import numpy as np
import pytest

from efficientvision.errors import UserError
from efficientvision.models.classifier import build_classifier
from efficientvision.weights import edgenet_names
from efficientvision.weights.automl import load_weights
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
    assert "note: what it keeps under 'ema' was not loaded" in printed
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
