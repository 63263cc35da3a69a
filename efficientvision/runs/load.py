"""`ev.load`: a predictor of any checkpoint or exported model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.exports.load_export import check_not_baked, is_export, load_export
from efficientvision.files import AnyPath
from efficientvision.loading import CONFIG_FILE, run_folder_of
from efficientvision.registry import DEFAULT_TASK, TASKS, list_models, task_of
from efficientvision.tasks.base import Task
from efficientvision.tasks.choice import config_from_yaml, find_task, task_of_export
from efficientvision.tasks.predictor import Predictor
from efficientvision.weights.hub import local_path
from efficientvision.weights.identify import identify

_OF_EXPORTS = ("threads", "trust")


def load(path: AnyPath, model: str | None = None, **hyper_parameters: Any) -> Predictor:
    """Loads a predictor from a run's folder, a checkpoint of any kind, or an exported model.

    Args:
        path: see `Detector.from_checkpoint`; or an address on the Hugging Face Hub,
            `hf://user/repo[/file][@revision]`, whose files are kept in the hub's cache (needs
            `efficientvision[hub]`).
        model: model name, for a checkpoint from which it cannot be inferred.
        **hyper_parameters: hyper-parameters for a checkpoint; `threads` and `trust` for an export;
            for both `min_score_thresh`, or `tile` and `overlap` of a segmenter, see
            `from_checkpoint` of the classes.

    Returns:
        A `Detector`, `Classifier` or `Segmenter`, depending on the model's task. Call it with
        photos, see `Predictor.__call__`.

    Raises:
        UserError: the model is missing, damaged or of an unknown kind; a hyper-parameter is
            unknown, or fixed in the exported model.

    Example:
        >>> detector = load("runs/cells")
        >>> detections = detector("photo.jpg")
        >>> published = load("hf://user/cells")
    """
    path = local_path(path)
    if is_export(path):
        own = {name: value for name, value in hyper_parameters.items() if name in _OF_EXPORTS}
        run, metadata = load_export(path, **own)
        task = task_of_export(metadata)
        options = _load_options(task, hyper_parameters)
        known = {**own, **options}
        check_not_baked(path, {k: v for k, v in hyper_parameters.items() if k not in known})
        return task.predictor_class.from_run(run, metadata, path, **options)
    task = find_task(_task_of(path, model))
    _load_options(task, hyper_parameters)
    return task.predictor_class.from_checkpoint(path, model, **hyper_parameters)


def _load_options(task: Task, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options of the task's predictor among keyword arguments.

    Raises:
        UserError: One is for predictors of other tasks.
    """
    own = task.predictor_class.load_options
    others = {name for other in TASKS for name in find_task(other).predictor_class.load_options}
    for name in asked:
        if name in others and name not in (*own, "label_map"):
            raise UserError(f"`{name}` does not apply to {task.noun}: remove it.")
    return {name: value for name, value in asked.items() if name in own}


def _task_of(path: str, model: str | None) -> str:
    """Infers a checkpoint's task from its run's configuration, its variables or its model name."""
    own = files.join(run_folder_of(path), CONFIG_FILE)
    if files.is_file(own):
        return config_from_yaml(own).task
    found = identify(path)
    # Loading says which network it is if it is not one of ours.
    name = model or (found.model if found.model in list_models() else None)
    return found.task or (task_of(name) if name else DEFAULT_TASK)
