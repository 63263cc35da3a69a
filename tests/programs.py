"""The command lines as functions: a test that calls them need not start a process.

What a process alone shows (exit code, stderr without TensorFlow's words) is seen once a program, by
`in_a_process`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import os
import pathlib
import subprocess
import sys
import typing
from collections.abc import Callable
from unittest import mock

import pytest
from absl import flags

from efficientvision.cli import inspect as inspect_program
from efficientvision.cli import run_main, train
from efficientvision.cli.compat import edgenets
from efficientvision.cli.flags import define_inspect_flags, define_train_flags, options_of
from efficientvision.configs.run_options import RunOptions

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent


class Done(typing.NamedTuple):
    """How a program ended, and what it printed."""

    code: int
    stdout: str
    stderr: str


def run_options(*arguments: object) -> RunOptions:
    """The options of `python main.py <arguments>`."""
    values = flags.FlagValues()
    define_train_flags(values)
    values(["main.py", *map(str, arguments)])
    return options_of(values)


def train_program(*arguments: object) -> Done:
    """`python main.py <arguments>`, without its process."""
    values = flags.FlagValues()
    define_train_flags(values)
    program = functools.partial(train.main, flag_values=values)
    return _captured(
        functools.partial(
            run_main,
            program,
            ["main.py", *map(str, arguments)],
            flag_values=values,
            translate=edgenets.translate,
        )
    )


def inspect(*arguments: object) -> int:
    """`python model_inspect.py <arguments>`, without its process; returns the exit code."""
    values = flags.FlagValues()
    define_inspect_flags(values)
    program = functools.partial(inspect_program.main, flag_values=values)
    with pytest.raises(SystemExit) as ended:
        run_main(program, ["model_inspect.py", *map(str, arguments)], flag_values=values)
    return ended.value.code


def dataset_program(script: str, *arguments: object, folder: str | os.PathLike) -> Done:
    """`python dataset/<script> <arguments>` in a folder, without its process."""
    values = flags.FlagValues()
    path = REPOSITORY / "dataset" / script
    spec = importlib.util.spec_from_file_location(f"dataset_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    defines = ("bool", "enum", "float", "integer", "list", "multi_string", "string")
    with contextlib.ExitStack() as stack:
        # The script declares its flags among absl's own: these stand for them.
        stack.enter_context(mock.patch.object(flags, "FLAGS", values))
        for name in (f"DEFINE_{kind}" for kind in defines):
            define = functools.partial(getattr(flags, name), flag_values=values)
            stack.enter_context(mock.patch.object(flags, name, define))
        spec.loader.exec_module(module)
    # `--help` looks up what the module says of itself.
    sys.modules[spec.name] = module
    try:
        with contextlib.chdir(folder):
            return _captured(
                functools.partial(
                    run_main, module.main, [script, *map(str, arguments)], flag_values=values
                )
            )
    finally:
        del sys.modules[spec.name]


def in_a_process(
    program: str,
    *arguments: object,
    folder: str | os.PathLike = REPOSITORY,
    timeout: float | None = 600,
    **environment: str,
) -> Done:
    """`python <program> <arguments>`, as a user runs it."""
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / program), *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def error_line(done: Done) -> str:
    """The one `error:` line of a program that refused what it was given."""
    assert done.code in (1, 2) and "Traceback" not in done.stderr, done.stderr[-2000:]
    (line,) = [text for text in done.stderr.splitlines() if text.startswith("error:")]
    return line


def _captured(program: Callable[[], None]) -> Done:
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        with pytest.raises(SystemExit) as ended:
            program()
    return Done(ended.value.code, stdout.getvalue(), stderr.getvalue())
