"""The Python equivalents of the commands: train, evaluate, load, export, benchmark."""

from __future__ import annotations

import dataclasses
import difflib
import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from efficientvision import files
from efficientvision.configs.hyperparameter_lists import ALIASES, INVALID, OBSOLETE
from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.configs.run_options import RunOptions, option_fields, options_from
from efficientvision.data import data_folder
from efficientvision.errors import UserError
from efficientvision.exports.load_export import check_not_baked, is_export, load_export
from efficientvision.files import AnyPath
from efficientvision.loading import CONFIG_FILE, run_folder_of
from efficientvision.registry import DEFAULT_TASK, TASKS, nearest_names, task_of
from efficientvision.report.build import REPORT_NAME
from efficientvision.runs import bad_records, benchmark_export, run_setup
from efficientvision.runs import benchmark as benchmarking
from efficientvision.runs import evaluate as evaluation
from efficientvision.runs import export as exporting
from efficientvision.runs import train as training
from efficientvision.runs.devices import grow_gpu_memory
from efficientvision.runs.export import Exported, names_photos
from efficientvision.runs.run_name import new_run_folder
from efficientvision.tasks.choice import (
    config_from_yaml,
    find_task,
    get_config,
    task_of_config,
    task_of_export,
)
from efficientvision.tasks.predictor import Predictor
from efficientvision.tasks.setup import count_images, record_names
from efficientvision.training.best_checkpoint import ARCHIVE_NAME
from efficientvision.training.callbacks import Callback
from efficientvision.training.run_log import read_results
from efficientvision.weights.identify import identify

# The published command lines default to 64, for TPUs.
_BATCH_SIZE = 16
_OF_EXPORTS = ("threads", "trust")
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


