"""Many items through one function, in parallel processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from tqdm import tqdm

# Fewer are done before a process has started.
_FEW = 16
_ITEMS_A_TASK = 8


def map_in_processes(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    num_workers: int | None = None,
    description: str,
) -> list[Any]:
    """`[function(item) for item in items]`, with a progress bar.

    Args:
        function: with more than one worker, it and what it takes and gives must be picklable.
        items: its arguments.
        num_workers: processes; None: one per core.
        description: of the bar.

    Raises:
        Whatever `function` raises.
    """
    num_workers = num_workers or os.cpu_count() or 1
    progress = {"total": len(items), "desc": description, "unit": "img"}
    if num_workers == 1 or len(items) < _FEW:
        return [function(item) for item in tqdm(items, **progress)]
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
    with ProcessPoolExecutor(num_workers, context) as pool:
        return list(tqdm(pool.map(function, items, chunksize=_ITEMS_A_TASK), **progress))
