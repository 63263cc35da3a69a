"""model_inspect.py as a function."""

import functools

import pytest
from absl import flags

from efficientvision.cli import run_main
from efficientvision.cli.flags import define_inspect_flags
from efficientvision.cli.inspect import main


def inspect(*arguments):
    """Runs the program; returns its exit code."""
    values = flags.FlagValues()
    define_inspect_flags(values)
    program = functools.partial(main, flag_values=values)
    with pytest.raises(SystemExit) as ended:
        run_main(program, ["model_inspect.py", *map(str, arguments)], flag_values=values)
    return ended.value.code
