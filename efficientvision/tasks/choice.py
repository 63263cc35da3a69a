"""Looks up the task and the configuration of a model in the registry."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from efficientvision.configs.overrides import read_yaml
from efficientvision.configs.run_options import RunOptions
from efficientvision.configs.training import TrainingConfig
from efficientvision.errors import UserError
from efficientvision.registry import DEFAULT_TASK, TASKS, nearest_names, task_of

if TYPE_CHECKING:
    from efficientvision.tasks.base import Task
    from efficientvision.tasks.metadata import ModelMetadata
    from efficientvision.tasks.serving import Serving


def find_task(task: str, model_name: str = "") -> Task:
    """Returns the task for a model.

    Args:
        task: One of `registry.TASKS`.
        model_name: Name of the model; decides between EfficientDet, also where none is named, and
            SSD, which is named after its backbone.
    """
    return importlib.import_module(f"{TASKS[task].package}.task").task_for(model_name)


def task_of_config(config: TrainingConfig) -> Task:
    """Returns the task of a configuration."""
    return find_task(config.task, config.name)


def task_of_export(metadata: ModelMetadata | None) -> Task:
    """Returns the task of an exported model; a third-party one, without metadata, is a detector."""
    if metadata is None:
        return find_task(DEFAULT_TASK)
    return find_task(metadata.task, metadata.model_name)


def tasks_that(can: Callable[[Task], bool]) -> str:
    """Returns the plural nouns of some tasks, e.g. "detectors and segmenters".

    Args:
        can: Returns whether a task is one of them.
    """
    tasks = (find_task(name) for name in TASKS)
    return " and ".join(f"{task.noun.partition(' ')[2]}s" for task in tasks if can(task))


def build_serving(model: Any, config: TrainingConfig, **options: Any) -> Serving:
    """Combines a network with its task's preprocessing and postprocessing, for exports.

    Args:
        model: A Keras model from `build_model`.
        config: Hyper-parameters of the model.
        **options: Options of the task, such as a segmenter's `result`.

    Raises:
        UserError: The model lacks the head that the task needs.
    """
    return task_of_config(config).serving(model, config, **options)


def get_config(
    model_name: str, *overrides: str | Mapping[str, Any] | None, task: str | None = None
) -> TrainingConfig:
    """Returns the configuration of a model.

    Args:
        model_name: One of `registry.list_models(task)`.
        *overrides: Changes, applied in order; each in a form that `TrainingConfig.override`
            accepts.
        task: One of `registry.TASKS`, e.g. "detection" (an EfficientDet, or an SSD on the backbone
            of that name); None: inferred from the model's name.

    Returns:
        The model's published defaults with the overrides applied, of the task's own class.

    Raises:
        UserError: The model or a hyper-parameter is unknown, or a value is invalid.
    """
    task = task or task_of(model_name)
    if task not in TASKS:
        raise UserError(f"Unknown task {task!r}. {nearest_names(str(task), tuple(TASKS))}")
    module = importlib.import_module(f"{TASKS[task].package}.config")
    config = module.default_config(model_name)
    for change in overrides:
        config.override(change)
    return config


def config_from_yaml(path: str, *overrides: str | Mapping[str, Any] | None) -> TrainingConfig:
    """Reads the `config.yaml` of a run folder and applies further overrides.

    Raises:
        UserError: The file is missing, is malformed or does not name a model.
    """
    content = read_yaml(path)
    name = content.get("name")
    if name is None:
        raise UserError(f"The configuration file {path} does not name a model: it has no `name`.")
    # Runs of the first version have no `task`: all of them were detectors.
    return get_config(name, path, *overrides, task=content.get("task"))


def model_and_task(options: RunOptions, config_file: str | None = None) -> tuple[str, str]:
    """Returns model and task of a run: from the options, its configuration, or the model's name.

    Raises:
        UserError: The model or the file is unknown.
    """
    content = read_yaml(config_file) if config_file else {}
    name = content.get("name") or options.model_name
    return name, options.task or content.get("task") or task_of(name)
