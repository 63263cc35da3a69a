"""EdgeNets' published weights: their names, where they lie, and when a command uses them."""

from __future__ import annotations

from efficientvision import files
from efficientvision.cli.compat.command import Command
from efficientvision.errors import UserError
from efficientvision.registry import list_models

PUBLISHED_DETECTORS = "espnetv2_s_2.0 of coco and pascal at 300x300 and 512x512"
# The detection scripts' own defaults.
_NETWORK, _DATASET, _IMAGE_SIZE = "espnetv2_s_2.0", "pascal", "300"


def network_name(family: str, width: str | float, task: str) -> str:
    """The name of a network: `espnetv2`, 2 -> `espnetv2_s_2.0`.

    Raises:
        UserError: The family has no network of that width.
    """
    known = list_models(task)
    try:
        name = f"{family}_s_{float(width)}"
    except ValueError:
        name = f"{family}_s_{width}"
    if name not in known:
        widths = [n.rpartition("_")[2] for n in known if n.startswith(family)]
        raise UserError(
            f"--model {family} has no width --s {width}; available: {', '.join(widths)}."
        )
    return name


def published_name(network: str, dataset: str, size: str) -> str:
    """The name of a detector's or segmenter's published file, without `.pth`.

    Args:
        network: Such as `espnetv2_s_2.0`.
        dataset: `coco`, `pascal` or `city`.
        size: `WIDTHxHEIGHT` of the network's input.
    """
    return f"{network}_{dataset}_{size}"


def find_published(task: str, name: str) -> str | None:
    """The path of a published file, in this folder or where EdgeNets keep it; None: not there."""
    paths = (f"{name}.pth", _in_zoo(task, name))
    return next(filter(files.is_file, paths), None)


def imagenet_file(network: str) -> str:
    """Where EdgeNets keep the ImageNet weights of a network."""
    return _in_zoo("classification", f"{network}_imagenet_224x224")


def _in_zoo(task: str, name: str) -> str:
    family = name.partition("_s_")[0]
    return f"model/{task}/model_zoo/{family}/{name}.pth"


def choose_weights(command: Command) -> None:
    """Adds the weights to start from or to evaluate, and the network of a detector without one."""
    network = command.flags.get("model_name")
    if command.task == "detection":
        network = network or command.our("model_name")
        if command.mode == "eval":
            _evaluated_detector(command, network or _NETWORK)
            return
        if not network:
            network = command.flags["model_name"] = _NETWORK
    if command.task == "classification" or command.mode == "eval" or not network:
        return
    backbone = command.their("weights", "")
    if "weights" in command.flags or command.our("ckpt", "backbone_ckpt"):
        if backbone:
            command.notes.append(
                "Flag --weights has no effect: training starts from a detector or a backbone that "
                "another flag names."
            )
    elif backbone or files.is_file(imagenet_file(network)):
        command.flags["backbone_ckpt"] = backbone or imagenet_file(network)


def _evaluated_detector(command: Command, network: str) -> None:
    """By default the published detector is evaluated."""
    if any(command.theirs.get("weights", [])):
        command.notes.append(
            "Flag --weights has no effect: evaluation needs a whole detector, --weights-test."
        )
    if {"weights", "model_dir"} & command.flags.keys() or command.our("model_dir", "ckpt"):
        return
    size = command.their("im_size", _IMAGE_SIZE)
    name = published_name(network, command.our("dataset") or _DATASET, f"{size}x{size}")
    path = find_published("detection", name)
    if path is None:
        raise UserError(
            f"There is no {name}.pth here: download it with dataset/download_edgenets.sh {name} "
            f"(published: {PUBLISHED_DETECTORS}), or name your own with --weights-test."
        )
    command.flags["weights"] = path
