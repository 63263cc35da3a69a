"""Reads the files of a run's folder, as far as they exist."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from efficientvision import files
from efficientvision.configs.yaml_text import load_yaml
from efficientvision.errors import UserError
from efficientvision.evaluation.confidence import INTERVALS_NAME, Intervals, read_intervals
from efficientvision.evaluation.details import (
    CONFUSION,
    F1_CURVES,
    PER_CLASS,
    PR_CURVES,
    TRUTH_COLUMN,
)
from efficientvision.files import AnyPath
from efficientvision.registry import DEFAULT_TASK, TASKS
from efficientvision.report.evaluation_files import (
    EVALUATION_NAME,
    EVALUATIONS_NAME,
    MISTAKES_NAME,
    MISTAKES_SHEET_NAME,
    PREDICTIONS_NAME,
)
from efficientvision.report.facts import COMMAND_NAME, FACTS_NAME, FINDINGS_NAME, read_json
from efficientvision.report.history import LOSSES_NAME
from efficientvision.tasks.base import Task
from efficientvision.tasks.choice import find_task
from efficientvision.tasks.report_labels import ReportLabels
from efficientvision.training.best_checkpoint import ARCHIVE_NAME, METRICS_NAME
from efficientvision.training.run_log import RESULTS_NAME
from efficientvision.training.tables import read_steps, read_table

TRAIN_BATCH_NAME = "train_batch.jpg"
CONFIG_NAME = "config.yaml"
# A folder with any of these files belongs to a run.
_SIGNS = (CONFIG_NAME, RESULTS_NAME, LOSSES_NAME, EVALUATION_NAME)
# All files that are read, by path in the folder.
SOURCES = (
    *(CONFIG_NAME, COMMAND_NAME, FACTS_NAME, FINDINGS_NAME, RESULTS_NAME, LOSSES_NAME),
    *(EVALUATIONS_NAME, EVALUATION_NAME, files.join(ARCHIVE_NAME, METRICS_NAME)),
    files.join(ARCHIVE_NAME, INTERVALS_NAME),
    *(f"{PER_CLASS}.csv", f"{PR_CURVES}.csv", f"{F1_CURVES}.csv", f"{CONFUSION}.csv"),
    *(TRAIN_BATCH_NAME, PREDICTIONS_NAME, MISTAKES_NAME, MISTAKES_SHEET_NAME),
)
# Tables with one row per step.
STEP_TABLES = (RESULTS_NAME, LOSSES_NAME, EVALUATIONS_NAME)
_NOT_THERE = ".not there"

Row = dict[str, str]
Points = dict[str, tuple[list[float], list[float]]]


@dataclass(frozen=True)
class RunFiles:
    """The content of a run's folder; missing files are empty.

    Attributes:
        folder: Path of the folder.
        config_text: `config.yaml`.
        command: `command.txt`.
        facts: `run.json`.
        findings: `preflight.json`: findings of the preflight, as dictionaries.
        results: Rows of `results.csv`.
        losses: Rows of `losses.csv`, and of `results.csv` for the steps before them.
        evaluations: Metrics by step, from `results.csv` and `evaluations.csv`.
        evaluation: `evaluation.json`: the last evaluation.
        best: `archive/best_eval.txt`: step and metrics of the best checkpoint.
        best_intervals: `archive/intervals.json`: confidence intervals of the best checkpoint.
        per_class: Rows of `per_class.csv`.
        pr_curves: Rows of `pr_curves.csv`.
        f1_curves: Rows of `f1_curves.csv`.
        confusion: Rows of `confusion_matrix.csv`.
        train_batch: `train_batch.jpg`.
        predictions: `val_predictions.jpg`.
        mistakes: `mistakes.json`: their step, and facts about each.
        mistakes_sheet: `mistakes.jpg`.
    """

    folder: str
    config_text: str
    command: str
    facts: dict[str, Any]
    findings: list[dict[str, str]]
    results: list[Row]
    losses: list[Row]
    evaluations: dict[int, dict[str, float]]
    evaluation: dict[str, Any]
    best: dict[str, Any]
    best_intervals: Intervals | None
    per_class: list[Row]
    pr_curves: list[Row]
    f1_curves: list[Row]
    confusion: list[Row]
    train_batch: bytes
    predictions: bytes
    mistakes: dict[str, Any]
    mistakes_sheet: bytes

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """The hyper-parameters."""
        return load_yaml(self.config_text) or {}

    @functools.cached_property
    def matrix(self) -> tuple[list[str], np.ndarray]:
        """Labels and counts [n, n] of the confusion matrix: true classes in rows."""
        labels = [row[TRUTH_COLUMN] for row in self.confusion]
        counts = [[int(row[label]) for label in labels] for row in self.confusion]
        return labels, np.array(counts, np.int64).reshape(len(labels), len(labels))

    @functools.cached_property
    def intervals(self) -> Intervals | None:
        """Confidence intervals of the last evaluation."""
        return read_intervals(self.evaluation.get("intervals"))

    @property
    def num_classes(self) -> int:
        """Number of classes without background; 0: unknown."""
        count = int(self.config.get("num_classes", 0))
        return count - _task_of(self.config).counts_background

    @functools.cached_property
    def words(self) -> ReportLabels:
        """The report's labels for this run's task."""
        return _task_of(self.config).labels

    @property
    def step(self) -> int:
        """The last step in the tables."""
        rows = (*self.results[-1:], *self.losses[-1:])
        steps = [int(row["step"]) for row in rows] + list(self.evaluations)
        return max(steps, default=0)

    @property
    def seconds(self) -> float | None:
        """Training time in seconds, including evaluations."""
        return number(self.results[-1].get("seconds")) if self.results else None

    def loss_series(self, *names: str) -> Points:
        """(steps, values) of columns of `losses`, without empty ones."""
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
        """(steps, values) of metrics, without undefined ones (-1)."""
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


def check_is_run(model_dir: AnyPath) -> None:
    """Raises UserError if the folder does not belong to a run."""
    folder = files.as_text(model_dir)
    if not any(files.is_file(files.join(folder, name)) for name in _SIGNS):
        raise UserError(f"{folder} is not a run's folder: it has none of {', '.join(_SIGNS)}.")


def read_run(model_dir: AnyPath, without: Collection[str] = ()) -> RunFiles:
    """Reads the folder of a run.

    Args:
        model_dir: The folder.
        without: Files of `SOURCES` to treat as missing.

    Raises:
        Exception: Of any kind, if a file is damaged. Other damage surfaces only when the page is
            written (`build.build_report` finds the file).
    """
    folder = files.as_text(model_dir)

    def read(reader: Callable[..., Any], *names: str) -> Any:
        path = files.join(*names)
        return reader(folder, *names) if path not in without else reader(folder, _NOT_THERE)

    results, losses = read(read_steps, RESULTS_NAME), read(read_steps, LOSSES_NAME)
    began = int(losses[0]["step"]) if losses else math.inf
    return RunFiles(
        folder=folder,
        config_text=read(_text, CONFIG_NAME),
        command=read(_text, COMMAND_NAME),
        facts=read(read_json, FACTS_NAME),
        findings=read(read_json, FINDINGS_NAME).get("findings", []),
        results=results,
        losses=[row for row in results if int(row["step"]) < began] + losses,
        evaluations=_evaluations(results + read(read_steps, EVALUATIONS_NAME)),
        evaluation=read(read_json, EVALUATION_NAME),
        best=read(read_json, ARCHIVE_NAME, METRICS_NAME),
        best_intervals=read_intervals(read(read_json, ARCHIVE_NAME, INTERVALS_NAME)),
        per_class=read(read_table, f"{PER_CLASS}.csv"),
        pr_curves=read(read_table, f"{PR_CURVES}.csv"),
        f1_curves=read(read_table, f"{F1_CURVES}.csv"),
        confusion=read(read_table, f"{CONFUSION}.csv"),
        train_batch=read(_bytes, TRAIN_BATCH_NAME),
        predictions=read(_bytes, PREDICTIONS_NAME),
        mistakes=read(read_json, MISTAKES_NAME),
        mistakes_sheet=read(_bytes, MISTAKES_SHEET_NAME),
    )


def number(text: Any) -> float | None:
    """Returns a field of a table as a finite number, or None if it is not one."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _task_of(config: dict[str, Any]) -> Task:
    """The task of a run's `config.yaml`, which may be damaged: then detection."""
    task = config.get("task")
    name = config.get("name")
    return find_task(task if task in TASKS else DEFAULT_TASK, name if isinstance(name, str) else "")


def _evaluation_metrics() -> frozenset[str]:
    """Metrics of any task: one of them makes a row of numbers that of an evaluation."""
    tasks = (find_task(name) for name in TASKS)
    return frozenset(metric for task in tasks for metric in task.labels.headline)


def _evaluations(rows: list[Row]) -> dict[int, dict[str, float]]:
    found = {}
    metrics = _evaluation_metrics()
    for row in rows:
        values = {name: value for name, text in row.items() if (value := number(text)) is not None}
        if values.keys() & metrics:
            found[int(row["step"])] = values
    return found


def _bytes(folder: str, name: str) -> bytes:
    path = files.join(folder, name)
    return files.read_bytes(path) if files.is_file(path) else b""


def _text(folder: str, name: str) -> str:
    text = _bytes(folder, name).decode("utf8")
    if "\0" in text:
        raise ValueError("zeros where text was")
    return text
