"""Flags of both command lines against the published ones, and how a command line fails."""

import errno
import io
import json
import os
import pathlib
import re
import sys

import pytest
from absl import flags as absl_flags

from efficientvision.cli import flags, run_main
from efficientvision.errors import UserError
from tests.programs import error_line, train_program

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "goldens/cli_flags.json").read_text())
PROGRAMS = (flags.TRAIN, flags.INSPECT)
PUBLISHED = [
    (program, name)
    for program in PROGRAMS
    for name in sorted(set().union(*GOLDEN[program].values()))
]


def _values(program=flags.TRAIN):
    values = absl_flags.FlagValues()
    define = {
        flags.TRAIN: flags.define_train_flags,
        flags.INSPECT: flags.define_inspect_flags,
    }
    define[program](flag_values=values)
    return values


def _parsed(program, *arguments):
    values = _values(program)
    values([program, *arguments])
    return values


def _run(main, *arguments, program=flags.TRAIN):
    with pytest.raises(SystemExit) as exit_info:
        run_main(main, [program, *arguments], flag_values=_values(program))
    return exit_info.value.code


# The three lists.


@pytest.mark.parametrize(("program", "name"), PUBLISHED)
def test_every_published_flag_is_in_exactly_one_list(program, name):
    lists = [
        name in flags.IMPLEMENTED[program] or name in flags.ALIASES[program],
        name in flags.OBSOLETE[program],
        name in flags.INVALID[program],
    ]
    assert lists.count(True) == 1


@pytest.mark.parametrize(("program", "name"), PUBLISHED)
def test_every_published_flag_takes_a_value_of_its_published_type(program, name):
    kind = next(names[name][0] for names in GOLDEN[program].values() if name in names)
    default = next(names[name][1] for names in GOLDEN[program].values() if name in names)
    given = {"bool": "False", "int": "3", "integer": "3", "float": "0.5"}
    given |= {"multi int": "2", "multi_integer": "2"}
    text = given.get(kind, default or ("hard" if name == "nms_method" else ""))
    values = _parsed(program, f"--{name}={text}")
    assert str(values[name].value) in (text, f"[{text}]")


def test_defaults_are_the_published_ones():
    """Except where ours says "not given", so that what a checkpoint knows is not overruled."""
    ours = {
        flags.TRAIN: {"seed", "use_tpu"},
        flags.INSPECT: {"model_name", "nms_method", "max_boxes_to_draw", "min_score_thresh"},
    }
    for program in PROGRAMS:
        values = _values(program)
        for name in flags.IMPLEMENTED[program]:
            published = [names[name][1] for names in GOLDEN[program].values() if name in names]
            if published and name not in ours[program]:
                assert values[name].default in published, name


@pytest.mark.parametrize(
    ("program", "alias", "name", "value"),
    [
        (flags.TRAIN, "training_file_pattern", "train_file_pattern", "a*"),
        (flags.TRAIN, "validation_file_pattern", "val_file_pattern", "a*"),
        (flags.TRAIN, "eval_after_training", "eval_after_train", True),
        (flags.TRAIN, "tf_random_seed", "seed", 7),
        (flags.INSPECT, "xla", "use_xla", True),
    ],
)
def test_older_names_are_the_same_flag(program, alias, name, value):
    assert getattr(_parsed(program, f"--{alias}={value}"), name) == value


def test_every_implemented_flag_is_read():
    """A flag that nothing reads would be silently ignored."""
    folder = pathlib.Path(flags.__file__).parent
    runs = [path for path in (folder.parent / "runs").glob("*.py") if "options" not in path.name]
    tasks = [*(folder.parent / "tasks").rglob("*.py")]
    text = "".join(p.read_text() for p in (*runs, *tasks, *folder.glob("*.py")))
    holder = r"(?:(?<=settings\.)|(?<=self\.)|(?<=flag_values\.))"
    read = set(re.findall(rf"{holder}(?:need\(\")?(\w+)", text))
    by_name = set(re.findall(r"\"(\w+)\"", "".join(re.findall(r"draw_options = \(.*\)", text))))
    tracking = (folder.parent / "configs" / "track_options.py").read_text()
    by_name |= set(re.findall(r"options\.(\w+)", tracking))
    assert set(flags.IMPLEMENTED[flags.INSPECT]) - read - by_name == set()
    text = "".join(path.read_text() for path in (*runs, *tasks, folder / "supervise.py"))
    read = set(re.findall(r"(?:given|options)(?:\.|\[\")(\w+)", text))
    by_name = set(re.findall(r"\"(\w+)\"", text))
    assert set(flags.IMPLEMENTED[flags.TRAIN]) - read - by_name == set()


