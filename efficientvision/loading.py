"""A network with its configuration and class names, from a checkpoint of any kind."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from efficientvision import files
from efficientvision.api import build_from_config, load_weights
from efficientvision.configs import TrainingConfig
from efficientvision.data.labels import read_labels, resolve_label_map
from efficientvision.errors import UserError
from efficientvision.files import AnyPath
from efficientvision.registry import DEFAULT_TASK, TASKS, list_models
from efficientvision.tasks.choice import (
    config_from_yaml,
    find_task,
    get_config,
    task_of_config,
)
from efficientvision.tasks.metadata import ModelMetadata
from efficientvision.weights.identify import Identified, identify
from efficientvision.weights.report import LoadReport

log = logging.getLogger(__name__)

CONFIG_FILE = "config.yaml"
LABELS_FILE = "labels.json"


@dataclass
class LoadedModel:
    """What `load_model` found.

    Attributes:
        model: the network with its weights.
        config: its hyper-parameters, of its task's kind.
        class_names: class number (1..K; of a segmenter, from 0) -> name; may be empty.
        report: the `LoadReport`, None for random weights.
    """

    model: keras.Model
    config: TrainingConfig
    class_names: dict[int, str]
    report: LoadReport | None = None


def load_model(
    path: AnyPath | None,
    model_name: str | None = None,
    hparams: str | Mapping[str, Any] | None = None,
    *,
    task: str | None = None,
    use_ema: bool = True,
    **overrides: Any,
) -> LoadedModel:
    """Builds the network that a checkpoint was made for, and loads it.

    What `hparams` and `overrides` do not say comes from the run's own `config.yaml`, then from the
    checkpoint's names and shapes (model, fusion, number of classes), then from the defaults.
    Prints what was chosen, and the report of the loading.

    Args:
        path: a checkpoint of any kind; None: random weights.
        model_name: None: the checkpoint's.
        hparams: overrides as text, a YAML file, or a dict.
        task: one of `registry.TASKS`; None: as the checkpoint says, or the model's name.
        use_ema: prefer moving averages of the weights.
        **overrides: further hyper-parameters by name.

    Raises:
        UserError: the checkpoint is missing, cut short, or one of another model or task; or a
            hyper-parameter is unknown.
    """
    changes = [hparams, overrides or None]
    if path is None:
        name = model_name or find_task(task or DEFAULT_TASK, "").default_model
        config = get_config(name, *changes, task=task)
        log.info(f"No checkpoint: {config.name} has random weights")
        return LoadedModel(build_from_config(config), config, class_names(config))
    run_config = files.join(run_folder_of(path), CONFIG_FILE)
    found = identify(path)
    if files.is_file(run_config):
        config = config_from_yaml(run_config, *changes)
        if model_name not in (None, config.name):
            raise UserError(
                f"{path} is a run of {config.name}, not of {model_name}: name {config.name}, or "
                "leave the model's name out"
            )
        if task not in (None, config.task):
            raise UserError(f"{path} is a run of {config.task}, not of {task}")
    else:
        task = task or (found.task if found.task in TASKS else None)
        config = get_config(_model_name(path, model_name, found, task), *changes, task=task)
    if found.task not in (None, config.task):
        name = found.model or found.backbone_name
        raise UserError(f"{path} is {found.described(name)}, not for {config.task}")
    _follow_checkpoint(config, found, path)
    model = build_from_config(config)
    report = load_weights(model, path, use_ema=use_ema)
    _check_complete(path, report)
    return LoadedModel(model, config, class_names(config, path), report)


def _follow_checkpoint(config: TrainingConfig, found: Identified, path: AnyPath) -> None:
    """Sets, and logs, what the checkpoint tells and the user did not say."""
    for line in task_of_config(config).follow_checkpoint(config, found, files.as_text(path)):
        log.info(line)


def _check_complete(path: AnyPath, report: LoadReport) -> None:
    """A network for inference must have all its weights; a class head of another size is told."""
    if report.missing:
        raise UserError(
            f"the checkpoint {path} lacks {len(report.missing)} variables of the model, the first "
            f"is {report.missing[0]}: name the model (and fpn_name) that it was made for"
        )
    if report.skipped:
        name, (ours, theirs) = next(iter(report.skipped.items()))
        log.info(
            f"WARNING: {len(report.skipped)} variables keep random values, their shapes differ "
            f"({name}: {list(ours)} here, {list(theirs)} in {path}): what the class head says "
            "means nothing before it is trained; set num_classes to the checkpoint's"
        )


def _model_name(path: AnyPath, given: str | None, found: Identified, task: str | None) -> str:
    if given is not None:
        return given
    if found.model not in list_models(task):
        looks_like = f"; it looks like {found.model}" if found.model else ""
        kind = f" of {find_task(task, '').noun}" if task else ""
        raise UserError(
            f"{path} is not the checkpoint{kind} that can be told by its variables"
            f"{looks_like}: give the model's name, one of {', '.join(list_models(task))}"
        )
    log.info(f"{path}: this looks like {found.model}")
    return found.model


def run_folder_of(path: AnyPath) -> str:
    """The folder in which a run's `config.yaml` and `labels.json` would stand.

    For a checkpoint in `<model_dir>/archive` that is `<model_dir>`, if the archive has no own.
    """
    folder = files.as_text(path) if files.is_folder(path) else files.parent(path)
    is_archive = files.base_name(folder) == "archive"
    if is_archive and not files.is_file(files.join(folder, CONFIG_FILE)):
        return files.parent(folder)
    return folder


def class_names(config: TrainingConfig, path: AnyPath | None = None) -> dict[int, str]:
    """Class number (1..K; of a segmenter, from 0) -> name: from the run's `labels.json`, then from
    the hyper-parameter `label_map`, then, for a detector of a published number of classes, COCO's
    or PASCAL VOC's, for a segmenter of 21 or 20 PASCAL VOC's or Cityscapes'. Else empty.
    """
    task = task_of_config(config)
    folder = None if path is None else run_folder_of(path)
    if folder is not None and files.is_file(files.join(folder, LABELS_FILE)):
        return read_labels(files.join(folder, LABELS_FILE), of_masks=task.of_masks)
    named = resolve_label_map(config.label_map, of_masks=task.of_masks)
    in_run = folder is not None and files.is_file(files.join(folder, CONFIG_FILE))
    return task.published_names(config, named, in_run=in_run)


def checkpoint_class_names(path: AnyPath) -> dict[int, str]:
    """Class number (1..K; of a segmenter, from 0) -> name of the classes that a checkpoint's head
    was trained on.

    Those of its run's `labels.json` or `label_map`; for a published checkpoint, those of its data
    set, if the number of classes tells it. Else empty.

    Raises:
        UserError: the checkpoint is missing or damaged.
    """
    folder = run_folder_of(path)
    own_config, labels = (files.join(folder, name) for name in (CONFIG_FILE, LABELS_FILE))
    if files.is_file(own_config):
        config = config_from_yaml(own_config)
        return class_names(config, path) if config.label_map or files.is_file(labels) else {}
    found = identify(path)
    # What is not told is an EfficientDet, or a backbone of one.
    name = found.backbone_name or "" if found.task else ""
    task = find_task(found.task or DEFAULT_TASK, name)
    if files.is_file(labels):
        return read_labels(labels, of_masks=task.of_masks)
    return task.head_names(found)


def serving_metadata(loaded: LoadedModel, *, batch_size: int | None) -> ModelMetadata:
    """What an export of this model says about itself."""
    return task_of_config(loaded.config).metadata(loaded, batch_size)


def export_facts(loaded: LoadedModel, batch_size: int | None) -> dict[str, Any]:
    """The facts that exports of every task state."""
    config = loaded.config
    return {
        "model_name": config.name,
        "image_hw": config.image_hw,
        "class_names": dict(loaded.class_names),
        "batch_size": batch_size,
    }
