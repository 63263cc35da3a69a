"""Compares two models, or two sets of runs, on the same photos: gain or chance."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.evaluation.confidence import (
    FEW_IMAGES,
    LEVEL,
    Difference,
    Interval,
    PerImage,
    paired_differences,
)
from efficientvision.evaluation.shown import shown_metric
from efficientvision.exports.load_export import is_export
from efficientvision.files import AnyPath
from efficientvision.report.seeds_files import run_name
from efficientvision.runs import bad_records, run_setup
from efficientvision.runs.calls import options_of_call
from efficientvision.runs.data_source import names_data
from efficientvision.runs.devices import grow_gpu_memory
from efficientvision.runs.evaluate import evaluate_once, is_own_data, tell_images
from efficientvision.runs.run_data import read_data
from efficientvision.training.best_checkpoint import BEST_NAME
from efficientvision.weights.seed_runs import read_seeds

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The difference between two models on the same photos.

    Attributes:
        images: number of photos.
        runs: number of runs of each model.
        differences: metric -> `Difference`: value of each model (fractions in 0..1) and the
            interval of the second less the first.
        metric: the task's main metric.
    """

    images: int
    runs: tuple[int, int]
    differences: dict[str, Difference]
    metric: str

    def __str__(self) -> str:
        return "\n".join([*self._table(), self._verdict(), self._meaning()])

    def _table(self) -> list[str]:
        names = [name for name in self.differences if "_/" not in name]
        width = max(10, *map(len, names))
        lines = [f"{'':<{width}}      A      B  difference, {LEVEL:.0%} interval"]
        for name in names:
            one = self.differences[name]
            values = "  ".join(f"{shown_metric(name, value):>5}" for value in one[:2])
            gain = f"{100 * (one.second - one.first):+.1f}"
            lines.append(f"{name:<{width}}  {values}  {gain:>10}, {_signed(one.interval)}")
        return lines

    def _verdict(self) -> str:
        one = self.differences[self.metric]
        if not one.is_clear:
            return f"{self.metric}: the difference may be chance, as its interval includes 0."
        better = "B" if one.second > one.first else "A"
        return f"{self.metric}: {better} is better by more than chance."

    def _meaning(self) -> str:
        few = " (few: only large differences are clear)" if self.images < FEW_IMAGES else ""
        text = f"Compared on the same {self.images:,} photos{few}, resampled in pairs. "
        if min(self.runs) > 1:
            return text + (
                f"The chance of training is included, from {self.runs[0]} and {self.runs[1]} "
                "seeds, which tell it roughly."
            )
        return text + (
            "The chance of training is not included where there is one run: another seed may "
            "differ by more. Train both with several seeds to include it."
        )


def compare(
    first: AnyPath, second: AnyPath, data: AnyPath | None = None, **options: Any
) -> Comparison:
    """Evaluates two models on the same photos and says whether one is better by more than chance.

    Args:
        first: a run's folder, of which the best checkpoint is taken; the folder of several seeds,
            of which all runs are; or a checkpoint.
        second: the same for the other model.
        data: data set as in `evaluate`, whose validation part is used; None: the validation data
            of the first run.
        **options: options of `RunOptions`, as in `evaluate`.

    Returns:
        The differences; printing it shows a table and the verdict.

    Raises:
        UserError: a model is an export, or there is no data to compare on.
    """
    asked = _data_of(first, data, options)
    grow_gpu_memory()
    metric = ""
    sides: list[list[PerImage]] = []
    for path in (first, second):
        sides.append([])
        for model in _models(files.as_text(path)):
            results, metric = _evaluated(model, asked, options)
            sides[-1].append(results)
    found = paired_differences(*sides)
    counts = (len(sides[0]), len(sides[1]))
    if metric not in found:
        raise UserError(f"There is no {metric} of both models on these photos to compare.")
    return Comparison(sides[0][0].num_images, counts, found, metric)


def _data_of(first: AnyPath, data: AnyPath | None, options: dict[str, Any]) -> dict[str, Any]:
    if data is not None:
        name = "data_dir" if names_data(data) else "val_file_pattern"
        return {name: files.as_text(data)}
    own = read_data(_models(files.as_text(first))[0])
    if own.evaluation is None:
        raise UserError(
            f"The validation data of {files.as_text(first)} is unknown or gone: set `data`."
        )
    log.info(f"Comparing on the validation data of the first run, {own.evaluation} (`data`).")
    asked = {"val_file_pattern": own.evaluation}
    if own.ground_truth and "val_json_file" not in options:
        asked["val_json_file"] = own.ground_truth
    return asked


def _models(path: str) -> list[str]:
    """The checkpoints to evaluate: of a run the best one, of several seeds that of each."""
    if is_export(path):
        raise UserError(f"{path} is an exported model: compare runs or checkpoints.")
    seeds = read_seeds(path)
    if seeds is not None:
        folders = [files.join(path, run_name(number)) for number in range(len(seeds["seeds"]))]
        return [model for folder in folders for model in _models(folder)]
    best = files.join(path, BEST_NAME)
    return [best if files.is_file(best) else path]


def _evaluated(model: str, asked: dict[str, Any], options: dict[str, Any]) -> tuple[PerImage, str]:
    """Results of each photo, and the name of the main metric."""
    decided = options_of_call({"mode": "eval", "model_dir": model, **asked}, options)
    located = run_setup.find_data(run_setup.check_options(decided))
    ready = bad_records.leave_out(located)
    task = run_setup.task_of_run(ready)
    ready = task.fit_to_data(ready, None)
    tell_images(ready)
    if not is_own_data(located.val_file_pattern, model):
        log.info(
            f"Warning: these are not the validation photos of {model}. If it was trained on them, "
            "the comparison favours it."
        )
    metrics, evaluation = evaluate_once(ready)
    results = evaluation.per_image()
    if results is None:
        raise UserError(f"{task.noun} has no metrics of single photos: it cannot be compared.")
    metric = next(name for name in task.labels.headline if name in metrics)
    log.info(f"{model}: {metric} {shown_metric(metric, metrics[metric])}")
    return results, metric


def _signed(interval: Interval) -> str:
    return " to ".join(f"{100 * limit:+.1f}" for limit in interval)
