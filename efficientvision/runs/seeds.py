"""The option `seeds`: the same training several times, and what it says about chance."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import keras

from efficientvision import files
from efficientvision.configs.run_options import RunOptions
from efficientvision.errors import UserError
from efficientvision.evaluation.shown import shown_metric
from efficientvision.loading import CONFIG_FILE
from efficientvision.report.seeds_files import SeedSummary, run_name, summary_of, write_summary
from efficientvision.report.seeds_page import write_seeds_page
from efficientvision.runs.data_defaults import read_kept
from efficientvision.tasks.choice import config_from_yaml, get_config
from efficientvision.weights.seed_runs import SEEDS_NAME, read_seeds

log = logging.getLogger(__name__)


def train_seeds(options: RunOptions, train_one: Callable[[RunOptions], int]) -> int:
    """Trains with `seed`, `seed` + 1, ... in `seed-0`, `seed-1`, ... of the folder, and sums up.

    Everything else is equal: the photos held out, and the values derived from the data, which are
    those of the first run.

    Args:
        options: Options of the run, with `seeds` of at least 2.
        train_one: Trains, or resumes, one run; returns its exit code.

    Returns:
        The exit code: that of the run that was ended early, or 0.
    """
    first, folder = _first_seed(options), options.model_dir or ""
    count = options.seeds
    seeds = list(range(first, first + count))
    log.info(
        f"{count} runs with the seeds {first} to {seeds[-1]}, which decide the initial weights, "
        "the order of the photos and their augmentation. The photos held out for validation stay "
        "the same (`split_seed`)."
    )
    _check_folders(options, seeds)
    table = {"best": None, **_written_before(folder), "seeds": seeds}
    files.write_text(files.join(folder, SEEDS_NAME), json.dumps(table) + "\n")
    for number, seed in enumerate(seeds):
        one = _of_one_seed(options, number, seed)
        log.info(f"Seed {seed} ({number + 1} of {count}): {one.model_dir}")
        code = train_one(one)
        if code or options.preflight == "only":
            return code
        keras.utils.clear_session()
    log.info(sum_up(folder))
    return 0


def _written_before(folder: str) -> dict[str, Any]:
    """The content of `seeds.json`; a damaged one is written again."""
    try:
        return read_seeds(folder) or {}
    except UserError:
        log.info(f"{files.join(folder, SEEDS_NAME)} is damaged: writing it again.")
        return {}


def _first_seed(options: RunOptions) -> int:
    if options.seed is not None:
        return options.seed
    changes = (options.hparams, options.hyper_parameters)
    return get_config(options.model_name, *changes, task=options.task or None).seed


def _check_folders(options: RunOptions, seeds: list[int]) -> None:
    for number, seed in enumerate(seeds):
        path = files.join(options.model_dir or "", run_name(number), CONFIG_FILE)
        if files.is_file(path) and (own := config_from_yaml(path).seed) != seed:
            raise UserError(
                f"{files.parent(path)} began with `seed={own}`, not {seed}: repeat the same "
                "command to continue, or choose another `model_dir`."
            )


def _of_one_seed(options: RunOptions, number: int, seed: int) -> RunOptions:
    """The options of one run.

    The batch size depends on the memory that is free at the moment: later runs take the first's.
    """
    folder = options.model_dir or ""
    one = options.replace(
        model_dir=files.join(folder, run_name(number)),
        seed=seed,
        seeds=1,
        written=(options.written | {"seed"}) - {"seeds"},
    )
    kept = read_kept(files.join(folder, run_name(0))) if number else None
    if kept is None or "train_batch_size" in one.written:
        return one
    return one.replace(
        train_batch_size=kept.options["train_batch_size"],
        written=one.written | {"train_batch_size"},
    )


def sum_up(model_dir: str) -> str:
    """Writes `seeds.json`, `seeds.csv` and `report.html` of several seeds; returns the message."""
    found = summary_of(model_dir)
    write_summary(model_dir, found)
    if differs := _differences(model_dir, len(found.seeds)):
        log.warning(
            f"Warning: the runs differ in more than their seed, so the spread is not that of "
            f"chance alone: {differs}."
        )
    page = write_seeds_page(model_dir, found)
    if found.metric is None:
        return (
            f"{len(found.seeds)} runs, none evaluated: there is nothing to compare. Report: {page}"
        )
    metric, runs = found.metric, found.runs
    low, high = (shown_metric(metric, value) for value in found.limits[metric])
    spread = f" ± {shown_metric(metric, found.spread[metric])}" if found.spread else ""
    return "\n".join(
        [
            f"{_counted(found)}: {metric} {shown_metric(metric, found.mean[metric])}{spread} (mean "
            f"and standard deviation of the best checkpoints; {low} to {high}).",
            *(f"  {name}  {shown_metric(metric, run[metric])}" for name, run in runs.items()),
            f"Best: {found.best}, which {model_dir} stands for in every command. It was chosen on "
            "the photos that it was measured on, which is optimistic: expect the mean on others.",
            f"Report: {page}",
        ]
    )


def _counted(found: SeedSummary) -> str:
    done, every = len(found.runs), len(found.seeds)
    return f"{done} seeds" if done == every else f"{done} of {every} seeds (others: not evaluated)"


def _differences(model_dir: str, count: int) -> str:
    """Hyper-parameters, besides the seed, in which the runs differ; empty if there are none."""
    each: dict[str, Mapping[str, Any]] = {}
    for name in map(run_name, range(count)):
        path = files.join(model_dir, name, CONFIG_FILE)
        if files.is_file(path):
            each[name] = config_from_yaml(path).as_dict()
    first = next(iter(each.values()), {})
    found = []
    for key, value in first.items():
        others = {name: own[key] for name, own in each.items() if own.get(key) != value}
        if key != "seed" and others:
            name, other = next(iter(others.items()))
            found.append(f"{key} is {value} in {next(iter(each))} and {other} in {name}")
    return "; ".join(found)
