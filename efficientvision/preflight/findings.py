"""Findings of the checks before training: one row per subject, shown as a table."""

from __future__ import annotations

import dataclasses
import itertools
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from efficientvision.errors import UserError

OK, WARNING, ERROR = "ok", "warning", "error"

AGAIN = "regenerate the records"

_GAP = "  "
_LEAST_WIDTH = 60


@dataclasses.dataclass(frozen=True)
class Finding:
    """One row of the table.

    Attributes:
        level: `OK`, `WARNING` (training works, perhaps badly) or `ERROR` (training cannot work).
        subject: The subject of the check, in a word or two.
        found: The figures.
        advice: What to do; may be empty if all is well.
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
    """Formats a table of four columns, the last two wrapped; a figure without advice takes both.

    Args:
        findings: Table rows.
        width: Characters per line.
    """
    subject_width = max([len("check"), *(len(finding.subject) for finding in findings)])
    rest = max(width, _LEAST_WIDTH) - len(WARNING) - subject_width - 2 * len(_GAP)
    advice_width = (rest - len(_GAP)) // 2
    narrow = (len(WARNING), subject_width, rest - advice_width - len(_GAP), advice_width)
    wide = (len(WARNING), subject_width, rest)
    lines = [*_wrapped(("", "check", "found", "what to do"), narrow)]
    lines.append(_GAP.join("-" * column for column in narrow))
    for finding in findings:
        level = finding.level if finding.level == OK else finding.level.upper()
        cells = (level, finding.subject, finding.found)
        if finding.advice:
            lines += _wrapped((*cells, finding.advice), narrow)
        else:
            lines += _wrapped(cells, wide)
    return "\n".join(lines)


def _wrapped(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Formats a row as lines of padded cells."""
    cells = [textwrap.wrap(text, width) for text, width in zip(row, widths, strict=True)]
    return [
        _GAP.join(part.ljust(width) for part, width in zip(line, widths, strict=True)).rstrip()
        for line in itertools.zip_longest(*cells, fillvalue="")
    ]


def raise_on_first(findings: Sequence[Finding]) -> None:
    """Raises UserError for the first error, for callers that show no table."""
    for finding in findings:
        if finding.level == ERROR:
            raise UserError(f"{finding.found}: {finding.advice}.")


def raise_on_errors(findings: Sequence[Finding]) -> None:
    """Raises UserError for the first error, with its figures and advice."""
    errors = [finding for finding in findings if finding.level == ERROR]
    if not errors:
        return
    first = errors[0]
    more = f" (and {counted(len(errors) - 1, 'other error')})" if errors[1:] else ""
    advice = f": {first.advice}" if first.advice else ""
    raise UserError(
        f"Preflight, {first.subject}{more}: {first.found}{advice}. (`preflight=false` checks only "
        "the class ids.)"
    )
