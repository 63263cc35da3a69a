"""Pieces of Markdown: tables, values, options in running text."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from efficientvision.cli.flags import FlagSpec


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    rule = ["---"] * len(header)
    return "".join(
        "| " + " | ".join(map(_cell, cells)) + " |\n" for cells in (header, rule, *lines)
    )


def value(default: Any) -> str:
    """A default as it is written in a YAML file, in code font; a dash for none."""
    if default is None or default == "":
        return "–"
    if isinstance(default, (tuple, list)):
        return f"`{_plain(default)}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _plain(values: Any) -> str:
    """A list as in YAML, without digits that only the binary form of a number has."""
    if isinstance(values, (tuple, list)):
        return f"[{', '.join(map(_plain, values))}]"
    return f"{values:g}" if isinstance(values, float) else json.dumps(values)


def with_flags(text: str) -> str:
    """Replaces names of options in backticks, as the library's messages have them, by flags."""
    return re.sub(r"`([a-z_]+)(=[^`]*)?`", r"`--\1\2`", text)


def flag_table(
    flags: Mapping[str, FlagSpec],
    defaults: Mapping[str, str] | None = None,
    texts: Mapping[str, str] | None = None,
) -> str:
    """A table of flags.

    Args:
        flags: The flags by name.
        defaults: Texts for defaults that differ from the flag's own.
        texts: Meanings that differ from the flag's own.
    """
    lines = [
        [
            f"`--{name}`",
            _type(spec.type),
            (defaults or {}).get(name) or value(spec.default),
            with_flags((texts or {}).get(name, spec.help)),
        ]
        for name, spec in flags.items()
    ]
    return table(["option", "type", "default", "meaning"], lines)


def _type(kind: Any) -> str:
    choices = kind() if callable(kind) else kind
    if isinstance(choices, str):
        return {"str": "text", "int": "integer", "float": "number"}.get(choices, choices)
    return ", ".join(f"`{choice}`" for choice in choices if choice)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
