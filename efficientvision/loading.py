"""Loads a network with its configuration and class names from a checkpoint of any kind."""

import logging
from collections.abc import Mapping
from typing import Any

from efficientvision import files
from efficientvision.api import build_from_config, load_weights
from efficientvision.configs import TrainingConfig
from efficientvision.data.labels import read_labels, resolve_label_map
from efficientvision.errors import UserError
from efficientvision.evaluation.thresholds import read_thresholds
from efficientvision.files import AnyPath
from efficientvision.registry import DEFAULT_TASK, TASKS, list_models
from efficientvision.tasks.choice import (
    config_from_yaml,
    find_task,
    get_config,
    task_of_config,
)
from efficientvision.tasks.loaded_model import LoadedModel
from efficientvision.weights.checkpoint_reader import open_checkpoint
from efficientvision.weights.hub import local_path
from efficientvision.weights.identify import Identified, identify
from efficientvision.weights.preprocessing import (
    Preprocessing,
    follow_preprocessing,
    preprocessing_of,
)
from efficientvision.weights.report import LoadReport
from efficientvision.weights.run_folder import pointed_folder

log = logging.getLogger(__name__)

CONFIG_FILE = "config.yaml"
LABELS_FILE = "labels.json"


def load_model(
    path: AnyPath | None,
    model_name: str | None = None,
    hparams: str | Mapping[str, Any] | None = None,
    *,
    task: str | None = None,
    use_ema: bool = True,
    **overrides: Any,
) -> LoadedModel:
    """Builds the network of a checkpoint and loads its weights.

    Values not set by `hparams` and `overrides` come from the run's `config.yaml`, then from the
    checkpoint's variable names and shapes (model, fusion, number of classes), then from the
    defaults. The choices and the load report are logged.

    Args:
        path: a checkpoint of any kind, or `hf://user/repo`; None: random weights.
        model_name: None: inferred from the checkpoint.
        hparams: overrides as text, a YAML file, or a dict.
        task: "detection", "classification" or "segmentation"; None: inferred from the checkpoint
            or the model's name.
        use_ema: load averaged weights if the checkpoint has them.
        **overrides: further hyper-parameters by name.

    Returns:
        The network with its configuration, class names and load report.

    Raises:
        UserError: the checkpoint is missing, truncated, or of another model or task; or a
            hyper-parameter is unknown.
    """
    changes = [hparams, overrides or None]
    if path is None:
        name = model_name or find_task(task or DEFAULT_TASK).default_model
        config = get_config(name, *changes, task=task)
        log.info(f"No checkpoint: {config.name} is initialized with random weights")
        return LoadedModel(build_from_config(config), config, class_names(config))
    path = local_path(path)
    run_config = files.join(run_folder_of(path), CONFIG_FILE)
    reader = open_checkpoint(path)
    found = identify(reader)
    if files.is_file(run_config):
        _check_sizes(run_config, found)
        config = config_from_yaml(run_config, *changes)
        if model_name not in (None, config.name):
            raise UserError(
                f"{path} is a run of {config.name}, not of {model_name}: use {config.name}, or "
                "do not name a model"
            )
        if task not in (None, config.task):
            raise UserError(f"{path} is a run of {config.task}, not of {task}")
    else:
        told = task or (found.task if found.task in TASKS else None)
        config = get_config(_model_name(path, model_name, found, told), *changes, task=told)
    if found.task not in (None, config.task):
        own_name = found.model or str(found.backbone_name)
        raise UserError(f"{path} is {found.described(own_name)}, not for {config.task}")
    _follow_checkpoint(config, found, path)
    for line in follow_preprocessing(config, reader.preprocessing, path):
        log.info(line)
    model = build_from_config(config)
    report = load_weights(model, reader, use_ema=use_ema)
    _check_complete(path, report)
    thresholds = read_thresholds(_folder_of_weights(path))
    return LoadedModel(model, config, class_names(config, path), report, thresholds)


def _check_sizes(path: str, found: Identified) -> None:
    """Checks a run's `config.yaml` before a network of its sizes is built.

    Raises:
        UserError: It contradicts the shapes of the weights.
    """
    for name, value in config_from_yaml(path).as_dict().items():
        told = found.told(name)
        if isinstance(told, int) and value is not None and told != value:
            raise UserError(
                f"{path} has {name}={value}, but the weights beside it have {told}: it belongs to "
                "another model."
            )


def _follow_checkpoint(config: TrainingConfig, found: Identified, path: AnyPath) -> None:
    """Sets, and logs, what the checkpoint tells and the user did not say."""
    for line in task_of_config(config).follow_checkpoint(config, found, files.as_text(path)):
        log.info(line)


