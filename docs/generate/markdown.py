"""Pieces of Markdown: tables, values, options in running text."""

import json
import re
from collections.abc import Sequence
from typing import Any


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    rule = ["---"] * len(header)
    return "".join("| " + " | ".join(map(_cell, cells)) + " |\n" for cells in (header, rule, *lines))


def value(default: Any) -> str:
    """A default as it is written in a YAML file, in code font; a dash for none."""
    if default is None or default == "":
        return "–"
    if isinstance(default, (tuple, list)):
        return f"`{json.dumps(default)}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def with_flags(text: str) -> str:
    """Replaces names of options in backticks, as the library's messages have them, by flags."""
    return re.sub(r"`([a-z_]+)(=[^`]*)?`", r"`--\1\2`", text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
