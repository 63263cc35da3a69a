"""Progress bars on terminals and in notebooks, lines in files and pipes; a switch for all."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from typing import Any, TextIO

from tqdm.auto import tqdm as _tqdm

# In a file or pipe: seconds between two lines.
SECONDS_BETWEEN_LINES = 30.0

_shown = True
_IN_NOTEBOOK = any(base.__name__ == "tqdm_notebook" for base in _tqdm.__mro__)


class tqdm(_tqdm):  # noqa: N801
    """`tqdm.auto.tqdm`, as wide as the terminal.

    If the output is neither a terminal nor a notebook, a plain line is written every 30 seconds
    instead of a bar. Silent after `show_progress(False)`.
    """

    def __init__(self, *args: Any, disable: bool = False, **options: Any):
        stream = options.get("file") or sys.stderr
        as_lines = not disable and _shown and not draws_bars(stream)
        options.setdefault("dynamic_ncols", True)
        super().__init__(*args, disable=disable or not _shown or as_lines, **options)
        self._lines = _Lines(options.get("unit", "it"), stream) if as_lines else None
        if as_lines:  # A disabled bar of tqdm does not even know its description.
            self.desc = options.get("desc") or (args[1] if len(args) > 1 else "")

    def __iter__(self) -> Iterator:
        if self._lines is None:
            yield from super().__iter__()
            return
        for item in self.iterable:
            yield item
            self.update()

    def update(self, n: float = 1) -> bool | None:
        """Counts `n` more items."""
        if self._lines is None:
            return super().update(n)
        self.n += n
        return self._lines.show(self.desc, self.n, self.total)


class _Lines:
    """Plain lines of progress, at most one per `SECONDS_BETWEEN_LINES`."""

    def __init__(self, unit: str, stream: TextIO):
        self._unit = unit
        self._stream = stream
        self._started = self._written = time.monotonic()

    def show(self, description: str, count: float, total: float | None) -> bool:
        now = time.monotonic()
        if now - self._written < SECONDS_BETWEEN_LINES:
            return False
        self._written = now
        rate = count / (now - self._started)
        label = description.rstrip(": ")
        parts = [f"{count}" if total is None else f"{count}/{total}", f"{rate:.1f} {self._unit}/s"]
        if total is not None and rate:
            parts.append(f"{duration(max(total - count, 0) / rate)} left")
        print(f"{label}: " * bool(label) + ", ".join(parts), file=self._stream, flush=True)
        return True


def draws_bars(stream: TextIO | None = None) -> bool:
    """Whether progress is drawn as bars: on a terminal or in a notebook, not in a file or pipe."""
    stream = stream or sys.stderr
    return _IN_NOTEBOOK or stream.isatty()


def columns(stream: TextIO | None = None) -> int:
    """Width of the terminal that a stream (default: stdout) writes to; 80 if it is not one."""
    try:
        width = os.get_terminal_size((stream or sys.stdout).fileno()).columns
    except (AttributeError, OSError, ValueError):
        width = 0
    return width or shutil.get_terminal_size((80, 24)).columns


def duration(seconds: float) -> str:
    """A duration as `mm:ss` or `h:mm:ss`."""
    return _tqdm.format_interval(seconds)


def write_line(text: str) -> None:
    """Writes a line of progress to stderr, for output that is a file or pipe."""
    if _shown:
        print(text, file=sys.stderr, flush=True)


def show_progress(shown: bool) -> None:
    """Switches the library's progress on or off; bars already shown do not change."""
    global _shown
    _shown = shown
