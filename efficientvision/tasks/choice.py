"""The task of a model, and the configuration of a model: found by the registry."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from efficientvision.configs.overrides import read_yaml
from efficientvision.configs.run_options import RunOptions
from efficientvision.configs.training import TrainingConfig
from efficientvision.errors import UserError
from efficientvision.registry import TASKS, nearest_names, task_of

if TYPE_CHECKING:
    from efficientvision.tasks.base import Task
    from efficientvision.tasks.serving import Serving


def find_task(task: str, model_name: str) -> Task:
    """The task of that name, as a model of that name has it.

    Args:
        task: One of `registry.TASKS`.
        model_name: Detection is done by EfficientDet or, on a backbone of that name, by SSD.
    """
    return importlib.import_module(f"{TASKS[task].package}.task").task_for(model_name)


def task_of_config(config: TrainingConfig) -> Task:
    """The task that a configuration is for."""
    return find_task(config.task, config.name)


def tasks_that(can: Callable[[Task], bool]) -> str:
    """What the networks of some tasks are called together, e.g. "detectors and segmenters".

    Args:
        can: Whether a task is one of them.
    """
    tasks = (find_task(name, "") for name in TASKS)
    return " and ".join(f"{task.noun.partition(' ')[2]}s" for task in tasks if can(task))


def build_serving(model: Any, config: TrainingConfig, **options: Any) -> Serving:
    """A network joined with its task's preprocessing and postprocessing, for exports.

    Args:
        model: A Keras model, as `build_model` makes it.
        config: Its hyper-parameters.
        **options: Of the task, such as `result` of a segmenter.

    Raises:
        UserError: The model has no part that serves anything.
    """
    return task_of_config(config).serving(model, config, **options)


def get_config(
    model_name: str, *overrides: str | dict | None, task: str | None = None
) -> TrainingConfig:
    """The configuration of a model.

    Args:
        model_name: One of `registry.list_models(task)`.
        *overrides: Changes in order, each as `TrainingConfig.override` takes it.
        task: One of `registry.TASKS`, e.g. "detection" (an EfficientDet, or an SSD on the backbone
            of that name); None: the task that the model's name stands for.

    Returns:
        The published defaults of the model with the changes, of the task's own type.

    Raises:
        UserError: The model or a hyper-parameter is unknown, or a value is bad.
    """
    task = task or task_of(model_name)
    if task not in TASKS:
        raise UserError(f"Unknown task {task!r}. {nearest_names(str(task), tuple(TASKS))}")
    module = importlib.import_module(f"{TASKS[task].package}.config")
    config = module.default_config(model_name)
    for change in overrides:
        config.override(change)
    return config


def config_from_yaml(path: str, *overrides: str | dict | None) -> TrainingConfig:
    """The configuration that a run folder's `config.yaml` holds, with further overrides.

    Raises:
        UserError: The file is missing, is malformed or names no model.
    """
    content = read_yaml(path)
    name = content.get("name")
    if name is None:
        raise UserError(f"The configuration file {path} does not say its model: it has no `name`.")
    # Runs of the first version, which were all of detectors, say no task.
    return get_config(name, path, *overrides, task=content.get("task"))


def model_and_task(options: RunOptions, config_file: str | None = None) -> tuple[str, str]:
    """The model of a run and its task: `--task`, else what a run's configuration says, else what
    the model's name says.

    Raises:
        UserError: The model or the file is unknown.
    """
    content = read_yaml(config_file) if config_file else {}
    name = content.get("name") or options.model_name
    return name, options.task or content.get("task") or task_of(name)
