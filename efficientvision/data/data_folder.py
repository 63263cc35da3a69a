"""Finds the records and the ground truth of a data set in its folder, by their names."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass

from efficientvision import files
from efficientvision.data.record_files import shard_prefix
from efficientvision.data.truth_file import truth_path
from efficientvision.errors import UserError

# Usual places, relative to the folder.
RECORD_FOLDERS = ("", "tfrecord", "tfrecords", "records")
JSON_FOLDERS = ("annotations", "")
JSON_NAMES = ("instances_val*.json", "json_*val*.json")


@dataclass(frozen=True)
class DataFolder:
    """Files found in a data folder.

    Attributes:
        training_records: Pattern of the training records; None if there are none.
        evaluation_records: Pattern of the evaluation records; None if there are none.
        ground_truth_json: COCO file for evaluation; None if there is none.
        test_records: Pattern of the test records; None if there are none.
        line: Description of the data that the records were made of; "" for records as such.
        is_held_out: Whether the photos for evaluation were chosen at random.
    """

    training_records: str | None
    evaluation_records: str | None
    ground_truth_json: str | None
    test_records: str | None = None
    line: str = ""
    is_held_out: bool = False


def find_data(folder: files.AnyPath) -> DataFolder:
    """Looks for `train*.tfrecord`, `val*.tfrecord` and the evaluation's ground truth.

    Record files may also be named as shards without an extension (`train-00000-of-00256`). They are
    looked for in the folder and in its `tfrecord/`, `tfrecords/` and `records/`. The JSON file is
    the one that a converter wrote with the evaluation records (`json_<their name>.json` beside
    them), or else `instances_val*.json`, or else `json_*val*.json`, in `annotations/`, in the
    folder or beside the evaluation records.

    Args:
        folder: Folder of the data set.

    Raises:
        UserError: The folder does not exist or has no records, or there are several JSON files.
    """
    if not files.is_folder(folder):
        raise UserError(f"`data_dir={folder}` is not a folder.")
    training, evaluation, test = (find_records(folder, part) for part in ("train", "val", "test"))
    if training is None and evaluation is None and test is None:
        places = ", ".join(f"{name}/" for name in RECORD_FOLDERS if name)
        raise UserError(
            f"`data_dir={folder}` contains no records: there are no files train*.tfrecord or "
            f"val*.tfrecord in it or in {places}; set `train_file_pattern` and "
            "`val_file_pattern`."
        )
    places = [files.join(folder, name).rstrip("/") for name in JSON_FOLDERS]
    if evaluation is not None:
        places.append(files.parent(evaluation))
    truth = own_truth(evaluation) or _ground_truth(list(dict.fromkeys(places)))
    return DataFolder(training, evaluation, truth, test)


def holds_records(folder: files.AnyPath) -> bool:
    """Whether a folder has records of training, evaluation or test where `find_data` looks."""
    parts = ("train", "val", "test")
    return files.is_folder(folder) and any(find_records(folder, part) for part in parts)


def find_records(folder: files.AnyPath, prefix: str) -> str | None:
    """Pattern of records whose names start with `prefix`, in a folder or below; None if none."""
    for name in RECORD_FOLDERS:
        place = files.join(folder, name).rstrip("/")
        names = files.list_names(place)
        for pattern in (f"{prefix}*.tfrecord", f"{prefix}*-of-*"):
            if fnmatch.filter(names, pattern):
                return files.join(place, pattern)
    return None


def own_truth(pattern: str | None) -> str | None:
    """Returns the file that a converter wrote for the records of a pattern; None: none."""
    found = files.matches(pattern) if pattern else []
    paths = {truth_path(files.join(files.parent(path), shard_prefix(path))) for path in found}
    own = list(filter(files.is_file, paths))
    return own[0] if len(own) == len(paths) == 1 else None


def _ground_truth(places: list[str]) -> str | None:
    for pattern in JSON_NAMES:
        found = [
            files.join(place, name)
            for place in places
            for name in fnmatch.filter(files.list_names(place), pattern)
        ]
        if len(found) > 1:
            raise UserError(
                f"`data_dir`: {' and '.join(found[:3])} could each be the ground truth for "
                "evaluation; choose one with `val_json_file`."
            )
        if found:
            return found[0]
    return None
