"""python -m efficientvision.weights: what it prints, writes and refuses."""

import functools
import subprocess
import sys

import keras
import numpy as np
import pytest
from absl import flags

from efficientvision.api import build_model, load_weights
from efficientvision.cli import run_main, weights_command
from efficientvision.weights import names as naming
from tests.filled_segmenter import filled_segmenter, weights_of
from tests.filled_ssd import filled_ssd
from tests.weights.made_torch_files import Call, write_zip

NETWORK = "shufflenetv2_s_0.1"


def run(*arguments):
    """Runs the program; returns its exit code."""
    values = flags.FlagValues()
    weights_command.define_flags(values)
    program = functools.partial(weights_command.main, flag_values=values)
    with pytest.raises(SystemExit) as ended:
        run_main(
            program, ["weights", *map(str, arguments)], flag_values=values, takes_arguments=True
        )
    return ended.value.code


@pytest.fixture(scope="module")
def arrays():
    """A state dict of a small classifier of seven classes, in PyTorch's layout."""
    rng = np.random.default_rng(4)
    model = build_model(NETWORK, num_classes=7, image_size=64)
    return {
        name: rng.uniform(0.1, 1, np.transpose(v, _torch_axes(v)).shape).astype(np.float32)
        for name, v in naming.published_variables(model).items()
    }


def _torch_axes(value):
    return (3, 2, 0, 1) if len(value.shape) == 4 else None


