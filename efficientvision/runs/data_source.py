"""From a folder or file of labelled photos to the records that a run or an export reads."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from glob import has_magic

from efficientvision import files
from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.configs.run_options import RunOptions
from efficientvision.data.data_folder import DataFolder, own_truth
from efficientvision.data.photos import is_photo_name
from efficientvision.data.sources.formats import AUTO, UnknownLayout, is_data_file
from efficientvision.data.sources.records import SourceOptions, find_records
from efficientvision.errors import UserError
from efficientvision.exports.load_export import is_export
from efficientvision.runs.run_data import reading_options, tell_changed_data
from efficientvision.tasks.base import Task
from efficientvision.tasks.choice import tasks_that

log = logging.getLogger(__name__)


_FOR_DATA = ("data_format", "val_fraction", "split_seed", "background", "data_cache", "eval_part")


def check_options(options: RunOptions) -> None:
    """Raises UserError for options that need another one; opens no file."""
    for name in () if options.data_dir else _FOR_DATA:
        if name in options.written:
            raise UserError(f"`{name}` needs `data_dir`, the folder of the data.")
    if options.eval_part != "val" and options.mode != "eval":
        raise UserError(f"`eval_part={options.eval_part}` is for `mode=eval`: remove it.")


def locate(options: RunOptions, find_task: Callable[[], Task]) -> RunOptions:
    """Fills in the patterns of the records of `data_dir`, which is converted if necessary.

    Patterns that are set take precedence.

    Args:
        options: Options of a run.
        find_task: Returns the task that will read them; only called if `data_dir` is set.

    Raises:
        UserError: `data_dir` cannot be used.
    """
    if not options.data_dir:
        return options
    task = find_task()
    if options.mode == "eval" and options.val_fraction is None and _is_new(options):
        options = options.replace(val_fraction=0.0)  # No model was trained on a part of it.
    asked = SourceOptions(
        data_format=options.data_format,
        val_fraction=options.val_fraction,
        split_seed=options.split_seed,
        background=options.background,
        data_cache=options.data_cache,
        skip_bad=options.on_bad_record == "skip",
    )
    found = find_records(options.data_dir, task.label_kinds, asked, suits=_nouns)
    evaluation, truth = found.evaluation_records, found.ground_truth_json
    if options.mode == "eval" and options.eval_part == "test":
        if found.test_records is None:
            raise UserError(f"`eval_part=test`: {options.data_dir} has no test part.")
        evaluation, truth = found.test_records, own_truth(found.test_records)
    elif options.mode == "eval" and evaluation is None and options.val_fraction == 0:
        log.info(f"Evaluating on all photos of {options.data_dir}, which is not split.")
        evaluation, truth = found.training_records, own_truth(found.training_records)
    options = options.replace(
        train_file_pattern=options.train_file_pattern or found.training_records,
        val_file_pattern=options.val_file_pattern or evaluation,
    )
    if found.is_held_out:
        tell_changed_data(options)
    said = ""
    if task.takes_ground_truth_file:
        if not options.val_json_file and options.val_file_pattern == evaluation:
            options = options.replace(val_json_file=truth)
        said = f", ground truth {options.val_json_file or 'in these records'}"
    log.info(
        found.line
        or f"Data in {options.data_dir}: training {options.train_file_pattern}, evaluation "
        f"{options.val_file_pattern}{said}."
    )
    return options


def _is_new(options: RunOptions) -> bool:
    """Whether the data to evaluate on is not that of the model's run.

    An exported model does not know its run: part of the data may have trained it.
    """
    if is_export(options.model_dir or ""):
        return False
    return reading_options(options.model_dir or "", options.data_dir or "") is None


def names_data(path: files.AnyPath | None) -> bool:
    """Whether a path is a folder, or a file that describes a data set, and no pattern."""
    return path is not None and (files.is_folder(path) or is_data_file(path))


def patterns_of(
    data: files.AnyPath | tuple[files.AnyPath, files.AnyPath | None] | None,
) -> dict[str, str | None]:
    """Returns the options that the argument `data` of `train` means."""
    if data is None:
        return {}
    if not isinstance(data, (tuple, list)):
        is_pattern = not names_data(data) and (
            files.is_file(data) or has_magic(files.as_text(data))
        )
        return {"train_file_pattern" if is_pattern else "data_dir": files.as_text(data)}
    names = ("train_file_pattern", "val_file_pattern")
    if len(data) != len(names):
        raise UserError(
            f"`data` must be a folder or a pair of file patterns (training, validation or None); "
            f"got {len(data)} values."
        )
    return {name: files.as_text(p) for name, p in zip(names, data, strict=True) if p is not None}


def needs_task(settings: InspectSettings) -> bool:
    """Whether the settings of an export name a folder, whose labels depend on the model's task.

    Raises:
        UserError: They do not, but an option for folders is set.
    """
    if names_data(settings.calibration_file_pattern) or names_data(settings.val_file_pattern):
        return True
    for name in _FOR_DATA[:-1]:
        value = getattr(settings, name)
        if value is not None and value is not False and value != AUTO:
            raise UserError(f"`{name}` needs a folder of labelled photos: remove it.")
    return False


def locate_for_export(settings: InspectSettings, task: Task) -> InspectSettings:
    """Replaces folders in the settings of an export by the records of their data.

    `calibration_file_pattern` takes the train part and `val_file_pattern` the val part. A folder
    of photos alone calibrates as it is, and instead of measuring a metric on it, outputs are
    compared on it.

    Args:
        settings: Settings of an export.
        task: Task of the model.

    Raises:
        UserError: A folder has neither labels of a known form nor photos, or no such part.
    """
    calibration, evaluation = settings.calibration_file_pattern, settings.val_file_pattern
    lines: list[str] = []
    if names_data(evaluation):
        found = _labelled(evaluation, settings, task)
        if found is None:
            photos = settings.input_image or evaluation
            settings = dataclasses.replace(settings, input_image=photos, val_file_pattern=None)
        else:
            lines.append(found.line)
            pattern = _part(found.evaluation_records, evaluation, "val")
            settings = dataclasses.replace(settings, val_file_pattern=pattern)
            if task.takes_ground_truth_file and not settings.val_json_file:
                truth = found.ground_truth_json
                settings = dataclasses.replace(settings, val_json_file=truth)
    if names_data(calibration):
        found = _labelled(calibration, settings, task)
        if found is not None:
            lines.append(found.line)
            pattern = _part(found.training_records, calibration, "train")
            settings = dataclasses.replace(settings, calibration_file_pattern=pattern)
    for line in dict.fromkeys(filter(None, lines)):
        log.info(line)
    return settings


def _part(pattern: str | None, data: str, part: str) -> str:
    if pattern is None:
        raise UserError(f"{data} has no {part} part: choose another folder.")
    return pattern


def _labelled(data: str, settings: InspectSettings, task: Task) -> DataFolder | None:
    """Returns the records of a folder; None if it contains only photos.

    Of the data of the model's run the same photos are held out; other data is taken whole if it is
    not split.
    """
    own = reading_options(settings.ckpt_path or "", data)
    if own is None:
        own = {"val_fraction": 0.0}
    fraction, seed = settings.val_fraction, settings.split_seed
    options = SourceOptions(
        data_format=own.get("data_format", AUTO)
        if settings.data_format == AUTO
        else settings.data_format,
        val_fraction=own.get("val_fraction") if fraction is None else fraction,
        split_seed=own.get("split_seed") if seed is None else seed,
        background=settings.background or own.get("background", False),
        data_cache=settings.data_cache or own.get("data_cache"),
        skip_bad=True,
    )
    try:
        found = find_records(data, task.label_kinds, options, suits=_nouns)
        if found.evaluation_records is None and options.val_fraction == 0:
            whole = found.training_records
            truth = own_truth(whole)
            found = dataclasses.replace(found, evaluation_records=whole, ground_truth_json=truth)
        return found
    except UnknownLayout:
        paths = (files.join(data, name) for name in files.list_names(data))
        if settings.data_format == AUTO and any(map(is_photo_name, paths)):
            return None
        raise


def _nouns(kind: str) -> str:
    """Plural noun of the networks that usually learn from a kind of label."""
    return tasks_that(lambda task: task.label_kinds[0] == kind)
