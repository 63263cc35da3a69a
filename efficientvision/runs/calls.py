"""The Python equivalents of the commands: train, evaluate, load, export, benchmark."""

from __future__ import annotations

import dataclasses
import difflib
import logging
import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from efficientvision import files
from efficientvision.configs.hyperparameter_lists import ALIASES, INVALID, OBSOLETE
from efficientvision.configs.inspect_options import InspectSettings, check_numbers, unused_settings
from efficientvision.configs.run_options import RunOptions, option_fields, options_from
from efficientvision.errors import UserError
from efficientvision.exports.load_export import is_export
from efficientvision.files import AnyPath
from efficientvision.registry import TASKS, nearest_names
from efficientvision.report.build import REPORT_NAME
from efficientvision.report.seeds_files import run_name, summary_of
from efficientvision.runs import bad_records, benchmark_export, run_setup
from efficientvision.runs import benchmark as benchmarking
from efficientvision.runs import evaluate as evaluation
from efficientvision.runs import export as exporting
from efficientvision.runs import train as training
from efficientvision.runs.data_source import names_data, patterns_of
from efficientvision.runs.devices import grow_gpu_memory
from efficientvision.runs.export import Exported, names_photos
from efficientvision.runs.run_data import read_data
from efficientvision.runs.run_name import new_run_folder
from efficientvision.tasks.choice import (
    find_task,
    get_config,
)
from efficientvision.training.best_checkpoint import ARCHIVE_NAME
from efficientvision.training.callbacks import Callback
from efficientvision.training.run_log import read_results
from efficientvision.weights.hub import local_path

log = logging.getLogger(__name__)

_NOT_METRICS = {"step", "epoch", "seconds", "learning_rate"}


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """A finished training run.

    Attributes:
        model_dir: folder of the run: checkpoints, configuration, class names, tables, report.
        step: last training step in `results.csv`.
        metrics: metrics of the last evaluation and the last losses, by name.
        best: folder of the best checkpoint; None: no evaluation.
        report: path of `report.html`; None: not written.
    """

    model_dir: str
    step: int
    metrics: dict[str, float]
    best: str | None
    report: str | None

    def __repr__(self) -> str:
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in self.metrics.items())
        return f"<TrainingRun {self.model_dir}, step {self.step}: {metrics}>"


@dataclasses.dataclass(frozen=True)
class SeedRuns:
    """Finished training runs with several seeds.

    Attributes:
        model_dir: folder of all of them; as a model it stands for the best run.
        runs: the runs, by ascending seed.
        metric: metric that decides which is the best; None: no evaluation.
        mean: mean of each metric of the runs' best checkpoints.
        spread: sample standard deviation of each metric.
        best: the best run; chosen on the photos it was measured on, which is optimistic. None: no
            evaluation.
        report: path of the overview page.
    """

    model_dir: str
    runs: list[TrainingRun]
    metric: str | None
    mean: dict[str, float]
    spread: dict[str, float]
    best: TrainingRun | None
    report: str

    def __repr__(self) -> str:
        name = self.metric
        shown = "not evaluated"
        if name is not None:
            shown = f"{name} {self.mean[name]:.4g}"
            shown += f" ± {self.spread[name]:.4g}" if self.spread else ""
        return f"<SeedRuns {self.model_dir}, {len(self.runs)} seeds: {shown}>"


def train(
    model: str,
    *,
    model_dir: AnyPath | None = None,
    data: AnyPath | tuple[AnyPath, AnyPath | None] | None = None,
    callbacks: Sequence[Callback] = (),
    **options: Any,
) -> TrainingRun | SeedRuns:
    """Trains a network, and evaluates it after every epoch if there is validation data.

    Writes the same folder as `main.py`. Repeat the call to resume an interrupted run; `main.py`
    can resume it too, and vice versa. Ctrl-C saves a checkpoint and stops.

    Args:
        model: one of `list_models()`.
        model_dir: folder of the run; None: `runs/<model>`, with a number if that exists.
        data: data set: a folder of labelled photos in any known layout (see the option
            `data_format`), or its data.yaml, .json or .csv; a folder with records
            `train*.tfrecord` and `val*.tfrecord`; a pattern of training records; or a pair of
            patterns (training, validation or None). Photos become records once, in a cache.
        callbacks: called at steps, evaluations and the end; see `training.callbacks.Callback`.
        **options: options of `RunOptions` (`train_batch_size=16`, `ckpt="efficientdet-d0"`, ...)
            and hyper-parameters of the model (`learning_rate=0.01`, `image_size="640x480"`, ...).
            What is not set is derived from the data and this machine, and logged with its
            reason: number of classes, input size, anchors, batch size, length, learning rate, and
            ImageNet weights if they are on this machine (`start_from="none"`: random ones);
            `defaults="published"` or `hparams="coco"` take the published values instead.

    Returns:
        The finished run: folder, last step, metrics, best checkpoint, report. With `seeds=3` all
        three, their mean and their spread.

    Raises:
        UserError: an option is unknown, data is missing or unusable, or the folder belongs to
            another run.
        KeyboardInterrupt: training was interrupted, after saving a checkpoint.

    Example:
        >>> run = train("efficientdet-lite0", data="tfrecords", model_dir="runs/a", num_epochs=30)
        >>> run.metrics["AP"], run.report
    """
    command = _call("train", model, model_dir=model_dir, data=data, **options)
    folder = new_run_folder(model) if model_dir is None else files.as_text(model_dir)
    asked = {"model_dir": folder, **patterns_of(data)}
    grow_gpu_memory()
    if start_training(model, command, asked, options, callbacks):
        raise KeyboardInterrupt
    return finished_seeds(folder) if options.get("seeds", 1) > 1 else finished_run(folder)


