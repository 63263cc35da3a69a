"""Applies a function to many items in parallel processes."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from efficientvision.errors import UserError
from efficientvision.progress import tqdm

# With fewer items, a single process is done before others have started.
_FEW = 16
_ITEMS_A_TASK = 8
_SECONDS_BETWEEN_LOOKS = 1.0


def map_in_processes(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    num_workers: int | None = None,
    description: str,
) -> list[Any]:
    """`[function(item) for item in items]`, with a progress bar.

    Args:
        function: With more than one worker, it, its arguments and its results must be picklable.
        items: Arguments, one per call.
        num_workers: Number of processes; None: one per core.
        description: Label of the progress bar.

    Raises:
        UserError: The number of workers is below 1.
        Exception: Whatever `function` raises.
    """
    if num_workers is not None and num_workers < 1:
        raise UserError(f"num_workers must be at least 1, got {num_workers}.")
    num_workers = num_workers or os.cpu_count() or 1
    progress = {"total": len(items), "desc": description, "unit": "img"}
    if num_workers == 1 or len(items) < _FEW:
        return [function(item) for item in tqdm(items, **progress)]
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
    with ProcessPoolExecutor(num_workers, context, end_with_parent, (os.getpid(),)) as pool:
        return list(tqdm(pool.map(function, items, chunksize=_ITEMS_A_TASK), **progress))


def end_with_parent(parent: int) -> None:
    """Makes this process end soon after its parent, however that ended, even by SIGKILL.

    Args:
        parent: Process id of the parent.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
