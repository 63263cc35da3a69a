"""Checks the option `seeds` before anything is read."""

from __future__ import annotations

import os

from efficientvision import files
from efficientvision.configs.run_options import RunOptions
from efficientvision.errors import UserError
from efficientvision.loading import CONFIG_FILE
from efficientvision.training.cluster import find_cluster
from efficientvision.weights.seed_runs import read_seeds


def check_seeds(options: RunOptions) -> None:
    """Checks the option `seeds`, and that the folder suits it.

    Raises:
        UserError: `seeds` is below 1, does not apply, or the folder has a run of another kind.
    """
    if options.seeds < 1:
        raise UserError(f"`seeds` must be at least 1, got {options.seeds}.")
    folder = options.model_dir or ""
    trains = options.mode in ("train", "train_and_eval")
    if options.seeds > 1 and not trains:
        raise UserError(
            f"`seeds={options.seeds}` is for training, but `mode={options.mode}`: remove `seeds`. "
            "The folder of several seeds stands for its best run."
        )
    if not trains:
        return
    if options.seeds == 1 and read_seeds(folder) is not None:
        raise UserError(
            f"{folder} has runs of several seeds: set `seeds` to their number to continue, or "
            "choose another `model_dir`."
        )
    if options.seeds == 1:
        return
    if files.is_file(files.join(folder, CONFIG_FILE)):
        raise UserError(
            f"{folder} is the folder of one run: choose another `model_dir` for `seeds="
            f"{options.seeds}`, which makes a folder for each run in it."
        )
    if options.strategy == "multi_worker" or find_cluster(os.environ) is not None:
        raise UserError(
            f"`seeds={options.seeds}` trains on one machine, but several workers are named: train "
            "each seed by a command of its own, with `seed` and `model_dir`."
        )
