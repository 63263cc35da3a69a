"""Progress bars for terminals and notebooks, and a switch for all of them."""

from __future__ import annotations

from typing import Any

from tqdm.auto import tqdm as _tqdm

_shown = True


class tqdm(_tqdm):  # noqa: N801
    """`tqdm.auto.tqdm`, silent after `show_progress(False)`."""

    def __init__(self, *args: Any, disable: bool = False, **options: Any):
        super().__init__(*args, disable=disable or not _shown, **options)


def show_progress(shown: bool) -> None:
    """Switches the library's progress bars on or off; bars already shown do not change."""
    global _shown
    _shown = shown
