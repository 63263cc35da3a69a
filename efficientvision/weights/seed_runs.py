"""The folder of a training with several seeds: which of its runs stands for it."""

from __future__ import annotations

import json
import logging
from typing import Any

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.evaluation.shown import shown_metric
from efficientvision.files import AnyPath

log = logging.getLogger(__name__)

SEEDS_NAME = "seeds.json"


def read_seeds(folder: AnyPath) -> dict[str, Any] | None:
    """Reads `seeds.json`; None if the folder has none.

    Raises:
        UserError: The file is damaged.
    """
    path = files.join(folder, SEEDS_NAME)
    if not files.is_file(path):
        return None
    try:
        table = json.loads(files.read_text(path))
        if isinstance(table["seeds"], list) and "best" in table:
            return table
        raise ValueError("no list of seeds")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is damaged ({error}): repeat the command of the training, which writes it "
            "again."
        ) from error


def best_of_seeds(path: str) -> str:
    """Returns the best checkpoint of the best run, for the folder of several seeds.

    Any other path is returned as it is.

    Raises:
        UserError: No run of the folder was evaluated yet, or `seeds.json` is damaged.
    """
    table = read_seeds(path)
    if table is None:
        return path
    best, metric = table["best"], table.get("metric")
    if best is None:
        raise UserError(
            f"{path} has runs of several seeds, of which none was evaluated: name one of them, "
            f"such as {files.join(path, 'seed-0')}."
        )
    from efficientvision.training.best_checkpoint import BEST_NAME

    value = table["metrics"][best][metric]
    log.info(
        f"{path} has runs of {len(table['seeds'])} seeds: using the best, {best} "
        f"({metric} {shown_metric(metric, value)})."
    )
    return files.join(path, best, BEST_NAME)
