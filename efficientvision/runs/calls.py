"""Everything a command does, as a call: train, evaluate, load, export, benchmark."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from efficientvision import files
from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.configs.run_options import RunOptions, option_fields, options_from
from efficientvision.data import data_folder
from efficientvision.errors import UserError
from efficientvision.exports.load_export import is_export, load_export
from efficientvision.files import AnyPath
from efficientvision.loading import CONFIG_FILE, run_folder_of
from efficientvision.registry import DEFAULT_TASK, nearest_names, task_of
from efficientvision.report.build import REPORT_NAME
from efficientvision.runs import bad_records, run_setup
from efficientvision.runs import benchmark as benchmarking
from efficientvision.runs import evaluate as evaluation
from efficientvision.runs import export as exporting
from efficientvision.runs import train as training
from efficientvision.runs.export import Exported, names_photos
from efficientvision.runs.gpu_memory import grow_gpu_memory
from efficientvision.tasks.choice import config_from_yaml, find_task, get_config, task_of_config
from efficientvision.tasks.predictor import Predictor
from efficientvision.tasks.setup import count_images, record_names
from efficientvision.training.best_checkpoint import ARCHIVE_NAME
from efficientvision.training.callbacks import Callback
from efficientvision.training.run_log import read_results
from efficientvision.weights.identify import identify

# Unlike the published command lines, whose batch of 64 was for TPUs.
_BATCH_SIZE = 16
_NOT_METRICS = {"step", "epoch", "seconds", "learning_rate"}


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """A run that has ended.

    Attributes:
        model_dir: its folder: checkpoints, configuration, names, tables, report.
        step: of the last row of its `results.csv`: optimizer steps done.
        metrics: numbers of that row by name: the metrics of the last evaluation (0..1), and the
            last losses.
        best: folder of the best checkpoint; None: there was no evaluation.
        report: its page; None: there is none.
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
    model_dir: AnyPath,
    data: AnyPath | tuple[AnyPath, AnyPath | None] | None = None,
    callbacks: Sequence[Callback] = (),
    **options: Any,
) -> TrainingRun:
    """Trains a network, and evaluates it after every epoch if there are records to evaluate on.

    The folder is that of `main.py`: the same call again resumes an interrupted run, and either
    may resume the other's. Ctrl-C ends it after a checkpoint.

    Args:
        model: one of `list_models()`.
        model_dir: folder of the run.
        data: folder of records `train*.tfrecord` and `val*.tfrecord`, or their two patterns
            (the second may be None); else `train_file_pattern` and `val_file_pattern` name them.
        callbacks: called at steps, evaluations and the end; see `training.callbacks.Callback`.
        **options: those of `RunOptions` (`train_batch_size=16`, `ckpt="efficientdet-d0"`, ...)
            and hyper-parameters of the model (`learning_rate=0.01`, `image_size="640x480"`, ...).
            The length of an epoch, the number of classes and the batch come from the data unless
            they are given.

    Returns:
        What was reached, and where it is.

    Raises:
        UserError: an unknown option, missing or unusable data, or a folder of another run.
        KeyboardInterrupt: it was interrupted; a checkpoint is written.

    Example:
        >>> run = train("efficientdet-lite0", data="tfrecords", model_dir="runs/a", num_epochs=30)
        >>> run.metrics["AP"], run.report
    """
    command = _call("train", model, model_dir=model_dir, data=data, **options)
    asked = {"model_name": model, "model_dir": files.as_text(model_dir), **_patterns(data)}
    decided = _with_defaults(_options(asked, options))
    if decided.mode not in ("train", "train_and_eval"):
        raise UserError(f"mode={decided.mode!r}: train takes 'train' or 'train_and_eval'.")
    grow_gpu_memory()
    code = training.train(run_setup.check_options(decided), command, callbacks)
    if code:
        raise KeyboardInterrupt
    return finished_run(model_dir)


def evaluate(model_dir: AnyPath, data: AnyPath | None = None, **options: Any) -> dict[str, float]:
    """Measures a run, a published checkpoint or an exported model.

    Args:
        model_dir: a run's folder, a checkpoint of any kind, or an export.
        data: folder of records `val*.tfrecord`, or their pattern.
        **options: of `RunOptions` and hyper-parameters, as in `train`.

    Returns:
        Metrics by name, as in `results.csv`: 0..1.

    Raises:
        UserError: an unknown option, nothing to evaluate, or data that are damaged or of other
            classes.
    """
    asked: dict[str, Any] = {"mode": "eval", "model_dir": files.as_text(model_dir)}
    if data is not None:
        name = "data_dir" if files.is_folder(data) else "val_file_pattern"
        asked[name] = files.as_text(data)
    decided = run_setup.check_options(_options(asked, options))
    grow_gpu_memory()
    return evaluation.run(bad_records.leave_out(run_setup.find_data(decided)))


