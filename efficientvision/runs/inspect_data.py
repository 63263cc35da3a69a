"""Checks records before training: prints a report and draws what the network will see."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping
from typing import Any

from efficientvision import files
from efficientvision.configs import TrainingConfig
from efficientvision.data.inspection.boxes import BoxReport
from efficientvision.data.inspection.classes import ClassReport
from efficientvision.data.inspection.masks import MaskReport
from efficientvision.data.inspection.report import RecordReport, inspect_records, record_kind
from efficientvision.data.labels import find_labels, resolve_label_map
from efficientvision.data.sources.formats import FORMATS
from efficientvision.data.sources.layout import BOXES, CLASSES, MASKS
from efficientvision.data.sources.records import SourceOptions, find_records
from efficientvision.errors import UserError
from efficientvision.registry import TASKS
from efficientvision.runs.data_source import names_data
from efficientvision.tasks.base import Task
from efficientvision.tasks.choice import find_task, get_config, task_of_config
from efficientvision.visualize.draw import contact_sheet

log = logging.getLogger(__name__)


def inspect_data(
    file_pattern: str,
    *,
    model_name: str | None = None,
    hparams: str = "",
    samples: int = 10,
    folder: files.AnyPath = "tfrecord_samples",
    training: bool = True,
) -> None:
    """Prints counts, image sizes, classes and problems of records, and draws samples.

    Args:
        file_pattern: Records of boxes, classes or masks.
        model_name: Model whose input size and augmentation the samples show; None: the default of
            the first task for such records.
        hparams: Hyper-parameters, in any form that `get_config` accepts.
        samples: Number of pictures; of records of boxes only images that have some.
        folder: Gets `sample0.jpg`, ... and `contact_sheet.jpg` with all of them.
        training: Show images after the training augmentation; otherwise as in an evaluation.

    Raises:
        UserError: Nothing matches, a file is damaged, or the model is unknown.
    """
    kind = record_kind(file_pattern)
    task = task_for_labels(kind)
    config = get_config(model_name or task.default_model, hparams, task=task.metadata_class.task)
    labels = (
        resolve_label_map(config.label_map, of_masks=task.of_masks)
        or find_labels(file_pattern, of_masks=task.of_masks)
        or {}
    )
    report = _report(kind, config, labels)
    log.info(f"records        {task.metadata_class.task}")
    log.info(str(inspect_records(file_pattern, report)))
    names = labels or {number: f"class {number}" for number in report.class_ids()}
    found = task_of_config(config).sample_pictures(file_pattern, config, names, training=training)
    pictures = list(itertools.islice(found, samples))
    if not pictures:
        log.info("No image has boxes, so no pictures were written.")
        return
    files.make_folder(folder)
    for index, picture in enumerate(pictures):
        picture.save(files.join(folder, f"sample{index}.jpg"))
    sheet = files.join(folder, "contact_sheet.jpg")
    contact_sheet(pictures).save(sheet)
    log.info(f"{len(pictures)} pictures and {sheet}")


def records_to_inspect(data: str, *, part: str = "train", **source: Any) -> str:
    """Returns the records of a part of labelled photos, which are converted if necessary.

    Args:
        data: Folder or file of labelled photos, or a pattern of records.
        part: "train", "val" or "test".
        **source: Options of `SourceOptions`.

    Raises:
        UserError: Nothing known is there, or there is no such part.
    """
    if not names_data(data):
        if source:
            raise UserError(f"`{next(iter(source))}` needs a folder of labelled photos: remove it.")
        return data
    found = find_records(data, tuple(FORMATS), SourceOptions(**source))
    if found.line:
        log.info(found.line)
    patterns = {
        "train": found.training_records,
        "val": found.evaluation_records,
        "test": found.test_records,
    }
    pattern = patterns[part]
    if pattern is None:
        there = ", ".join(name for name, value in patterns.items() if value)
        raise UserError(f"{data} has no part {part}, only {there}.")
    return pattern


def task_for_labels(kind: str) -> Task:
    """Returns the first task that learns from a kind of labels above all.

    Args:
        kind: `BOXES`, `CLASSES` or `MASKS`.
    """
    tasks = (find_task(name) for name in TASKS)
    return next(task for task in tasks if task.label_kinds[0] == kind)


def _report(kind: str, config: TrainingConfig, labels: Mapping[int, str]) -> RecordReport:
    if kind == CLASSES:
        return ClassReport(labels)
    if kind == MASKS:
        return MaskReport(labels)
    assert kind == BOXES
    return BoxReport(
        labels,
        num_classes=config.num_classes,
        max_instances_per_image=config.max_instances_per_image,
    )
