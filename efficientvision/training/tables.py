"""Tables of a run's folder: lists of dictionaries as CSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from efficientvision import files
from efficientvision.files import AnyPath


def read_table(model_dir: AnyPath, name: str) -> list[dict[str, str]]:
    """The rows of a table in the folder; none if there is no such file."""
    path = files.join(model_dir, name)
    if not files.is_file(path):
        return []
    return list(csv.DictReader(io.StringIO(files.read_text(path), newline="")))


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
