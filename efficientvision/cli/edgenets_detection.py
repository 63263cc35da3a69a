"""The flags of `train_detection.py` and `test_detection.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from efficientvision import files
from efficientvision.cli.edgenets_values import (
    Flags,
    Table,
    Translated,
    channels,
    find_published,
    flag,
    hparam,
    imagenet_file,
    named,
    no_effect,
    one,
    resume,
    several,
    switch,
    weights,
)
from efficientvision.errors import UserError

# What their scripts take where nothing is said.
_MODEL, _DATASET, _IMAGE_SIZE = "espnetv2_s_2.0", "pascal", "300"
PUBLISHED = "espnetv2_s_2.0 of coco and pascal at 300x300 and 512x512"


def published_name(model_name: str, dataset: str, image_size: int | str) -> str:
    """The name of a detector's published weights, without `.pth`.

    Args:
        model_name: Of its backbone, such as espnetv2_s_2.0.
        dataset: "coco" or "pascal".
        image_size: Side of the network's input, pixels.
    """
    return f"{model_name}_{dataset}_{image_size}x{image_size}"


def _published_file(*what: str) -> str:
    name = published_name(*what)
    if path := find_published("detection", name):
        return path
    raise UserError(
        f"There is no {name}.pth here: dataset/download_edgenets.sh {name} fetches it (published "
        f"are {PUBLISHED}), or name your own with --weights-test."
    )


def _resume(values: Sequence[str]) -> Translated:
    """Theirs is a switch; a path is understood as in the other scripts."""
    if values:
        return resume(values)
    return Translated(note="a run goes on by itself after the last epoch in its folder, --save")


def _backbone(values: Sequence[str]) -> Translated:
    one("weights", values)  # `_finish` knows what else there is to begin from.
    return Translated()


def _evaluates(names: Set[str]) -> bool:
    return "weights_test" in names


def _finish(theirs: Flags, given: Mapping[str, str], ours: Sequence[str]) -> Translated:
    """The network, and the weights that it begins with or that are evaluated."""
    name = given.get("model_name") or named(ours, "model_name")
    mode = named(ours, "mode") or ("eval" if _evaluates(theirs.keys()) else "train_and_eval")
    if mode == "eval":
        return _evaluated(theirs, given, ours, name or _MODEL)
    beginning = _beginning(theirs, given, ours, name or _MODEL)
    named_model = {} if name else {"model_name": _MODEL}
    return beginning._replace(flags=named_model | beginning.flags)


def _evaluated(
    theirs: Flags, given: Mapping[str, str], ours: Sequence[str], name: str
) -> Translated:
    """Without weights to be tested: the published ones."""
    note = ""
    if any(theirs.get("weights", [])):
        note = "Flag --weights has no effect: an evaluation takes a whole detector, --weights-test."
    of_run = {"weights", "model_dir"} & given.keys()
    if of_run or any(named(ours, flag) for flag in ("model_dir", "ckpt")):
        return Translated(note=note)
    dataset = named(ours, "dataset") or _DATASET
    size = one("im_size", theirs.get("im_size", [_IMAGE_SIZE]))
    return Translated(flags={"weights": _published_file(name, dataset, size)}, note=note)


def _beginning(
    theirs: Flags, given: Mapping[str, str], ours: Sequence[str], name: str
) -> Translated:
    """A training begins from `--finetune`, else from the backbone's `--weights`, else from
    ImageNet's where EdgeNets keep them.
    """
    wanted = one("weights", theirs.get("weights", [""]))
    if "weights" in given or any(named(ours, flag) for flag in ("ckpt", "backbone_ckpt")):
        reason = "the training begins from a detector or a backbone that another flag names"
        return Translated(note=f"Flag --weights has no effect: {reason}." if wanted else "")
    if wanted:
        return Translated(flags={"backbone_ckpt": wanted})
    path = imagenet_file(name)
    return Translated(flags={"backbone_ckpt": path} if files.is_file(path) else {})


TABLE = Table(
    "detection",
    "2.0",
    {
        "data_path": flag("data_path", "data_dir"),
        "im_size": hparam("im_size", "image_size"),
        "save": flag("save", "model_dir"),
        "resume": _resume,
        "weights": _backbone,
        "finetune": weights("finetune"),
        "weights_test": weights("weights_test"),
        "freeze_bn": switch("freeze_bn", is_training_bn="false"),
        "batch_size": flag("batch_size", "train_batch_size", "eval_batch_size"),
        "epochs": flag("epochs", "num_epochs"),
        "lr": hparam("lr", "learning_rate", scale_learning_rate="false"),
        "lr_mult": hparam("lr_mult", "lr_mult"),
        "lr_type": hparam("lr_type", "lr_decay_method"),
        "clr_max": hparam("clr_max", "clr_max"),
        "cycle_len": hparam("cycle_len", "cycle_len"),
        "steps": several("steps", "lr_steps"),
        "gamma": hparam("gamma", "lr_decay"),
        "power": hparam("power", "lr_power"),
        "momentum": hparam("momentum", "momentum"),
        "wd": hparam("wd", "weight_decay"),
        "channels": channels,
        "workers": no_effect("as many processors read images as are free"),
    },
    _evaluates,
    _finish,
)
