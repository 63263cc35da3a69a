"""Reads a run's folder, whatever of it is there."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import yaml

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.evaluation.details import CONFUSION, PER_CLASS, PR_CURVES
from efficientvision.files import AnyPath
from efficientvision.registry import is_ssd
from efficientvision.report.evaluation_files import (
    EVALUATION_NAME,
    EVALUATIONS_NAME,
    PREDICTIONS_NAME,
)
from efficientvision.report.facts import COMMAND_NAME, FACTS_NAME, read_json
from efficientvision.report.history import LOSSES_NAME
from efficientvision.report.wording import METRICS, Wording, wording_of
from efficientvision.training.best_checkpoint import ARCHIVE_NAME, METRICS_NAME
from efficientvision.training.run_log import RESULTS_NAME, read_results
from efficientvision.training.tables import read_table

TRAIN_BATCH_NAME = "train_batch.jpg"
CONFIG_NAME = "config.yaml"
# Any of these makes a folder that of a run.
_SIGNS = (CONFIG_NAME, RESULTS_NAME, LOSSES_NAME, EVALUATION_NAME)

Row = dict[str, str]
Points = dict[str, tuple[list[float], list[float]]]


@dataclass(frozen=True)
class RunFiles:
    """The content of a run's folder; what is not there is empty.

    Attributes:
        folder: Its path.
        config_text: `config.yaml`.
        command: `command.txt`.
        facts: `run.json`.
        results: Rows of `results.csv`.
        losses: Rows of `losses.csv`, and of `results.csv` for the steps before them.
        evaluations: Metrics by step, from `results.csv` and `evaluations.csv`.
        evaluation: `evaluation.json`: the last evaluation.
        best: `archive/best_eval.txt`: step and metrics of the best checkpoint.
        per_class: Rows of `per_class.csv`.
        pr_curves: Rows of `pr_curves.csv`.
        confusion: Rows of `confusion_matrix.csv`.
        train_batch: `train_batch.jpg`.
        predictions: `val_predictions.jpg`.
    """

    folder: str
    config_text: str
    command: str
    facts: dict[str, Any]
    results: list[Row]
    losses: list[Row]
    evaluations: dict[int, dict[str, float]]
    evaluation: dict[str, Any]
    best: dict[str, Any]
    per_class: list[Row]
    pr_curves: list[Row]
    confusion: list[Row]
    train_batch: bytes
    predictions: bytes

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """The hyper-parameters."""
        return yaml.safe_load(self.config_text) or {}

    @property
    def num_classes(self) -> int:
        """Classes without a background; 0: unknown."""
        count = int(self.config.get("num_classes", 0))
        return count - is_ssd(self.config.get("name"), self.config.get("task"))

    @functools.cached_property
    def wording(self) -> Wording:
        """What things are called in this run's task."""
        return wording_of(self.config)

    @property
    def step(self) -> int:
        """The last step that the tables tell of."""
        rows = (*self.results[-1:], *self.losses[-1:])
        steps = [int(row["step"]) for row in rows] + list(self.evaluations)
        return max(steps, default=0)

    @property
    def seconds(self) -> float | None:
        """Time that the training took, evaluations included."""
        return number(self.results[-1].get("seconds")) if self.results else None

    def loss_series(self, *names: str) -> Points:
        """(steps, values) of columns of `losses`, those that have values."""
        series = {}
        for name in names:
            pairs = [
                (float(row["step"]), value)
                for row in self.losses
                if (value := number(row.get(name))) is not None
            ]
            if pairs:
                series[name] = tuple(map(list, zip(*pairs, strict=True)))
        return series

    def metric_series(self, *names: str) -> Points:
        """(steps, values) of metrics; those that mean nothing (-1) are left out."""
        series = {}
        for name in names:
            pairs = [
                (float(step), metrics[name])
                for step, metrics in sorted(self.evaluations.items())
                if metrics.get(name, -1) >= 0
            ]
            if pairs:
                series[name] = tuple(map(list, zip(*pairs, strict=True)))
        return series


def read_run(model_dir: AnyPath) -> RunFiles:
    """Reads the folder of a run.

    Raises:
        UserError: There is nothing of a run.
    """
    folder = files.as_text(model_dir)
    if not any(files.is_file(files.join(folder, name)) for name in _SIGNS):
        raise UserError(f"{folder} is not the folder of a run: it has none of {', '.join(_SIGNS)}.")
    results, losses = read_results(folder), read_table(folder, LOSSES_NAME)
    began = int(losses[0]["step"]) if losses else math.inf
    return RunFiles(
        folder=folder,
        config_text=_text(folder, CONFIG_NAME),
        command=_text(folder, COMMAND_NAME),
        facts=read_json(folder, FACTS_NAME),
        results=results,
        losses=[row for row in results if int(row["step"]) < began] + losses,
        evaluations=_evaluations(results + read_table(folder, EVALUATIONS_NAME)),
        evaluation=read_json(folder, EVALUATION_NAME),
        best=read_json(folder, ARCHIVE_NAME, METRICS_NAME),
        per_class=read_table(folder, f"{PER_CLASS}.csv"),
        pr_curves=read_table(folder, f"{PR_CURVES}.csv"),
        confusion=read_table(folder, f"{CONFUSION}.csv"),
        train_batch=_bytes(folder, TRAIN_BATCH_NAME),
        predictions=_bytes(folder, PREDICTIONS_NAME),
    )


def number(text: Any) -> float | None:
    """A field of a table as a finite number, None if it is none."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _evaluations(rows: list[Row]) -> dict[int, dict[str, float]]:
    found = {}
    for row in rows:
        values = {name: value for name, text in row.items() if (value := number(text)) is not None}
        if values.keys() & set(METRICS):
            found[int(row["step"])] = values
    return found


def _bytes(folder: str, name: str) -> bytes:
    path = files.join(folder, name)
    return files.read_bytes(path) if files.is_file(path) else b""


def _text(folder: str, name: str) -> str:
    return _bytes(folder, name).decode("utf8")
