"""`predictions.jsonl`: results photo by photo, from which all other files are written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from efficientvision import files
from efficientvision.errors import UserError

JOURNAL_NAME = "predictions.jsonl"


class Journal:
    """JSON lines: first the facts of the run, then one line per photo.

    A photo's line has `photo` (path below the photos' folder), `name` (of the files written for it,
    without ending), `width`, `height` and `annotations`, or `photo` and `error`. Lines are complete
    even if the process is killed, except for the last one, which is ignored.

    Args:
        path: Path of the file.
        facts: The first line.
        resume: Keep the photos with results that the file has already.

    Raises:
        UserError: `resume` is set, and the file has other facts.
    """

    def __init__(self, path: str, facts: Mapping[str, Any], *, resume: bool = False):
        self.path = path
        self.done: set[str] = set()
        first: dict[str, Any] = json.loads(json.dumps(facts))
        if resume and files.is_file(path):
            self._keep(first)
            self._file = open(path, "a", encoding="utf-8")
        else:
            self._file = open(path, "w", encoding="utf-8")
            self._write(first)

    def add(self, entry: Mapping[str, Any]) -> None:
        """Adds the line of a photo."""
        self._write(entry)

    def close(self) -> None:
        self._file.close()

    def photos(self) -> Iterator[dict[str, Any]]:
        """Yields the lines of the photos that have results."""
        for line in read_lines(self.path)[1]:
            if "annotations" in line:
                yield line

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def _keep(self, facts: dict[str, Any]) -> None:
        """Drops unreadable photos and an incomplete last line from the file."""
        first, lines = read_lines(self.path)
        for name, value in facts.items():
            if first.get(name) != value:
                raise UserError(
                    f"`resume`: {self.path} was made with another {name}: choose another "
                    "`folder`, or replace its results with `overwrite=true`."
                )
        part = f"{self.path}.part"
        with open(part, "w", encoding="utf-8") as file:
            file.write(json.dumps(facts) + "\n")
            for line in lines:
                if "annotations" in line:
                    self.done.add(line["photo"])
                    file.write(json.dumps(line) + "\n")
        os.replace(part, self.path)


def read_lines(path: str) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    """Reads a journal: its facts, and an iterator over its photos.

    Raises:
        UserError: The file is damaged.
    """
    lines = _parsed(path)
    facts = next(lines, {})
    return facts, lines


def _parsed(path: str) -> Iterator[dict[str, Any]]:
    with open(path, encoding="utf-8") as file:
        for number, text in enumerate(file, start=1):
            if not text.endswith("\n"):
                return  # Cut short by a kill.
            try:
                yield json.loads(text)
            except ValueError as error:
                raise UserError(
                    f"{path}, line {number}, is damaged ({error}): delete the file and predict "
                    "again."
                ) from error
