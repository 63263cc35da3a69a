"""What a check before training found: one row a subject, shown as a table."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from efficientvision.errors import UserError

OK, WARNING, ERROR = "ok", "warning", "error"

AGAIN = "make the records again"

_GAP = "  "
_LEAST_WIDTH = 60


@dataclasses.dataclass(frozen=True)
class Finding:
    """One row of the table.

    Attributes:
        level: `OK`, `WARNING` (training works, perhaps badly) or `ERROR` (it cannot work).
        subject: What was looked at, in a word or two.
        found: The figure.
        advice: What to do; may be empty where all is well.
    """

    level: str
    subject: str
    found: str
    advice: str = ""


def listed(items: Iterable[Any], most: int = 4) -> str:
    """The first few items, separated by commas."""
    shown = [str(item) for item in items]
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")


def counted(number: int, noun: str) -> str:
    """`1 file`, `2,000 files`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def format_findings(findings: Sequence[Finding], width: int = 100) -> str:
    """A table of four columns, the last two wrapped to fit.

    Args:
        findings: The rows.
        width: Characters a line.
    """
    subject_width = max([len("check"), *(len(finding.subject) for finding in findings)])
    rest = max(width, _LEAST_WIDTH) - len(WARNING) - subject_width - 3 * len(_GAP)
    widths = (len(WARNING), subject_width, rest - rest // 2, rest // 2)
    rows = [("", "check", "found", "what to do")]
    rows += [(_shown(f.level), f.subject, f.found, f.advice) for f in findings]
    lines = [line for row in rows for line in _wrapped(row, widths)]
    return "\n".join([lines[0], _GAP.join("-" * n for n in widths), *lines[1:]])


def _shown(level: str) -> str:
    return level if level == OK else level.upper()


def _wrapped(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    cells = [
        textwrap.wrap(text, width, break_long_words=True) or [""]
        for text, width in zip(row, widths, strict=True)
    ]
    height = max(map(len, cells))
    padded = [cell + [""] * (height - len(cell)) for cell in cells]
    return [
        _GAP.join(part.ljust(width) for part, width in zip(line, widths, strict=True)).rstrip()
        for line in zip(*padded, strict=True)
    ]


def raise_on_errors(findings: Sequence[Finding]) -> None:
    """Raises UserError, with the figure and the advice of every error, if there is one."""
    errors = [finding for finding in findings if finding.level == ERROR]
    if not errors:
        return
    sentences = [
        f"{error.subject}: {error.found}" + (f": {error.advice}" if error.advice else "")
        for error in errors
    ]
    raise UserError(
        f"The preflight found what cannot work. {'; '.join(sentences)}. "
        "(--preflight=false trains without looking.)"
    )
