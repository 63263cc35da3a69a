"""Hyper-parameters as options of a command: `--learning_rate=0.01`."""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Any

from efficientvision.cli.commands.base import INDENT, wrapped
from efficientvision.configs.apply import field_table
from efficientvision.configs.field_types import BOOLEAN
from efficientvision.configs.hyperparameter_lists import ALIASES, INVALID, OBSOLETE
from efficientvision.configs.overrides import RawText
from efficientvision.configs.training import TrainingConfig
from efficientvision.errors import UserError
from efficientvision.registry import TASKS, nearest_names, task_of
from efficientvision.tasks.choice import get_config

_LONGEST = 50


@functools.cache
def _configs() -> list[TrainingConfig]:
    """A configuration of every kind: of the first and of the last model of each task."""
    names = {(task, entry.models[at]) for task, entry in TASKS.items() for at in (0, -1)}
    return [get_config(name, task=task) for task, name in sorted(names)]


def hyper_parameter_names() -> list[str]:
    """Lists the names of all hyper-parameters of all tasks, sorted."""
    names = {name for config in _configs() for name in (*field_table(config), *config.aliases)}
    return sorted({*names, *ALIASES, *OBSOLETE, *INVALID} - {"name", "task"})


def split_hyper_parameters(
    words: list[str], flag_names: Collection[str]
) -> tuple[list[str], dict[str, Any], list[str]]:
    """Takes the hyper-parameters out of a command line.

    Args:
        words: The command line without the program.
        flag_names: Names of flags, which are no hyper-parameters here.

    Returns:
        The other words; the hyper-parameters by name, their values as written; the names of all.

    Raises:
        UserError: A hyper-parameter has no value.
    """
    known = [name for name in hyper_parameter_names() if name not in flag_names]
    rest: list[str] = []
    found: dict[str, Any] = {}
    queue = list(words)
    while queue:
        word = queue.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if word == "--":
            rest += [word, *queue]
            break
        if not word.startswith("--") or name.partition(".")[0] not in known:
            rest.append(word)
            continue
        if not equals and _is_switch(name):
            value = "true"
        elif not equals:
            if not queue or queue[0].startswith("--"):
                raise UserError(f"--{name} needs a value: --{name}=VALUE.")
            value = queue.pop(0)
        found[name] = RawText(value)
    return rest, found, known


def _is_switch(name: str) -> bool:
    tables = (field_table(config) for config in _configs())
    return any(t[name].metadata["field_type"] is BOOLEAN for t in tables if name in t)


def check_model(name: str, task: str | None, hparams: str, changes: dict[str, Any]) -> str:
    """Checks a model's name and its hyper-parameters.

    Returns:
        The task.

    Raises:
        UserError: The model, its task, a hyper-parameter or a value is invalid.
    """
    if task and task not in TASKS:
        raise UserError(f"Unknown task {task!r}. {nearest_names(task, tuple(TASKS))}")
    decided = task_of(name, task or None)
    get_config(name, hparams, changes, task=decided)
    return decided


def hyper_parameter_help(name: str, task: str | None = None) -> str:
    """Describes the hyper-parameters of a model, with their published values."""
    config = get_config(name, task=task or None)
    lines = [f"Hyper-parameters of {name} ({config.task}), with their published values:"]
    return "\n".join([*lines, *_described(config)])


def _described(config: Any, prefix: str = "") -> list[str]:
    lines = []
    for key, field in field_table(config).items():
        value = getattr(config, key)
        if "doc" not in field.metadata:  # A group of hyper-parameters.
            lines += _described(value, f"{prefix}{key}.")
        elif key not in ("name", "task"):
            shown = str(value)
            lines.append(f"  --{prefix}{key}={shown if len(shown) <= _LONGEST else '...'}")
            lines += wrapped(field.metadata["doc"], INDENT)
    return lines
