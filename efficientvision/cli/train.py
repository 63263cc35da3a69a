"""`main.py`: training, evaluation, or both in turn."""

from __future__ import annotations

import shlex
import sys

from absl import flags

from efficientvision.cli.flags import options_of, report_obsolete
from efficientvision.runs import train


def main(argv: list[str], flag_values: flags.FlagValues = flags.FLAGS) -> int:
    """Runs `--mode`.

    Args:
        argv: Words that are not flags; not used.
        flag_values: Parsed flags of `define_train_flags`.

    Returns:
        The exit code.

    Raises:
        UserError: Bad flags or bad input.
    """
    del argv
    report_obsolete(flag_values)
    return train.run(options_of(flag_values), shlex.join(sys.orig_argv))
