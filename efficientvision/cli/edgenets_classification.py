"""The flags of `train_classification.py` and `test_classification.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from efficientvision import files
from efficientvision.cli.edgenets_values import (
    Flags,
    Table,
    Translated,
    channels,
    flag,
    hparam,
    imagenet_file,
    named,
    no_effect,
    one,
    resume,
    several,
)
from efficientvision.errors import UserError

_TRAINING_FLAGS = {"epochs", "lr", "scheduler", "clr_max", "savedir", "finetune", "steps"}


def _evaluates(names: Set[str]) -> bool:
    return "weights" in names and not _TRAINING_FLAGS & names


def _start_epoch(values: Sequence[str]) -> Translated:
    if one("start_epoch", values) == "0":
        return Translated()
    return Translated(note="a run goes on by itself after the last epoch in its folder")


def _finish(theirs: Flags, given: Mapping[str, str], ours: Sequence[str]) -> Translated:
    """`--finetune`: ImageNet's weights, from `--weights` or where EdgeNets keep them."""
    if "finetune" not in theirs or "weights" in given or named(ours, "ckpt"):
        return Translated()
    path = imagenet_file(given.get("model_name", ""))
    if not files.is_file(path):
        raise UserError(
            f"--finetune starts from ImageNet's weights, and there is no {path}: name the file "
            "with --weights."
        )
    return Translated(flags={"weights": path})


TABLE = Table(
    "classification",
    "1.0",
    {
        "data": flag("data", "data_dir"),
        "batch_size": flag("batch_size", "train_batch_size", "eval_batch_size"),
        "epochs": flag("epochs", "num_epochs"),
        "lr": hparam("lr", "learning_rate", scale_learning_rate="false"),
        "scheduler": hparam("scheduler", "lr_decay_method"),
        "clr_max": hparam("clr_max", "clr_max"),
        "steps": several("steps", "lr_steps"),
        "lr_decay": hparam("lr_decay", "lr_decay"),
        "momentum": hparam("momentum", "momentum"),
        "weight_decay": hparam("weight_decay", "weight_decay"),
        "scale": several("scale", "crop_scale"),
        "inpSize": hparam("inpSize", "image_size"),
        "num_classes": hparam("num_classes", "num_classes"),
        "savedir": flag("savedir", "model_dir"),
        "resume": resume,
        "weights": flag("weights", "weights"),
        "finetune": lambda values: Translated(),
        "channels": channels,
        "start_epoch": _start_epoch,
        "workers": no_effect("as many processors read images as are free"),
        "exp_type": no_effect("it named the folder of results, which is --savedir as it stands"),
    },
    _evaluates,
    _finish,
)