@pytest.fixture(scope="module")
def pth(arrays, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "net.pth"
    write_zip(path, {"state_dict": arrays, "epoch": 90})
    return path


@pytest.fixture
def built(monkeypatch):
    """The networks that the program has built."""
    networks = []

    def recording(*arguments, **options):
        networks.append(build_model(*arguments, **options))
        return networks[-1]

    monkeypatch.setattr("efficientvision.api.build_model", recording)
    return networks


def test_show(pth, arrays, capsys):
    assert run("show", pth) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert len(lines) == len(arrays)
    assert lines[0].split(maxsplit=1) == ["level1.cbr.0.weight", "[3, 3, 3, 8]"]
    count = sum(array.size for array in arrays.values())
    assert f"(torch): {len(arrays)} weights, {count:,} values." in last
    assert f"looks like {NETWORK} for classification with 7 classes" in last


def test_convert_to_weights_and_to_a_model(pth, arrays, tmp_path, capsys):
    output = tmp_path / "new" / "net.weights.h5"
    assert run("convert", pth, output, "--image_size=64") == 0
    printed = capsys.readouterr().out
    assert "backbone" in printed and f"Wrote {output}" in printed
    assert [path.name for path in output.parent.iterdir()] == ["net.weights.h5"]
    model = build_model(NETWORK, num_classes=7, image_size=64)
    report = load_weights(model, output, verbose=False)
    assert len(report.loaded) == len(arrays)
    for name, variable in naming.published_variables(model).items():
        expected = arrays[name]
        if expected.ndim == 4:
            expected = expected.transpose(2, 3, 1, 0)
        np.testing.assert_array_equal(variable.numpy(), expected, err_msg=name)

    whole = tmp_path / "net.keras"
    assert run("convert", pth, whole, "--image_size=96x64") == 0
    again = keras.models.load_model(whole)
    assert again.input_shape == (None, 64, 96, 3) and again.output_shape == (None, 7)
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


def test_an_output_is_replaced_only_if_asked(pth, tmp_path, capsys):
    output = tmp_path / "net.weights.h5"
    output.write_bytes(b"mine")
    assert run("convert", pth, output) == 1
    assert "--overwrite" in capsys.readouterr().err and output.read_bytes() == b"mine"
    assert run("convert", pth, output, "--overwrite") == 0
    assert output.stat().st_size > 100_000


@pytest.mark.parametrize(
    "arguments, says",
    [
        ([], "expected: show FILE, or convert"),
        (["show"], "show is not complete"),
        (["convert", "a.pth"], "convert a.pth is not complete"),
        (["show", "nowhere.pth"], "There is no checkpoint nowhere.pth"),
        (["convert", "{pth}", "net.h5"], r"must end in .weights.h5 or .keras"),
        (["convert", "{pth}", "x.keras", "--task=segmentation"], "not for segmentation"),
        (["convert", "{pth}", "x.keras", "--num_classes=9"], "does not have all weights of"),
        (["convert", "{pth}", "x.keras", "--model_name=shufflenetv2_s_1.0"], "looks like"),
        (["convert", "{pth}", "x.keras", "--model_name=shufflenet"], "Did you mean shufflenetv2"),
    ],
)
def test_mistakes(pth, tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert run(*(argument.format(pth=pth) for argument in arguments)) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and says in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_an_ssd_file_tells_its_network_classes_and_size(tmp_path, capsys, built):
    model = filled_ssd(NETWORK, num_classes=5, image_size=96)
    arrays = {n: np.transpose(v, _torch_axes(v)) for n, v in weights_of(model).items()}
    path = tmp_path / f"{NETWORK}_made_96x96.pth"
    write_zip(path, arrays)
    assert run("show", path) == 0
    assert f"looks like {NETWORK} for detection with 5 classes" in capsys.readouterr().out
    assert run("convert", path, tmp_path / "x.keras", "--task=classification") == 1
    assert "not for classification" in capsys.readouterr().err
    assert run("convert", path, tmp_path / "x.keras") == 0
    (converted,) = built
    assert converted.input_shape == (None, 96, 96, 3)
    assert [x.shape[-1] for x in converted.outputs] == [5, 4]
    for expected, value in zip(model.get_weights(), converted.get_weights(), strict=True):
        np.testing.assert_array_equal(value, expected)
    assert (tmp_path / "x.keras").stat().st_size > 100_000


def test_a_segmentation_file_tells_its_classes_and_size(tmp_path):
    """Its name ends in the size as published, WxH."""
    model = filled_segmenter(NETWORK, num_classes=7, image_size=64)
    arrays = {n: a.transpose(_torch_axes(a)) for n, a in weights_of(model).items()}
    write_zip(tmp_path / "net_96x64.pth", arrays)
    assert run("convert", tmp_path / "net_96x64.pth", tmp_path / "whole.keras") == 0
    again = keras.models.load_model(tmp_path / "whole.keras")
    assert again.input_shape == (None, 64, 96, 3) and again.output_shape == (None, 64, 96, 7)
    for expected, value in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(value, expected)


def test_a_segmentation_file_tells_its_widths_and_second_output(tmp_path, built):
    """Where the name does not say the size, the flag does."""
    options = {"num_classes": 4, "pyramid_width": 3, "auxiliary": True}
    model = filled_segmenter(NETWORK, image_size=64, **options)
    model.save_weights(tmp_path / "net.weights.h5")
    output = tmp_path / "new.weights.h5"
    assert run("convert", tmp_path / "net.weights.h5", output, "--image_size=96x64") == 0
    (converted,) = built
    assert converted.input_shape == (None, 64, 96, 3)
    shapes = [x.shape for x in keras.tree.flatten(converted.output)]
    assert shapes == [(None, 64, 96, 4)] * 2
    expected = model.get_weights()
    model.set_weights([0 * value for value in expected])
    model.load_weights(output)
    for value, wanted in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(value, wanted)


def test_an_unknown_network(tmp_path, capsys):
    write_zip(tmp_path / "net.pth", {"conv_stem.weight": np.zeros((4, 3, 3, 3), np.float32)})
    assert run("show", tmp_path / "net.pth") == 0
    assert "does not match any network of list_models()" in capsys.readouterr().out
    assert run("convert", tmp_path / "net.pth", tmp_path / "x.keras") == 1
    assert "add --model_name" in capsys.readouterr().err


def test_a_hostile_file_as_a_program(tmp_path, repository):
    """By itself, as a user runs it; it answers before TensorFlow is loaded."""
    trace = tmp_path / "trace"
    write_zip(tmp_path / "evil.pth", {"w": Call("os system", (f"touch {trace}",))})
    command = [sys.executable, "-X", "importtime", "-m", "efficientvision.weights", "show"]
    done = subprocess.run(
        [*command, str(tmp_path / "evil.pth")],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "holds os.system, which is not a tensor" in done.stderr
    assert "Traceback" not in done.stderr and not trace.exists()
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "efficientvision.errors" in imported and not {"tensorflow", "keras"} & imported
