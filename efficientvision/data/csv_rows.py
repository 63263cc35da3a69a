"""Reads the rows of CSV files as spreadsheets and scripts write them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from efficientvision import files
from efficientvision.errors import UserError

DELIMITERS = (",", ";", "\t")

# Line that tells Excel the field separator.
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)


def read_rows(
    csv_file: str, delimiter: str | None = ",", *, what: str = "a CSV file"
) -> Iterator[tuple[int, list[str]]]:
    """Yields the non-empty rows with their numbers.

    Args:
        csv_file: Path of the file; a first line `sep=;` names its separator.
        delimiter: Separator of the fields; None: the usual one that its first line has most of.
        what: Kind of the file, for the error.

    Raises:
        UserError: The file cannot be read or is not a CSV file.
    """
    try:
        text = files.read_text(csv_file)
    except OSError as error:
        raise UserError(f"Cannot read {csv_file}: {error.strerror}.") from error
    yield from rows_of(text, csv_file, delimiter, what=what)


def rows_of(
    text: str, csv_file: str, delimiter: str | None = ",", *, what: str = "a CSV file"
) -> Iterator[tuple[int, list[str]]]:
    """Yields the non-empty rows of a text with their numbers; see `read_rows`."""
    first, _, rest = text.partition("\n")
    separator = _SEPARATOR_LINE.fullmatch(first)
    start, text = (2, rest) if separator else (1, text)
    if separator:
        delimiter = separator[1]
    elif delimiter is None:
        first = next((line for line in text.splitlines() if line.strip()), "")
        delimiter = max(DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        for number, row in enumerate(reader, start=start):
            if any(field.strip() for field in row):
                yield number, row
    except csv.Error as error:
        raise UserError(f"{csv_file} is not {what}: {error}.") from error
