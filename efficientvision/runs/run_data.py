"""The data of a run, noted in its folder: exports are verified and calibrated on it by default."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

from efficientvision import files
from efficientvision.configs.run_options import RunOptions
from efficientvision.data.record_files import match_files
from efficientvision.errors import UserError
from efficientvision.loading import run_folder_of

log = logging.getLogger(__name__)

DATA_FILE = "data.json"
_NOTED = ("data_dir", "train_file_pattern", "val_file_pattern", "val_json_file")


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
    text = json.dumps({name: value for name, value in noted.items() if value}, indent=1)
    files.write_text(files.join(model_dir, DATA_FILE), f"{text}\n")


def read_data(path: files.AnyPath) -> RunData:
    """Returns the data of the run to which a checkpoint or folder belongs; all None if unknown."""
    try:
        noted = json.loads(files.read_text(files.join(run_folder_of(path), DATA_FILE)))
        training, evaluation, truth = (noted.get(name) for name in _NOTED[1:])
    except (OSError, ValueError, AttributeError):
        return RunData()
    return RunData(
        training if _exists(training) else None,
        evaluation if _exists(evaluation) else None,
        truth if truth and files.is_file(truth) else None,
    )


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
