"""Tables of a run's folder: lists of dictionaries as CSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.files import AnyPath


def read_table(model_dir: AnyPath, name: str) -> list[dict[str, str]]:
    """The rows of a table in the folder; none if there is no such file.

    Raises:
        UserError: It is damaged: no text, or no table.
    """
    path = files.join(model_dir, name)
    if not files.is_file(path):
        return []
    text = files.read_text(path)
    if "\0" in text:
        raise UserError(f"{path} is no table (zeros where text was).")
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise UserError(f"{path} is no table ({error}).") from error
    # A line that is too long or too short has None as a column or as a value.
    return [{k: v or "" for k, v in row.items() if k is not None} for row in rows]


def read_steps(model_dir: AnyPath, name: str) -> list[dict[str, str]]:
    """The rows of a table whose `step` is a whole number; raises as `read_table`."""
    return [row for row in read_table(model_dir, name) if row.get("step", "").isdecimal()]


def table_to_go_on(
    model_dir: AnyPath, name: str, last_step: int, say: Callable[[str], None]
) -> list[dict[str, str]]:
    """The rows of a table up to a step, for a run that will write it anew.

    A file that cannot be read is moved aside to `<name>.damaged`, and rows without a step are left
    out; both are said.
    """
    path = files.join(model_dir, name)
    try:
        rows = read_table(model_dir, name)
    except UserError as error:
        files.move(path, f"{path}.damaged")
        say(f"{error.sentence} It is {path}.damaged now, and {name} is begun anew.")
        return []
    good = read_steps(model_dir, name)
    if len(good) < len(rows):
        say(f"{path}: {len(rows) - len(good)} of {len(rows)} rows are damaged and left out.")
    return [row for row in good if int(row["step"]) <= last_step]


def write_table(model_dir: AnyPath, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes a table; its columns are all keys of the rows, in order of appearance.

    Numbers have six significant digits; None is an empty field.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_field(row.get(column)) for column in columns] for row in rows)
    files.write_text(files.join(model_dir, name), text.getvalue())


def _field(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else value
