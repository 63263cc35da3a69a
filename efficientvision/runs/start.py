"""Option `start_from`: decides by the file whether a run starts from a network or its backbone."""

from __future__ import annotations

import json
import logging

from efficientvision import files
from efficientvision.configs import TrainingConfig
from efficientvision.configs.run_options import RunOptions
from efficientvision.errors import UserError
from efficientvision.exports.load_export import is_export
from efficientvision.tasks.base import Task
from efficientvision.tasks.choice import get_config, model_and_task, task_of_config
from efficientvision.training.checkpoints import latest_checkpoint
from efficientvision.weights.identify import Identified, identify
from efficientvision.weights.imagenet import find_imagenet, installed_imagenet

log = logging.getLogger(__name__)

IMAGENET, NONE = "imagenet", "none"
START_FILE = "start.json"
_NOTED = ("start_from", "ckpt", "backbone_ckpt")


def check_options(options: RunOptions) -> None:
    """Raises UserError for two starts, or a start of an evaluation; opens no file."""
    named = {name: getattr(options, name) for name in _NOTED if getattr(options, name)}
    if options.mode == "eval":
        if options.start_from:
            raise UserError(
                f"`start_from={options.start_from}` is for training: remove it, or set "
                "`mode=train`."
            )
        return
    if len(named) > 1:
        shown = " and ".join(f"`{name}={value}`" for name, value in named.items())
        raise UserError(
            f"{shown} exclude each other: `start_from` takes any checkpoint, `ckpt` a whole "
            "network, `backbone_ckpt` one of which only the backbone is used. Keep one."
        )


def resolve(options: RunOptions) -> RunOptions:
    """Turns `start_from`, or `backbone_ckpt=imagenet`, into `ckpt` or `backbone_ckpt`.

    A resumed run uses the start noted in its folder, and opens nothing: its weights are its own.
    With `defaults=data`, a run for which nothing is set starts from ImageNet weights if they are
    on this machine.

    Raises:
        UserError: The checkpoint cannot be read, or neither it nor its backbone fits the network.
    """
    if latest_checkpoint(options.model_dir or "") is not None:
        return _resumed(options)
    asked = options.start_from
    if asked == NONE:
        return options.replace(start_from=NONE)
    config = first_config(options)
    task = task_of_config(config)
    if options.backbone_ckpt == IMAGENET:
        return options.replace(backbone_ckpt=find_imagenet(task.backbone_name(config)))
    if asked:
        path = find_imagenet(task.backbone_name(config)) if asked == IMAGENET else asked
        return options.replace(**_placed(path, asked, task, config))
    if options.defaults != "data" or options.ckpt or options.backbone_ckpt:
        return options
    own = installed_imagenet(task.backbone_name(config))
    if own is None:
        return options
    log.info("Starting from them by default; `start_from=none` starts from random weights.")
    return options.replace(start_from=IMAGENET, **_placed(own, IMAGENET, task, config))


def write(model_dir: str, options: RunOptions) -> None:
    """Notes in the run's folder what it started from, for a later command that resumes it."""
    noted = {name: getattr(options, name) for name in _NOTED if getattr(options, name)}
    if noted:
        files.write_text(files.join(model_dir, START_FILE), json.dumps(noted, indent=1) + "\n")


def _resumed(options: RunOptions) -> RunOptions:
    noted = _noted(options.model_dir or "")
    began, asked = noted.get("start_from", ""), options.start_from
    if asked not in ("", began):
        log.info(
            f"`start_from={asked}` has no effect: {options.model_dir} is resumed, which began from "
            f"{began or noted.get('ckpt') or noted.get('backbone_ckpt') or 'random weights'}."
        )
    return options.replace(**noted)


def _noted(model_dir: str) -> dict[str, str]:
    path = files.join(model_dir, START_FILE)
    if not files.is_file(path):
        return {}
    try:
        noted = json.loads(files.read_text(path))
        return {name: str(noted[name]) for name in _NOTED if name in noted}
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path} is damaged ({error}): delete it; the weights of the run are in its checkpoint."
        ) from None


def first_config(options: RunOptions) -> TrainingConfig:
    """The hyper-parameters that the user set, before any are taken from a checkpoint."""
    name, task = model_and_task(options)
    return get_config(name, options.hparams, options.hyper_parameters, task=task)


def _placed(path: str, asked: str, task: Task, config: TrainingConfig) -> dict[str, str]:
    """Returns `ckpt` or `backbone_ckpt`, whichever the checkpoint can be."""
    if is_export(path):
        raise UserError(
            f"`start_from={asked}` is an exported model, whose weights cannot be trained: name the "
            "run or checkpoint it was exported from."
        )
    found = identify(path)
    if task.is_whole(config, found):
        log.info(f"`start_from={asked}`: {_described(found, config.name)}, used as `ckpt`.")
        return {"ckpt": path}
    backbone = task.backbone_name(config)
    if found.backbone_name != backbone:
        holds = _described(found, config.name)
        if found.backbone_name not in (None, found.model):
            holds += f" on {found.backbone_name}"
        raise UserError(
            f"`start_from={asked}` has {holds}, but {config.name} needs a checkpoint of itself or "
            f"of its backbone, {backbone}: choose such a checkpoint, or another `model_name`."
        )
    log.info(
        f"`start_from={asked}`: {_described(found, backbone)}; {config.name} takes only its "
        "backbone (`backbone_ckpt`)."
    )
    return {"backbone_ckpt": path}


def _described(found: Identified, preferred: str) -> str:
    name = found.named(preferred)
    if name is None:
        return "a network that is not in the registry"
    classes = f" with {found.num_classes} classes" if found.num_classes else ""
    return f"{name}{f' for {found.task}' if found.task else ''}{classes}"