def load(path: AnyPath, model: str | None = None, **hyper_parameters: Any) -> Predictor:
    """The predictor of a run's folder, a checkpoint of any kind, or an exported model.

    Args:
        path: see `Detector.from_checkpoint`.
        model: for a checkpoint that does not tell.
        **hyper_parameters: for a checkpoint, by name; for an export `threads` and `trust`.

    Returns:
        A `Detector`, `Classifier` or `Segmenter`, by the task of the model. All are called with
        photos: see `Predictor.__call__`.

    Raises:
        UserError: there is no model, or it is damaged; a hyper-parameter is unknown, or is baked
            into the export.
    """
    path = files.as_text(path)
    if is_export(path):
        run, metadata = load_export(path, **hyper_parameters)
        task = find_task(metadata.task if metadata else DEFAULT_TASK, "")
        return task.predictor_class.from_run(run, metadata, path)
    predictor_class = find_task(_task_of(path, model), "").predictor_class
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
    """Writes a model in several formats, and holds each, run in its own runtime, to the network.

    Args:
        path: a run's folder or a checkpoint of any kind.
        formats: of `EXPORT_FORMATS`: `"onnx"`, `"litert_int8"`, ...
        folder: to write them into; made if it is missing.
        photos: a photo, folder or glob to compare on; None: the first of `verify`.
        verify: records to measure the metric on, or photos to compare on.
        calibration: records or photos that give `litert_int8` its ranges; better 100 or more.
        **settings: of `InspectSettings`: `input_image_size`, `nms`, `batch_size`, ...

    Returns:
        The files, in the order of the formats, each with its size in megabytes, the milliseconds
        of a batch, and how far its results are from the network's.

    Raises:
        UserError: an unknown format, no photos to compare on, or a file beyond its tolerance.
    """
    if verify is not None and names_photos(files.as_text(verify)):
        photos, verify = photos or verify, None
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
    """Times a network alone, without pre- and postprocessing, on noise.

    Args:
        path: a run's folder or a checkpoint of any kind; None: random weights.
        model: for a checkpoint that does not tell, or for random weights.
        **settings: of `InspectSettings`: `bm_runs`, `batch_size`, `input_image_size`, ...

    Returns:
        The median of the milliseconds of a batch.

    Raises:
        UserError: there is no such checkpoint, or a setting is unknown.
    """
    own = None if path is None else files.as_text(path)
    return 1000 * statistics.median(
        benchmarking.run(_settings(settings, ckpt_path=own, model_name=model))
    )


def finished_run(model_dir: AnyPath) -> TrainingRun:
    """Reads the results of a run from its folder.

    Args:
        model_dir: the run's folder; without `results.csv` the step is 0 and there are no metrics.
    """
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


def _patterns(data: AnyPath | tuple[AnyPath, AnyPath | None] | None) -> dict[str, str | None]:
    if data is None:
        return {}
    if not isinstance(data, tuple):
        return {"data_dir": files.as_text(data)}
    names = ("train_file_pattern", "val_file_pattern")
    return {name: files.as_text(p) for name, p in zip(names, data, strict=True) if p is not None}


def _options(asked: Mapping[str, Any], more: Mapping[str, Any]) -> RunOptions:
    """Options from the arguments; those that are none are hyper-parameters."""
    known = {field.name for field in option_fields()}
    own = {name: value for name, value in more.items() if name in known}
    hyper_parameters = {name: value for name, value in more.items() if name not in known}
    if twice := sorted(asked.keys() & own.keys()):
        raise UserError(f"{twice[0]} is given twice.")
    return options_from({**asked, **own}).replace(hyper_parameters=hyper_parameters)


def _settings(more: Mapping[str, Any], **asked: Any) -> InspectSettings:
    known = [field.name for field in dataclasses.fields(InspectSettings)]
    for name in more:
        if name not in known:
            raise UserError(f"Unknown option {name}. {nearest_names(name, known)}")
    return InspectSettings(**{**more, **asked})


def _with_defaults(options: RunOptions) -> RunOptions:
    """Takes from the data what a call may leave open and the published programs did not."""
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
        return options  # The check of the options says what is missing.
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
    """The task of a checkpoint, by its run's configuration, its variables or its model's name."""
    own = files.join(run_folder_of(path), CONFIG_FILE)
    if files.is_file(own):
        return config_from_yaml(own).task
    found = identify(path)
    name = model or found.model
    return found.task or (task_of(name) if name else DEFAULT_TASK)


def _call(name: str, *values: Any, **options: Any) -> str:
    """A call as it was written, for a run's `command.txt`."""
    shown = [repr(value) for value in values]
    shown += [f"{key}={value!r}" for key, value in options.items() if value is not None]
    return f"efficientvision.{name}({', '.join(shown)})"