def test_every_flag_has_a_meaning():
    for program in PROGRAMS:
        for name, spec in flags.IMPLEMENTED[program].items():
            assert len(spec.help) > 10, name


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_obsolete_flag_prints_one_line_when_given(program, capsys):
    for name, (spec, reason) in flags.OBSOLETE[program].items():
        value = {"str": "x", "int": "2", "ints": "2", "bool": "True"}[spec.type]
        flags.report_obsolete(_parsed(program, f"--{name}={value}"))
        (line,) = capsys.readouterr().err.splitlines()
        assert name in line and reason in line
    flags.report_obsolete(_parsed(program))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_unavailable_flag_is_refused_when_given(program):
    for name, flag in flags.INVALID[program].items():
        with pytest.raises(UserError, match=f"--{name} .*{flag.reason[:20]}"):
            flags.report_obsolete(_parsed(program, f"--{name}=8"))


# How a command line ends.


def test_done_is_zero_and_an_own_code_is_kept():
    assert _run(lambda argv: None) == 0
    assert _run(lambda argv: 3) == 3


def _raises(error):
    def main(argv):
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (UserError("num_classes is too small."), 1, "error: num_classes is too small."),
        (FileNotFoundError(2, "No such file", "a.jpg"), 1, "error: a.jpg: No such file."),
        (KeyboardInterrupt(), 130, "error: interrupted"),
    ],
)
def test_mistakes_end_in_one_line(error, code, says, capsys):
    assert _run(_raises(error)) == code
    assert capsys.readouterr().err.strip() == says


def test_defects_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        run_main(_raises(ZeroDivisionError()), ["main.py"], flag_values=_values())


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("--trian_batch_size=8", "--train_batch_size"),
        ("--train_batch_size=eight", "--train_batch_size"),
        ("--strategy=gpu", "gpus"),
        ("extra", "'extra'"),
        ("--hparams", "--hparams"),
    ],
)
def test_bad_flags_are_named(argument, says, capsys):
    assert _run(lambda argv: None, argument) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and says in error and len(error.splitlines()) == 1


def test_help_lists_every_flag(capsys):
    assert _run(test_help_lists_every_flag, "--help", program=flags.INSPECT) == 0
    text = capsys.readouterr().out
    for name in (*flags.IMPLEMENTED[flags.INSPECT], *flags.INVALID[flags.INSPECT]):
        assert f"--{name}\n" in text


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_consoles_of_other_encodings(monkeypatch, encoding):
    """Names of classes that a console cannot write, and of files that are no UTF-8."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding))

    def main(_):
        print("背", "caf\udce9")

    assert _run(main) == 0
    sys.stdout.flush()
    expected = "背" if encoding == "utf-8" else "\\u80cc"
    assert written.getvalue().decode(encoding) == f"{expected} caf\\udce9\n"


@pytest.mark.parametrize(
    "argument, says",
    [
        ("--train_batch_size=1e3", "--train_batch_size=1e3: expected a whole number"),
        ("--test_iou_thresh=half", "--test_iou_thresh=half: expected a number"),
        ("--save_checkpoints_steps=-1", "--save_checkpoints_steps must be at least 1, got -1"),
        ("--iterations_per_loop=0", "--iterations_per_loop must be at least 1, got 0"),
        ("--cpu_replicas=-1", "--cpu_replicas must be at least 1, got -1"),
    ],
)
def test_numbers_that_are_none(argument, says):
    required = ["--model_dir=run", "--train_file_pattern=a", "--preflight=only"]
    assert says in error_line(train_program(*required, argument))


def test_files_too_large_for_the_disk(capsys):
    error = OSError(errno.EFBIG, os.strerror(errno.EFBIG), "out/m.onnx")
    with pytest.raises(SystemExit) as ended:
        run_main(_raises(error), ["main.py"], flag_values=_values())
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "error: out/m.onnx: File too large." in said and "--num_shards" in said