def train(
    model: str,
    *,
    model_dir: AnyPath | None = None,
    data: AnyPath | tuple[AnyPath, AnyPath | None] | None = None,
    callbacks: Sequence[Callback] = (),
    **options: Any,
) -> TrainingRun:
    """Trains a network, and evaluates it after every epoch if there is validation data.

    Writes the same folder as `main.py`. Repeat the call to resume an interrupted run; `main.py`
    can resume it too, and vice versa. Ctrl-C saves a checkpoint and stops.

    Args:
        model: one of `list_models()`.
        model_dir: folder of the run; None: `runs/<model>`, with a number if that exists.
        data: folder with records `train*.tfrecord` and `val*.tfrecord`, or a pair of file patterns
            (the second may be None); alternatively use the options `train_file_pattern` and
            `val_file_pattern`.
        callbacks: called at steps, evaluations and the end; see `training.callbacks.Callback`.
        **options: options of `RunOptions` (`train_batch_size=16`, `ckpt="efficientdet-d0"`, ...)
            and hyper-parameters of the model (`learning_rate=0.01`, `image_size="640x480"`, ...).
            By default the length of an epoch, the number of classes and the batch size (at most
            16) are derived from the data.

    Returns:
        The finished run: folder, last step, metrics, best checkpoint, report.

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
    return finished_run(folder)


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
    decided = _with_defaults(_options({"model_name": model, **asked}, options))
    if decided.mode not in ("train", "train_and_eval"):
        raise UserError(f"mode must be 'train' or 'train_and_eval' in train; got {decided.mode!r}.")
    return training.train(run_setup.check_options(decided), command, callbacks)


def evaluate(model_dir: AnyPath, data: AnyPath | None = None, **options: Any) -> dict[str, float]:
    """Evaluates a run, a published checkpoint or an exported model.

    Args:
        model_dir: a run's folder, a checkpoint of any kind, or an exported model.
        data: folder with records `val*.tfrecord`, or a file pattern.
        **options: options of `RunOptions` and hyper-parameters, as in `train`.

    Returns:
        Metrics by name, as in `results.csv` (fractions in 0..1).

    Raises:
        UserError: there is nothing to evaluate, or the data has other classes than the model.
    """
    asked: dict[str, Any] = {"mode": "eval", "model_dir": files.as_text(model_dir)}
    if data is not None:
        name = "data_dir" if files.is_folder(data) else "val_file_pattern"
        asked[name] = files.as_text(data)
    decided = run_setup.check_options(_options(asked, options))
    grow_gpu_memory()
    return evaluation.run(bad_records.leave_out(run_setup.find_data(decided)))


def load(path: AnyPath, model: str | None = None, **hyper_parameters: Any) -> Predictor:
    """Loads a predictor from a run's folder, a checkpoint of any kind, or an exported model.

    Args:
        path: see `Detector.from_checkpoint`.
        model: model name, for a checkpoint from which it cannot be inferred.
        **hyper_parameters: hyper-parameters for a checkpoint; `threads` and `trust` for an export.

    Returns:
        A `Detector`, `Classifier` or `Segmenter`, depending on the model's task. Call it with
        photos, see `Predictor.__call__`.

    Raises:
        UserError: the model is missing, damaged or of an unknown kind; a hyper-parameter is
            unknown, or fixed in the exported model.

    Example:
        >>> detector = load("runs/cells")
        >>> detections = detector("photo.jpg")
    """
    path = files.as_text(path)
    if is_export(path):
        own = {name: value for name, value in hyper_parameters.items() if name in _OF_EXPORTS}
        check_not_baked(
            path, {name: value for name, value in hyper_parameters.items() if name not in own}
        )
        run, metadata = load_export(path, **own)
        return task_of_export(metadata).predictor_class.from_run(run, metadata, path)
    predictor_class = find_task(_task_of(path, model)).predictor_class
    return predictor_class.from_checkpoint(path, model, **hyper_parameters)


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
        path: a run's folder or a checkpoint of any kind.
        formats: one or more of `EXPORT_FORMATS`: `"onnx"`, `"litert_int8"`, ...
        folder: output folder.
        photos: a photo, folder or glob on which to compare outputs with the network; None: the
            first photos of `verify`.
        verify: records on which to measure the task's metric, or photos on which to compare.
        calibration: records or photos that calibrate `litert_int8`; 100 or more are recommended.
        **settings: settings of `InspectSettings`: `input_image_size`, `nms`, `batch_size`, ...

    Returns:
        The exported files, in the order of the formats.

    Raises:
        UserError: a format is unknown, there are no photos to compare on, or a file's outputs
            differ from the network's by more than its tolerance.
    """
    if verify is not None and names_photos(files.as_text(verify)):
        photos, verify = photos or verify, None
    if photos is None and verify is None:
        raise UserError("Set `photos` or `verify`: each file is compared with the network on them.")
    names = (formats,) if isinstance(formats, str) else tuple(formats)
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
        path: a run's folder, a checkpoint of any kind, or an exported model; None: random weights.
        model: model name, for random weights or if it cannot be inferred from the checkpoint.
        **settings: settings of `InspectSettings`: `bm_runs`, `batch_size`, `input_image_size`, ...

    Returns:
        The median time per batch in milliseconds.

    Raises:
        UserError: the checkpoint or the model is missing, or a setting is unknown.
    """
    own = None if path is None else files.as_text(path)
    if own is not None and is_export(own):
        decided = _settings(settings, saved_model_dir=own, model_name=model)
        timed = benchmark_export.run
    else:
        decided = _settings(settings, ckpt_path=own, model_name=model)
        timed = benchmarking.run
    if decided.bm_runs < 1:
        raise UserError(f"`bm_runs` must be at least 1, got {decided.bm_runs}.")
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


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def patterns_of(data: AnyPath | tuple[AnyPath, AnyPath | None] | None) -> dict[str, str | None]:
    """Returns the options that the argument `data` of `train` means."""
    if data is None:
        return {}
    if not isinstance(data, (tuple, list)):
        return {"data_dir": files.as_text(data)}
    names = ("train_file_pattern", "val_file_pattern")
    if len(data) != len(names):
        raise UserError(
            f"`data` must be a folder or a pair of file patterns (training, validation or None); "
            f"got {len(data)} values."
        )
    return {name: files.as_text(p) for name, p in zip(names, data, strict=True) if p is not None}


def _options(asked: Mapping[str, Any], more: Mapping[str, Any]) -> RunOptions:
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


def _settings(more: Mapping[str, Any], **asked: Any) -> InspectSettings:
    known = [field.name for field in dataclasses.fields(InspectSettings)]
    for name in more:
        if name not in known:
            raise UserError(f"Unknown option {name}. {nearest_names(name, known)}")
    return InspectSettings(**{**more, **asked})


def _with_defaults(options: RunOptions) -> RunOptions:
    """Derives options that were not set from the data; the command lines have fixed defaults."""
    changes: dict[str, Any] = {}
    if options.data_dir:
        of_classes = run_setup.task_of_run(options).takes_class_folders
        found = data_folder.find_data(options.data_dir, of_classes=of_classes)
        changes["train_file_pattern"] = options.train_file_pattern or found.training_records
        changes["val_file_pattern"] = options.val_file_pattern or found.evaluation_records
    options = options.replace(**changes)
    written = options.written
    if "mode" not in written:
        options = options.replace(mode="train_and_eval" if options.val_file_pattern else "train")
    if not options.train_file_pattern:
        return options  # Checking the options reports what is missing.
    options = count_images(options, options.val_file_pattern)
    if "train_batch_size" not in written:
        images = options.num_examples_per_epoch
        options = options.replace(train_batch_size=min(_BATCH_SIZE, images))
    config = get_config(
        options.model_name, options.hparams, options.hyper_parameters, task=options.task or None
    )
    if not task_of_config(config).num_classes_from_data:
        names = record_names(config, options.train_file_pattern, options.val_file_pattern)
        if names and not config.is_set("num_classes"):
            more = {**options.hyper_parameters, "num_classes": max(names)}
            options = options.replace(hyper_parameters=more)
    return options


def _task_of(path: str, model: str | None) -> str:
    """Infers a checkpoint's task from its run's configuration, its variables or its model name."""
    own = files.join(run_folder_of(path), CONFIG_FILE)
    if files.is_file(own):
        return config_from_yaml(own).task
    found = identify(path)
    name = model or found.model
    return found.task or (task_of(name) if name else DEFAULT_TASK)


def _call(name: str, *values: Any, **options: Any) -> str:
    """Returns a call as Python source, for a run's `command.txt`."""
    shown = [repr(value) for value in values]
    shown += [f"{key}={value!r}" for key, value in options.items() if value is not None]
    return f"efficientvision.{name}({', '.join(shown)})"
