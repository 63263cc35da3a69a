"""The exception for mistakes that the user can correct, and commands in its advice."""

import shlex
from collections.abc import Sequence


class UserError(ValueError):
    """Invalid input: one clear sentence that says what is wrong, what was expected and what to do.

    The command lines print it without a traceback and exit with code 1.

    Args:
        sentence: Printed after `error:`, on one line.
        lines: Printed below the sentence, unchanged; for the few messages that contain a list.
    """

    def __init__(self, sentence: str = "", lines: Sequence[str] = ()):
        super().__init__("\n".join([sentence, *lines]))
        self.sentence = sentence
        self.lines = tuple(lines)


def as_command(program: str, **options: object) -> str:
    """Writes a command for the user to copy, with its options quoted for a shell.

    Only for programs other than the one that runs: messages name its own arguments in backticks.

    Args:
        program: Program with its positional arguments.
        **options: Values by name.
    """
    written = [f"--{name}={shlex.quote(str(value))}" for name, value in options.items()]
    return " ".join([program, *written])
