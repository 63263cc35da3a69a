"""CSV tables in a run's folder, as lists of dictionaries."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.files import AnyPath

# In locales that write 0,5, spreadsheets separate columns by semicolons.
_DECIMAL_COMMA = re.compile(r"([-+]?\d+),(\d+(?:[eE][-+]?\d+)?)")


def read_table(model_dir: AnyPath, name: str) -> list[dict[str, str]]:
    """The rows of a table in the folder; empty if there is no such file.

    Also reads files that a spreadsheet saved with semicolons or tabs, and decimal commas.

    Raises:
        UserError: The file is damaged: not text, or not a table.
    """
    path = files.join(model_dir, name)
    if not files.is_file(path):
        return []
    text = files.read_text(path)
    if "\0" in text:
        raise UserError(f"{path} is not a CSV table (it contains zero bytes).")
    separator = _separator(text)
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise UserError(f"{path} is not a CSV table ({error}).") from error
    # A line that is too long or too short yields None as a column or as a value.
    rows = [{k: v or "" for k, v in row.items() if k is not None} for row in rows]
    if separator == ",":
        return rows
    return [{k: _with_point(v) for k, v in row.items()} for row in rows]


def _separator(text: str) -> str:
    """The column separator, by the first line: column names contain none of these."""
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)


def _with_point(value: str) -> str:
    number = _DECIMAL_COMMA.fullmatch(value)
    return f"{number[1]}.{number[2]}" if number else value


def read_steps(model_dir: AnyPath, name: str) -> list[dict[str, str]]:
    """The rows of a table whose `step` is an integer; raises as `read_table`."""
    return [row for row in read_table(model_dir, name) if row.get("step", "").isdecimal()]


def table_to_go_on(
    model_dir: AnyPath, name: str, last_step: int, say: Callable[[str], None]
) -> list[dict[str, str]]:
    """The rows of a table up to a step, for a run that will rewrite it.

    A file that cannot be read is moved to `<name>.damaged`. If rows without a step are dropped, or
    a spreadsheet has saved the file, `<name>.damaged` is a copy of the original. All of this is
    reported through `say`.
    """
    path = files.join(model_dir, name)
    try:
        rows = read_table(model_dir, name)
    except UserError as error:
        aside = _unused_name(f"{path}.damaged")
        files.move(path, aside)
        say(f"{error.sentence} It was moved to {aside}, and a new {name} is started.")
        return []
    good = read_steps(model_dir, name)
    saved_elsewhere = bool(rows) and _separator(files.read_text(path)) != ","
    if len(good) < len(rows) or saved_elsewhere:
        aside = _unused_name(f"{path}.damaged")
        files.copy(path, aside)
        by = " was saved by a spreadsheet program;" if saved_elsewhere else ":"
        lost = len(rows) - len(good)
        count = f"{lost} of {len(rows)} rows were damaged and dropped" if lost else "all rows kept"
        say(f"{path}{by} {count}. The original is kept as {aside}.")
    return [row for row in good if int(row["step"]) <= last_step]


def _unused_name(path: str) -> str:
    """The path, with a number appended if such a file already exists."""
    names = itertools.chain([path], (f"{path}{number}" for number in itertools.count(2)))
    return next(name for name in names if not files.exists(name))


def write_table(model_dir: AnyPath, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes a table whose columns are all keys of the rows, in order of appearance.

    Numbers are written with six significant digits, None as an empty field.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_field(row.get(column)) for column in columns] for row in rows)
    files.write_text(files.join(model_dir, name), text.getvalue())


def _field(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else value
