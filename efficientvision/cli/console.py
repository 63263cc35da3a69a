"""Shows the library's log on the terminal, with arguments written as flags."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from collections.abc import Collection, Iterator, Mapping

from efficientvision.progress import tqdm

# How messages of the library name an argument: `model_dir`, or `model_dir=runs/cells`.
_ARGUMENT = re.compile(r"`(\w+)(=[^`]*)?`")


def with_flags(
    text: str, flags: Collection[str], arguments: Mapping[str, str] | None = None
) -> str:
    """The text with `name` and `name=value` as --name and --name=value.

    Args:
        text: A message or a help text.
        flags: Names of the program's flags; other names stay as they are.
        arguments: Option -> name of the positional argument that stands for it.
    """

    def written(match: re.Match) -> str:
        name, value = match[1], match[2] or ""
        if arguments and name in arguments:
            return arguments[name] + (f" {value[1:]}" if value else "")
        return f"--{name}{value}" if name in flags else match[0]

    return _ARGUMENT.sub(written, text)


@contextlib.contextmanager
def on_terminal(
    flags: Collection[str] = (), arguments: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Prints the library's log from level INFO up, one line per message, above progress bars.

    Each message once, even if another library installs a handler for all loggers meanwhile.
    """
    logger = logging.getLogger("efficientvision")
    before = logger.handlers, logger.level, logger.propagate
    logger.handlers, logger.propagate = [_Terminal(flags, arguments)], False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.handlers, level, logger.propagate = before
        logger.setLevel(level)


def say(text: object) -> None:
    """Prints a message, such as the report of a conversion."""
    logging.getLogger(__name__).info(str(text))


class _Terminal(logging.Handler):
    def __init__(self, flags: Collection[str], arguments: Mapping[str, str] | None):
        super().__init__()
        self._flags, self._arguments = flags, arguments

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(with_flags(record.getMessage(), self._flags, self._arguments))
        sys.stdout.flush()
