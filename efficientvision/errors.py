"""The exception for mistakes that the user can correct."""

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
