"""The table of a preflight, and what stops."""

import pytest

from efficientvision.errors import UserError
from efficientvision.preflight.findings import (
    ERROR,
    OK,
    WARNING,
    Finding,
    counted,
    format_findings,
    listed,
    raise_on_errors,
)

ROWS = [
    Finding(OK, "files", "12 records " * 12),
    Finding(WARNING, "boxes", "3 of 12 " * 8, "look at them " * 6),
    Finding(ERROR, "classes", "class 9", "set num_classes=9"),
    Finding(ERROR, "ids", "none known"),
]


@pytest.mark.parametrize("width", [60, 100, 160])
def test_table_holds_every_word_and_fits(width):
    text = format_findings(ROWS, width)
    assert max(map(len, text.splitlines())) <= width
    words = set(text.split())
    for row in ROWS:
        assert set(row.found.split()) | set(row.advice.split()) <= words
    assert [line.split()[0] for line in text.splitlines()[2:] if line[0] != " "] == [
        "ok", "WARNING", "ERROR", "ERROR",
    ]  # fmt: skip


def test_a_figure_without_advice_takes_the_whole_width():
    (row,) = format_findings([Finding(OK, "files", "x" * 60)], 100).splitlines()[2:]
    assert row.endswith("x" * 60)


def test_errors_stop_with_the_first_one_in_words():
    raise_on_errors(ROWS[:2])
    with pytest.raises(UserError, match=r"classes \(and 1 other error.*class 9: set num_classes=9"):
        raise_on_errors(ROWS)


def test_counts_and_lists():
    assert counted(1, "file") == "1 file" and counted(2000, "file") == "2,000 files"
    assert listed("abc") == "a, b, c" and listed("abcdef", 2) == "a, b and 4 more"
