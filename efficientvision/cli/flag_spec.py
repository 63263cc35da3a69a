"""Declares flags, one by one or those of a dataclass of options."""

from __future__ import annotations

from typing import Any, NamedTuple

from efficientvision.configs.run_options import Choices, kind_of, option_fields


class FlagSpec(NamedTuple):
    """One flag. Its type is `str`, `int`, `float`, `bool`, `ints` or its choices."""

    type: str | Choices
    default: Any
    help: str


class UnavailableFlag(NamedTuple):
    """A flag that is rejected if it is set.

    Attributes:
        spec: Its declaration.
        reason: Why it is not available, and what to do instead.
    """

    spec: FlagSpec
    reason: str


def specs_of(options: type) -> dict[str, FlagSpec]:
    """The flags for a dataclass of options, by name."""
    return {
        field.name: FlagSpec(
            field.metadata["choices"] or kind_of(field), field.default, field.metadata["help"]
        )
        for field in option_fields(options)
    }
