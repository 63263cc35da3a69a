"""The data of a run, noted in its folder, so that the same photos stay held out."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

from efficientvision import files
from efficientvision.configs.run_options import RunOptions
from efficientvision.data.record_files import match_files
from efficientvision.errors import UserError
from efficientvision.loading import run_folder_of
from efficientvision.training.checkpoints import latest_checkpoint

log = logging.getLogger(__name__)

DATA_FILE = "data.json"
_NOTED = ("data_dir", "train_file_pattern", "val_file_pattern", "val_json_file")
# Options that decide which photos are held out, or make the records otherwise.
_READING = (
    *("data_format", "val_fraction", "split_seed", "background", "data_cache", "on_bad_record"),
)
_DEFAULTS = RunOptions()


@dataclass(frozen=True)
class RunData:
    """The data of a run, as far as it still exists.

    Attributes:
        training: Pattern of the training records.
        evaluation: Pattern of the evaluation records.
        ground_truth: COCO file for evaluation.
    """

    training: str | None = None
    evaluation: str | None = None
    ground_truth: str | None = None


def write_data(model_dir: str, options: RunOptions) -> None:
    """Writes `data.json` to a run's folder.

    Args:
        model_dir: The run's folder.
        options: Options with the patterns of all records, including unreadable ones.
    """
    noted = {name: _absolute(getattr(options, name)) for name in _NOTED}
    noted = {name: value for name, value in noted.items() if value}
    for name in _READING:
        value = getattr(options, name)
        if value != getattr(_DEFAULTS, name):
            noted[name] = _absolute(value) if name == "data_cache" else value
    text = json.dumps(noted, indent=1)
    files.write_text(files.join(model_dir, DATA_FILE), f"{text}\n")


def read_data(path: files.AnyPath) -> RunData:
    """Returns the data of the run to which a checkpoint or folder belongs; all None if unknown."""
    training, evaluation, truth = map(_noted(path).get, _NOTED[1:])
    return RunData(
        training if _exists(training) else None,
        evaluation if _exists(evaluation) else None,
        truth if truth and files.is_file(truth) else None,
    )


def reading_options(path: files.AnyPath, data: files.AnyPath) -> dict[str, Any] | None:
    """Returns the options with which a run has read its data.

    Args:
        path: Folder or checkpoint of the run.
        data: Folder or file of labelled photos.

    Returns:
        Option -> value, of options that differ from their defaults; None if this is not the data of
        the run, or unknown.
    """
    noted = _noted(path)
    if noted.get("data_dir") != _absolute(files.as_text(data)):
        return None
    return {name: noted[name] for name in _READING if name in noted}


def as_the_run(options: RunOptions) -> RunOptions:
    """Takes options from the run to evaluate or resume, so that the same photos are held out.

    An option that the user set takes precedence. Nothing changes for other data than the run's.
    """
    model_dir, data = options.model_dir, options.data_dir
    if not model_dir or not data:
        return options
    if options.mode != "eval" and latest_checkpoint(model_dir) is None:
        return options
    own = reading_options(model_dir, data) or {}
    taken = {name: value for name, value in own.items() if name not in options.written}
    if not taken:
        return options
    shown = ", ".join(f"`{name}={value}`" for name, value in taken.items())
    log.info(f"As in this run: {shown}.")
    return options.replace(**taken)


def tell_changed_data(options: RunOptions) -> None:
    """Warns if photos of a run's data were held out at random, and not for that run.

    Args:
        options: Options of an evaluation or a resumed run, with the patterns of the records.
    """
    model_dir, data = options.model_dir, options.data_dir
    if not model_dir or not data or reading_options(model_dir, data) is None:
        return
    before = _noted(model_dir).get("val_file_pattern")
    now = _absolute(options.val_file_pattern)
    if before and now and before != now and options.eval_part == "val":
        log.info(
            f"Warning: {data} was converted again since this run began, as it or the converter "
            "has changed. Photos that the run was trained on may be held out now, so metrics may "
            "be optimistic: split the data into train and val folders."
        )


def _noted(path: files.AnyPath) -> dict[str, Any]:
    try:
        noted = json.loads(files.read_text(files.join(run_folder_of(path), DATA_FILE)))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _absolute(pattern: str | None) -> str | None:
    # A comma separates patterns, or is part of a folder's name.
    return pattern if not pattern or "," in pattern else files.absolute(pattern)


def _exists(pattern: str | None) -> bool:
    if not pattern:
        return False
    try:
        return bool(match_files(pattern))
    except UserError:
        return False
