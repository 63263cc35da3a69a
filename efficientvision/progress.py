"""The library's progress bars: the terminal's or the notebook's, and a switch for all of them."""

from __future__ import annotations

from typing import Any

from tqdm.auto import tqdm as _tqdm

_shown = True


class tqdm(_tqdm):  # noqa: N801
    """`tqdm.auto.tqdm`, silent after `show_progress(False)`."""

    def __init__(self, *args: Any, disable: bool = False, **options: Any):
        super().__init__(*args, disable=disable or not _shown, **options)


def show_progress(shown: bool) -> None:
    """Switches the progress bars of the library on or off, from the next one on."""
    global _shown
    _shown = shown