def _check_complete(path: AnyPath, report: LoadReport) -> None:
    """Checks that a network for inference has all weights; warns of a class head that differs."""
    if report.missing:
        raise UserError(
            f"the checkpoint {path} lacks {len(report.missing)} variables of the model, the first "
            f"is {report.missing[0]}: specify the model (and fpn_name) of the checkpoint"
        )
    if report.skipped:
        name, (ours, theirs) = next(iter(report.skipped.items()))
        log.info(
            f"WARNING: {len(report.skipped)} variables keep random values because their shapes "
            f"differ ({name}: {list(ours)} here, {list(theirs)} in {path}): predictions are "
            "meaningless until the class head is trained; set num_classes to the checkpoint's"
        )


def _model_name(path: AnyPath, given: str | None, found: Identified, task: str | None) -> str:
    if given is not None:
        return given
    if found.model is not None and found.model not in list_models():
        raise UserError(f"{path} holds {found.model}, which is not in list_models()")
    if found.model not in list_models(task):
        looks_like = f"; it looks like {found.model}" if found.model else ""
        kind = f" of {find_task(task).noun}" if task else ""
        raise UserError(
            f"the variables of {path} do not identify the model{kind}"
            f"{looks_like}: specify it, one of {', '.join(list_models(task))}"
        )
    log.info(f"{path}: this looks like {found.model}")
    return found.model


def run_folder_of(path: AnyPath) -> str:
    """Returns the folder where a run's `config.yaml` and `labels.json` would be.

    For a checkpoint in `<model_dir>/archive` it is `<model_dir>`, unless the archive has its own.
    """
    folder = files.as_text(path) if files.is_folder(path) else files.parent(path)
    is_archive = files.base_name(folder) == "archive"
    if is_archive and not files.is_file(files.join(folder, CONFIG_FILE)):
        return files.parent(folder)
    return folder


def _folder_of_weights(path: AnyPath) -> str:
    """Returns the folder of a checkpoint itself: for `RUN/best` that of the best one."""
    if files.is_folder(path):
        return files.as_text(path)
    return pointed_folder(path) or files.parent(path)


def class_names(config: TrainingConfig, path: AnyPath | None = None) -> dict[int, str]:
    """Returns the class names of a model: class number (1..K, for segmenters from 0) -> name.

    They come from the run's `labels.json`, then from the hyper-parameter `label_map`, then from
    the published data sets by the number of classes: COCO or PASCAL VOC for detectors, PASCAL VOC
    (21) or Cityscapes (20) for segmenters. Else empty.
    """
    task = task_of_config(config)
    folder = None if path is None else run_folder_of(path)
    if folder is not None and files.is_file(files.join(folder, LABELS_FILE)):
        return read_labels(files.join(folder, LABELS_FILE), of_masks=task.of_masks)
    named = resolve_label_map(config.label_map, of_masks=task.of_masks)
    in_run = folder is not None and files.is_file(files.join(folder, CONFIG_FILE))
    return task.published_names(config, named, in_run=in_run)


def checkpoint_preprocessing(path: AnyPath) -> Preprocessing | None:
    """Returns the normalisation that a checkpoint was trained with.

    It comes from its run's `config.yaml`, or from a file of another package; for others None: the
    network's own.

    Raises:
        UserError: the checkpoint is missing or damaged.
    """
    own_config = files.join(run_folder_of(path), CONFIG_FILE)
    if files.is_file(own_config):
        return preprocessing_of(config_from_yaml(own_config), f"its {CONFIG_FILE}")
    return open_checkpoint(path).preprocessing


def checkpoint_class_names(path: AnyPath) -> dict[int, str]:
    """Returns the names of the classes that a checkpoint's head was trained on.

    They come from its run's `labels.json` or `label_map`; for a published checkpoint, from its
    data set, if the number of classes identifies it. Else empty.

    Returns:
        Class number (1..K, for segmenters from 0) -> name.

    Raises:
        UserError: the checkpoint is missing or damaged.
    """
    path = local_path(path)
    folder = run_folder_of(path)
    own_config, labels = (files.join(folder, name) for name in (CONFIG_FILE, LABELS_FILE))
    if files.is_file(own_config):
        config = config_from_yaml(own_config)
        return class_names(config, path) if config.label_map or files.is_file(labels) else {}
    found = identify(path)
    # Without a task it is an EfficientDet, or a backbone of one.
    if found.task:
        task = find_task(found.task, found.backbone_name or "")
    else:
        task = find_task(DEFAULT_TASK)
    if files.is_file(labels):
        return read_labels(labels, of_masks=task.of_masks)
    return task.head_names(found)


def serving_metadata(loaded: LoadedModel, *, batch_size: int | None) -> Any:
    """Returns the metadata of an export of this model, of its task's own class."""
    return task_of_config(loaded.config).metadata(loaded, batch_size)