def start_training(
    model: str,
    command: str,
    asked: Mapping[str, Any],
    options: Mapping[str, Any],
    callbacks: Sequence[Callback] = (),
) -> int:
    """Does the work of `train`.

    Args:
        model: one of `list_models()`.
        command: written to `command.txt` in the run's folder.
        asked: options that have arguments of their own: `model_dir`, `data_dir`, ...
        options: further options and hyper-parameters.
        callbacks: see `train`.

    Returns:
        The exit code: 0, or 128 + the signal that ended the run early.
    """
    decided = options_of_call({"model_name": model, **asked}, options)
    if "defaults" not in decided.written:
        decided = decided.replace(defaults="data")
    if decided.mode not in ("train", "train_and_eval"):
        raise UserError(f"mode must be 'train' or 'train_and_eval' in train; got {decided.mode!r}.")
    decided = run_setup.check_options(decided)
    return training.train(decided, command, callbacks, evaluate_if_possible=True)


def evaluate(model_dir: AnyPath, data: AnyPath | None = None, **options: Any) -> dict[str, float]:
    """Evaluates a run, a published checkpoint or an exported model.

    Args:
        model_dir: a run's folder, a checkpoint of any kind, an exported model, or
            `hf://user/repo`.
        data: data set as in `train`, of which the validation part is evaluated (`eval_part="test"`:
            the test part); or a pattern of records.
        **options: options of `RunOptions` and hyper-parameters, as in `train`.

    Returns:
        Metrics by name, as in `results.csv` (fractions in 0..1). Of a run, its newest checkpoint
        is evaluated; with `eval_timeout`, also those that a training still writes.

    Raises:
        UserError: there is nothing to evaluate, or the data has other classes than the model.
    """
    asked: dict[str, Any] = {"mode": "eval", "model_dir": files.as_text(model_dir)}
    if data is not None:
        name = "data_dir" if names_data(data) else "val_file_pattern"
        asked[name] = files.as_text(data)
    decided = run_setup.check_options(options_of_call(asked, options))
    grow_gpu_memory()
    located = run_setup.find_data(decided)
    follow = decided.eval_timeout is not None
    return evaluation.run(bad_records.leave_out(located), located, follow=follow)


def export(
    path: AnyPath,
    formats: str | Sequence[str],
    folder: AnyPath = "exports",
    *,
    photos: AnyPath | None = None,
    verify: AnyPath | None = None,
    calibration: AnyPath | None = None,
    **settings: Any,
) -> list[Exported]:
    """Exports a model to one or more formats, and verifies each file in its own runtime.

    Args:
        path: a run's folder, a checkpoint of any kind, or `hf://user/repo`.
        formats: one or more of `EXPORT_FORMATS`: `"onnx"`, `"litert_int8"`, ...
        folder: output folder.
        photos: a photo, folder or glob on which to compare outputs with the network; None: the
            first photos of `verify`.
        verify: records on which to measure the task's metric; or a data set as in `train`, whose
            validation part is used; or photos on which to compare. None, without `photos`: the
            validation data of the run.
        calibration: records, photos, or a data set, whose training part is used, that calibrate
            `litert_int8`; 100 or more photos are recommended. None: the training data of the run.
        **settings: settings of `InspectSettings`: `input_image_size`, `nms`, `batch_size`, ...

    Returns:
        The exported files, in the order of the formats.

    Raises:
        UserError: a format is unknown, there are no photos to compare on, or a file's outputs
            differ from the network's by more than its tolerance.
    """
    path = local_path(path)
    if verify is not None and not names_data(verify) and names_photos(files.as_text(verify)):
        photos, verify = photos or verify, None
    own = read_data(path)
    if photos is None and verify is None:
        if own.evaluation is None:
            raise UserError(
                "Set `photos` or `verify`: each file is compared with the network on them."
            )
        log.info(f"Verifying on the validation data of the run, {own.evaluation} (`verify`).")
        verify = own.evaluation
        if own.ground_truth and "val_json_file" not in settings:
            settings["val_json_file"] = own.ground_truth
    names = (formats,) if isinstance(formats, str) else tuple(formats)
    if calibration is None and own.training and any(map(exporting.in_integers, names)):
        log.info(f"Calibrating on the training data of the run, {own.training} (`calibration`).")
        calibration = own.training
    return exporting.run(
        _settings(
            settings,
            ckpt_path=files.as_text(path),
            format=",".join(names),
            saved_model_dir=files.as_text(folder),
            input_image=None if photos is None else files.as_text(photos),
            val_file_pattern=None if verify is None else files.as_text(verify),
            calibration_file_pattern=None if calibration is None else files.as_text(calibration),
        )
    )


