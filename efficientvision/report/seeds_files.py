"""Metrics of runs with several seeds: read from their folders, written to `seeds.json`."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Mapping

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.loading import CONFIG_FILE
from efficientvision.tasks.choice import config_from_yaml, task_of_config
from efficientvision.training.best_checkpoint import ARCHIVE_NAME, METRICS_NAME
from efficientvision.training.tables import write_table
from efficientvision.weights.seed_runs import SEEDS_NAME, read_seeds

TABLE_NAME = "seeds.csv"
_NOT_METRICS = {"step", "images"}


@dataclasses.dataclass(frozen=True)
class SeedSummary:
    """Metrics of runs with several seeds.

    Attributes:
        seeds: The seed of each run: of `seed-0`, `seed-1`, ...
        metric: Metric that decides which is the best; None: no run was evaluated.
        runs: Name of each evaluated run -> metrics of its best checkpoint, and its step.
        mean: Mean of each metric.
        spread: Sample standard deviation of each metric; empty for fewer than two runs.
        limits: Lowest and highest value of each metric.
        best: Name of the best run.
    """

    seeds: list[int]
    metric: str | None
    runs: Mapping[str, Mapping[str, float]]
    mean: Mapping[str, float]
    spread: Mapping[str, float]
    limits: Mapping[str, tuple[float, float]]
    best: str | None


def run_name(number: int) -> str:
    """Name of the folder of a run: seed-0, ..."""
    return f"seed-{number}"


def summary_of(model_dir: str) -> SeedSummary:
    """Reads the best metrics of the runs in a folder of several seeds.

    Raises:
        UserError: The folder is not one of several seeds.
    """
    table = read_seeds(model_dir)
    if table is None:
        raise UserError(f"{model_dir} has no {SEEDS_NAME}: it is not the folder of several seeds.")
    runs: dict[str, dict[str, float]] = {}
    metric = None
    for number in range(len(table["seeds"])):
        folder = files.join(model_dir, run_name(number))
        path = files.join(folder, ARCHIVE_NAME, METRICS_NAME)
        if files.is_file(path):
            runs[run_name(number)] = best = json.loads(files.read_text(path))
            task = task_of_config(config_from_yaml(files.join(folder, CONFIG_FILE)))
            metric = next(name for name in task.labels.headline if name in best)
    each = list(runs.values())
    names = [name for name in (each[0] if each else {}) if name not in _NOT_METRICS]
    # -1: there is no such ground truth.
    columns = {n: [run.get(n, -1.0) for run in each] for n in names}
    columns = {n: v for n, v in columns.items() if min(v) >= 0 or n.endswith("loss")}
    several = len(runs) > 1
    return SeedSummary(
        table["seeds"],
        metric,
        runs,
        {name: statistics.fmean(values) for name, values in columns.items()},
        {name: statistics.stdev(values) for name, values in columns.items() if several},
        {name: (min(values), max(values)) for name, values in columns.items()},
        max(runs, key=lambda name: runs[name][metric]) if metric else None,
    )


def write_summary(model_dir: str, found: SeedSummary) -> None:
    """Writes `seeds.json` and `seeds.csv`."""
    table = {
        "metric": found.metric,
        "seeds": found.seeds,
        "best": found.best,
        "metrics": found.runs,
        "mean": found.mean,
        "standard_deviation": found.spread,
        "range": found.limits,
    }
    text = json.dumps(table, indent=1, ensure_ascii=False)
    rows = [
        {"run": run_name(number), "seed": seed, **found.runs.get(run_name(number), {})}
        for number, seed in enumerate(found.seeds)
    ]
    write_table(model_dir, TABLE_NAME, rows)
    files.write_text(files.join(model_dir, SEEDS_NAME), f"{text}\n")
