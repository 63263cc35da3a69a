"""The one exception for mistakes that the user can correct."""

from collections.abc import Sequence


class UserError(ValueError):
    """Bad input: one clear sentence that names the culprit, what was expected, and what to do.

    The command lines print it without a traceback and exit with code 1.

    Args:
        sentence: What `error:` is followed by, on one line.
        lines: Printed below, as they are; for the rare answer that is a list.
    """

    def __init__(self, sentence: str = "", lines: Sequence[str] = ()):
        super().__init__("\n".join([sentence, *lines]))
        self.sentence = sentence
        self.lines = tuple(lines)
