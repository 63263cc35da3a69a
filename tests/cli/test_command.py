"""The command `efficientvision`: help, parsing, and errors before TensorFlow starts."""

import dataclasses
import subprocess
import sys

import pytest

from efficientvision.cli import command
from efficientvision.cli.commands import base, convert, hyper_parameters
from efficientvision.configs.overrides import RawText
from efficientvision.data.sources import records

ALL = [command.find_command(name) for name in command.NAMES]


def ended(words, capsys):
    """(exit code, stdout, stderr) of a command line."""
    with pytest.raises(SystemExit) as end:
        command.main(words)
    out = capsys.readouterr()
    return end.value.code, out.out, out.err


def test_overview_lists_every_command_on_a_line_of_80_columns(capsys):
    code, text, _ = ended([], capsys)
    assert code == 0
    for one in ALL:
        assert f"  {one.name}" in text and one.summary in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_help_of_each(one, capsys):
    code, text, _ = ended([one.name, "--help"], capsys)
    assert code == 0
    lines = text.splitlines()
    assert lines[0] == f"Usage: {one.usage}"
    assert "Examples:" in lines[:16]
    assert [line for line in lines if len(line) > 80] == []
    assert base.REST not in text, "an option without a group"
    assert "`" not in text and "runmode" not in text
    assert ended(["help", one.name], capsys) == (0, text, "")


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_examples_parse(one, monkeypatch):
    """Each example is a command line that the command accepts, but for files that must exist."""
    for line, _ in one.examples:
        words = line.split()
        assert words[:2] == ["efficientvision", one.name]
        calls = []
        tried = dataclasses.replace(one, run=calls.append, check=None)
        with pytest.raises(SystemExit) as end:
            tried(words[2:])
        assert end.value.code == 0 and len(calls) == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trian"], "Unknown command 'trian'. Did you mean train?"),
        (["train"], "MODEL is missing"),
        (["train", "efficientdet-lite", "."], "Did you mean efficientdet-lite4"),
        (["train", "efficientdet-lite0", ".", "more"], "Unexpected argument 'more'"),
        (["train", "efficientdet-lite0", "nowhere"], "DATA nowhere does not exist"),
        (["train", "efficientdet-lite0", ".", "--lerning_rate=1"], "Did you mean --learning_rate"),
        (["train", "efficientdet-lite0", ".", "--learning_rate=x"], "learning_rate must be"),
        (["train", "efficientdet-lite0", ".", "--learning_rate"], "--learning_rate needs a value"),
        (["train", "efficientdet-lite0", ".", "--hparams=bcd"], "name of a recipe"),
        (["train", "efficientdet-lite0", ".", "--preflight=maybe"], "--preflight=maybe"),
        (["train", "espnetv2_s_1.0", ".", "--anchor_scale=3"], "anchor_scale"),
        (["train", "efficientdet-lite0", ".", "--mode=eval"], "efficientvision evaluate"),
        (["train", "efficientdet-lite0", ".", "--log_to=wandbb"], "Did you mean wandb"),
        (["evaluate", ".", ".", "--hparams=bcd"], "name of a recipe"),
        (["evaluate", "nowhere", "."], "MODEL nowhere does not exist"),
        (["export", ".", "litret"], "Did you mean litert"),
        (["benchmark", "efficientdet-lite"], "Did you mean efficientdet-lite4"),
        (["benchmark", "efficientdet-d0", "--model_name=x"], "remove --model_name"),
        (["predict", ".", "nowhere"], "PHOTOS nowhere does not exist"),
        (["predict", ".", ".", "--save_prelabels=cvt"], "Did you mean cvat"),
        (["predict", ".", ".", "--min_score_thresh=5"], "--min_score_thresh"),
        (["convert", "nowhere", "out"], "DATA nowhere does not exist"),
        (["convert", "coco", "--image_dirs=x"], "Did you mean --image_dir"),
        (["inspect", "detecto"], "PATH detecto is neither"),
        (["inspect", ".", "--model_name=detecto"], "Unknown --model_name=detecto"),
        (["models", "detecton"], "Did you mean detection"),
        (["weights", "show"], "FILE is missing"),
        (["weights", "shwo", "x"], "expected: weights show FILE"),
    ],
)
def test_mistakes_are_told_at_once(words, expected, capsys):
    code, _, text = ended(words, capsys)
    assert code == 2
    assert expected in text and text.startswith("error: ") and text.count("\n") == 1


def test_no_deep_learning_library_before_the_options_are_right():
    program = (
        "import sys\n"
        "from efficientvision.cli import command\n"
        "for words in (['train', '--help'], ['train', 'efficientdet-d0', '.', '--lr=x'],\n"
        "              ['export', '--help'], ['models'], ['evaluate', 'no', 'no']):\n"
        "    try: command.main(words)\n"
        "    except SystemExit: pass\n"
        "print(sorted({'tensorflow', 'keras', 'numpy'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_hyper_parameters_are_options():
    words = ["efficientdet-d0", "x", "--learning_rate=0.1", "--seed=3", "--input_rand_vflip"]
    words += ["--nms_configs.score_thresh", "0.2", "--restarts=1"]
    rest, found, _ = hyper_parameters.split_hyper_parameters(words, ["seed", "restarts"])
    assert rest == ["efficientdet-d0", "x", "--seed=3", "--restarts=1"]
    assert found == {
        "learning_rate": "0.1",
        "input_rand_vflip": "true",
        "nms_configs.score_thresh": "0.2",
    }
    assert all(isinstance(value, RawText) for value in found.values())


def test_help_of_a_model_lists_its_hyper_parameters(capsys):
    _, text, _ = ended(["train", "efficientdet-lite0", "--help"], capsys)
    assert "--anchor_scale=3.0" in text and "--fpn_name" in text


def test_models_lists_names(capsys):
    code, text, _ = ended(["models", "segmentation", "--names"], capsys)
    assert code == 0 and "espnetv2_s_2.0" in text.splitlines()


def test_converters_with_flags_of_their_own(capsys):
    for name in ("coco", "masks"):
        text = subprocess.run(
            [sys.executable, "-m", "efficientvision", "convert", name, "--help"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert f"efficientvision convert {name}" in text and "--num_shards" in text


def test_convert_passes_on_what_was_set(monkeypatch):
    calls = []
    monkeypatch.setattr(convert, "load_tensorflow_quietly", lambda: None)
    monkeypatch.setattr(records, "convert_folder", lambda *a, **k: calls.append((a, k)) or [])
    for words in ([], ["--val_fraction=0.1", "--background", "--num_shards=4", "--labels=boxes"]):
        with pytest.raises(SystemExit):
            command.main(["convert", ".", "out", *words])
    source = records.SourceOptions
    assert calls == [
        ((".", "out"), {"options": source()}),
        (
            (".", "out"),
            {
                "options": source(val_fraction=0.1, background=True),
                "num_shards": 4,
                "labels": "boxes",
            },
        ),
    ]


def test_a_folder_named_like_a_converter(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "coco").mkdir()
    assert command._names_converter(["coco", "--image_dir=coco/train2017"])
    assert not command._names_converter(["coco", "records"])
    assert command._names_converter(["masks", "--help"]) and not command._names_converter([])


def test_version(capsys):
    from efficientvision import __version__

    assert ended(["--version"], capsys) == (0, f"efficientvision {__version__}\n", "")
