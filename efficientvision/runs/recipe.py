"""Option `recipe`: hyper-parameters that belong together, for what is not set."""

from __future__ import annotations

import logging

from efficientvision.configs import TrainingConfig
from efficientvision.configs.overrides import Recipe
from efficientvision.configs.run_options import PUBLISHED_RECIPE, RunOptions
from efficientvision.errors import UserError
from efficientvision.runs.start import first_config
from efficientvision.tasks.choice import task_of_config
from efficientvision.training.checkpoints import latest_checkpoint

log = logging.getLogger(__name__)


def apply(options: RunOptions, config: TrainingConfig) -> None:
    """Sets the hyper-parameters of `options.recipe` that are not set, and logs them.

    Args:
        options: Options of the run.
        config: Changed in place; in a run that resumes, everything may be set already.

    Raises:
        UserError: There is no such recipe for this network, or the run began without it, or with
            another.
    """
    name = options.recipe
    if not name:
        return
    task = task_of_config(config)
    keeps_values = options.defaults == "data" and bool(latest_checkpoint(options.model_dir or ""))
    if name == PUBLISHED_RECIPE:
        for other, choices in task.recipes.items():
            if keeps_values and all(getattr(config, c.name) == c.value for c in choices(config)):
                raise UserError(
                    f"`recipe={name}`: the run in {options.model_dir} began with `recipe={other}`. "
                    "Remove it, or choose another `model_dir`."
                )
        return
    if name not in task.recipes:
        raise UserError(
            f"`recipe={name}`: there is none for {config.name} as {task.noun}; EfficientDets have "
            "one. Remove it."
        )
    lines, kept = [], []
    for choice in task.recipes[name](config):
        value = getattr(config, choice.name)
        if not config.is_decided(choice.name):
            config.override(Recipe({choice.name: choice.value}))
            lines.append(f"  {choice.name}={choice.value} ({choice.reason})")
        elif value != choice.value and not config.is_written(choice.name):
            kept.append(choice.name)
    if kept and keeps_values:
        own = first_config(options)
        for other in (name for name in kept if not own.is_decided(name)):
            raise UserError(
                f"`recipe={name}`: the run in {options.model_dir} began without it "
                f"({other}={getattr(config, other)}). Remove it, or choose another `model_dir`."
            )
    if lines:
        log.info("\n".join([f"Recipe {name}; set any of them yourself:", *lines]))
