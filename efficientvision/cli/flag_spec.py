"""What a flag is, and the flags that both programs have."""

from __future__ import annotations

from typing import Any, NamedTuple

from efficientvision.configs.run_options import HPARAMS_HELP, USE_XLA_HELP


class FlagSpec(NamedTuple):
    """One flag: type (`str`, `int`, `float`, `bool`, `ints` or a tuple of choices), default,
    meaning.
    """

    type: str | tuple[str, ...]
    default: Any
    help: str


class UnavailableFlag(NamedTuple):
    """A flag that is refused when it asks for something.

    Attributes:
        spec: Its declaration.
        reason: Why it is refused, and what to do instead.
    """

    spec: FlagSpec
    reason: str


HPARAMS = FlagSpec("str", "", HPARAMS_HELP)
USE_XLA = FlagSpec("bool", False, USE_XLA_HELP)
