"""Many items through one function, in parallel processes."""

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

# Fewer are done before a process has started.
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
        function: with more than one worker, it and what it takes and gives must be picklable.
        items: its arguments.
        num_workers: processes; None: one per core.
        description: of the bar.

    Raises:
        UserError: a bad number of workers.
        Whatever `function` raises.
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
    """Lets this process end soon after its parent did, however that ended: by SIGKILL too.

    Args:
        parent: its process id.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