def benchmark(path: AnyPath | None, model: str | None = None, **settings: Any) -> float:
    """Measures the latency of a network, or of an exported model.

    A network is timed on noise, without pre- and postprocessing; an exported model end to end, from
    photo to results.

    Args:
        path: a run's folder, a checkpoint of any kind, an exported model, or `hf://user/repo`;
            None: random weights.
        model: model name, for random weights or if it cannot be inferred from the checkpoint.
        **settings: settings of `InspectSettings`: `bm_runs`, `batch_size`, `input_image_size`, ...

    Returns:
        The median time per batch in milliseconds.

    Raises:
        UserError: the checkpoint or the model is missing, or a setting is unknown.
    """
    own = None if path is None else local_path(path)
    if own is not None and is_export(own):
        _check_used(settings, "saved_model_benchmark", model, "an exported model")
        decided = _settings(settings, saved_model_dir=own)
        timed = benchmark_export.run
    else:
        _check_used(settings, "bm", None, "a network")
        decided = _settings(settings, ckpt_path=own, model_name=model)
        timed = benchmarking.run
    return 1000 * float(statistics.median(timed(decided)))


def finished_run(model_dir: AnyPath) -> TrainingRun:
    """Reads the results of a run from its folder."""
    folder = files.as_text(model_dir)
    row = (read_results(folder) or [{}])[-1]
    numbers = {name: _number(text) for name, text in row.items() if name not in _NOT_METRICS}
    archive, page = files.join(folder, ARCHIVE_NAME), files.join(folder, REPORT_NAME)
    return TrainingRun(
        folder,
        int(row.get("step", 0)),
        {name: value for name, value in numbers.items() if value is not None},
        archive if files.is_folder(archive) else None,
        page if files.is_file(page) else None,
    )


def finished_seeds(model_dir: AnyPath) -> SeedRuns:
    """Reads the results of runs with several seeds from their folder."""
    folder = files.as_text(model_dir)
    found = summary_of(folder)
    names = [run_name(number) for number in range(len(found.seeds))]
    runs = [finished_run(files.join(folder, name)) for name in names]
    best = None if found.best is None else runs[names.index(found.best)]
    page = files.join(folder, REPORT_NAME)
    return SeedRuns(folder, runs, found.metric, dict(found.mean), dict(found.spread), best, page)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def options_of_call(asked: Mapping[str, Any], more: Mapping[str, Any]) -> RunOptions:
    """Splits keyword arguments into run options and hyper-parameters."""
    known = {field.name for field in option_fields()}
    own = {name: value for name, value in more.items() if name in known}
    hyper_parameters = {name: value for name, value in more.items() if name not in known}
    if twice := sorted(asked.keys() & own.keys()):
        raise UserError(
            f"`{twice[0]}` is set twice, here and by another argument: pass only one of them."
        )
    _check_spelling(hyper_parameters, known)
    return options_from({**asked, **own}).replace(hyper_parameters=hyper_parameters)


def _check_spelling(hyper_parameters: Mapping[str, Any], options: Collection[str]) -> None:
    """Raises UserError for a misspelt option, which is not a hyper-parameter of any task.

    Other unknown names are left to the configuration, which knows its hyper-parameters.
    """
    near = [name for name in hyper_parameters if difflib.get_close_matches(name, options, 1)]
    if not near:
        return
    configs = [get_config(find_task(task).default_model, task=task) for task in TASKS]
    fields = {field for config in configs for field in (*config.as_dict(), *config.aliases)}
    fields |= {*ALIASES, *OBSOLETE, *INVALID}
    for name in near:
        if name.partition(".")[0] not in fields:
            hint = nearest_names(name, sorted({*options, *fields}))
            raise UserError(f"Unknown option or hyper-parameter {name!r}. {hint}")


def _check_used(settings: Mapping[str, Any], runmode: str, model: str | None, what: str) -> None:
    """Raises UserError for a setting that a benchmark does not use."""
    unused = unused_settings(settings, runmode) or (["model"] if model else [])
    if unused:
        raise UserError(f"`{unused[0]}` does not apply to a benchmark of {what}: remove it.")


def _settings(more: Mapping[str, Any], **asked: Any) -> InspectSettings:
    known = [field.name for field in dataclasses.fields(InspectSettings)]
    for name in more:
        if name not in known:
            raise UserError(f"Unknown option {name}. {nearest_names(name, known)}")
    values = {**more, **asked}
    check_numbers(values)
    if "batch_size" in values:
        values["batch_size"] = values["batch_size"] or None  # 0: any number.
    return InspectSettings(**values)


def _call(name: str, *values: Any, **options: Any) -> str:
    """Returns a call as Python source, for a run's `command.txt`."""
    shown = [repr(value) for value in values]
    shown += [f"{key}={value!r}" for key, value in options.items() if value is not None]
    return f"efficientvision.{name}({', '.join(shown)})"
