"""The commands after training, in the words of the door that was used."""

import pytest

from efficientvision.configs.run_options import RunOptions
from efficientvision.runs.next_commands import next_commands


@pytest.fixture
def options(tmp_path):
    folder = tmp_path / "my run"
    folder.mkdir()
    (folder / "best").write_text("archive/ckpt-1.npz\n")
    return RunOptions(model_dir=str(folder), data_dir="photos", val_file_pattern="photos/val*")


def test_of_python(options):
    commands = dict(next_commands("efficientvision.train('efficientdet-d0')", options))
    assert commands["evaluate"] == f"ev.evaluate('{options.model_dir}/best', 'photos')"
    assert commands["export"].endswith("'litert', verify='photos')")
    assert commands["predict"].startswith("ev.predict(")


def test_of_the_console_command(options):
    for command in ("efficientvision train efficientdet-d0 photos", "python -m efficientvision x"):
        commands = dict(next_commands(command, options))
        assert commands["predict"] == f"efficientvision predict '{options.model_dir}/best' photos"
        assert commands["export"].endswith("litert --verify=photos")


def test_of_main(options):
    commands = dict(next_commands("/usr/bin/python ./main.py --mode=train", options))
    assert commands["predict"].startswith("python model_inspect.py --runmode=infer --ckpt_path='")
    assert commands["evaluate"].endswith("--val_file_pattern='photos/val*'")


def test_without_an_evaluation_the_folder_is_the_model(tmp_path):
    options = RunOptions(model_dir=str(tmp_path))
    commands = dict(next_commands("efficientvision train x", options))
    assert commands["evaluate"] == f"efficientvision evaluate {tmp_path} DATA"
    assert commands["export"].endswith("--photos=photos")
    assert "val*.tfrecord" in dict(next_commands("python main.py", options))["evaluate"]
