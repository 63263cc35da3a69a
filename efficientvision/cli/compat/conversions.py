"""Converts the values of EdgeNets' flags to ours: the last column of `rows`."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from typing import NamedTuple

from efficientvision import files
from efficientvision.cli.compat.command import Command, dashed, one
from efficientvision.cli.compat.published import imagenet_file, network_name
from efficientvision.data import data_folder
from efficientvision.errors import UserError
from efficientvision.registry import list_models, nearest_names

_FAMILIES = ("espnetv2", "dicenet", "shufflenetv2")
# `--s` of the task's scripts where it is not given.
_WIDTHS = {"classification": "1.0", "segmentation": "2.0", "detection": "2.0"}
# Their `--data-path` -> the images of the test part.
_TEST_IMAGES = {"city": "leftImg8bit/test/*/*.png", "pascal": "VOC2012/list/test.txt"}
_RESUMES = "a run resumes after the last epoch in its folder"


class NoEffect(NamedTuple):
    """The answer to a flag that is accepted and does nothing, and why it does nothing."""

    reason: str


# (command line, flag, its words) -> the value, or one for each target; None sets nothing.
Value = str | tuple[str, str] | NoEffect | None
Convert = Callable[[Command, str, Sequence[str]], Value]


def _taking(
    least: float, most: float, expected: str, write: Callable[[Sequence[str]], Value]
) -> Convert:
    def convert(command: Command, name: str, words: Sequence[str]) -> Value:
        if not least <= len(words) <= most:
            raise UserError(f"{dashed(name)} takes {expected}, got {shlex.join(words) or 'none'}.")
        return write(words)

    return convert


value = _taking(1, 1, "one value", lambda words: words[0])
value_unless_empty = _taking(1, 1, "one value", lambda words: words[0] or None)
list_of_one = _taking(1, 1, "one value", lambda words: f"[{words[0]}]")
several = _taking(
    1, math.inf, "values", lambda words: "*".join(words) if words[1:] else f"[{words[0]}]"
)
size = _taking(1, 2, "width and height", lambda words: f"{words[0]}x{words[-1]}")
switch = _taking(0, 0, "no value", lambda words: "")


def no_effect(reason: str) -> Convert:
    """Accepts a flag and says why it does nothing."""
    return lambda command, name, words: NoEffect(reason)


def only(allowed: str, otherwise: str) -> Convert:
    """Accepts one value, which sets nothing; `otherwise`, with {value}, says what to do."""

    def convert(command: Command, name: str, words: Sequence[str]) -> None:
        if (given := one(name, words)) != allowed:
            raise UserError(f"{dashed(name)} {given}: {otherwise.format(value=given)}.")

    return convert


def network(command: Command, name: str, words: Sequence[str]) -> str | None:
    """`--model espnetv2 --s 2.0` -> `espnetv2_s_2.0`."""
    if "model" not in command.theirs:
        raise UserError("--s sets the width of a network: add --model, such as --model espnetv2.")
    family = command.their("model", "")
    if family not in _FAMILIES:
        hint = nearest_names(family, [*_FAMILIES, *list_models("classification")])
        raise UserError(f"Unknown --model {family}: choose one of {', '.join(_FAMILIES)}. {hint}")
    return network_name(family, command.their("s", _WIDTHS[command.task]), "classification")


def build_size(command: Command, name: str, words: Sequence[str]) -> Value:
    """`--model-width`, `--model-height` -> the image size that DiCENet's kernels are built for."""
    width, height = (command.their(side, "224") for side in ("model_width", "model_height"))
    if (width, height) == ("224", "224"):
        return None
    if command.theirs.get("model") == ["dicenet"]:
        return f"{width}x{height}"
    return NoEffect("only DiCENet's kernels are built for an image size")


def start_epoch(command: Command, name: str, words: Sequence[str]) -> Value:
    """Only 0 is what happens anyway."""
    return None if one(name, words) == "0" else NoEffect(_RESUMES)


def resume(command: Command, name: str, words: Sequence[str]) -> Value:
    """A run resumes in its own folder. EdgeNets' detection has a switch, without a path."""
    if command.task == "detection" and not words:
        return NoEffect(f"{_RESUMES}, --save")
    path = one(name, words)
    if path.endswith((".pth", ".pth.tar")):
        raise UserError(
            f"--resume {path}: an EdgeNets training cannot be resumed here, because its file has "
            "no state for this program's optimizer. Start a new training from its weights with "
            "--weights (in segmentation and detection --finetune)."
        )
    return (path if files.is_folder(path) else files.parent(path)) if path else None


def imagenet_weights(command: Command, name: str, words: Sequence[str]) -> str | None:
    """`--finetune` of a classifier, unless a flag names the weights to start from."""
    if "weights" in command.theirs or command.our("ckpt"):
        return None
    model_name = command.flags.get("model_name") or command.our("model_name")
    if not model_name:
        raise UserError(
            "--finetune starts from the ImageNet weights of a network: name it with --model, or "
            "the file with --weights."
        )
    path = imagenet_file(model_name)
    if not files.is_file(path):
        raise UserError(
            f"--finetune starts from ImageNet weights, but {path} does not exist: pass the file "
            "with --weights."
        )
    return path


def training_records(command: Command, name: str, words: Sequence[str]) -> str | None:
    """`--coco-path`, `--coarse`: records to train on in addition to those of the data set."""
    folder, coco = command.their("data_path", ""), command.their("coco_path", "")
    wanted = []
    if coco:
        wanted.append(("--coco-path", coco, "coco_", "--coco_images and --coco_annotations"))
    if "coarse" in command.theirs:
        wanted.append(("--coarse", folder, "coarse", "--cityscapes_dir and --coarse"))
    if not wanted or command.our("train_file_pattern"):
        return None
    patterns = [data_folder.find_records(folder, "train")]
    for flag, place, prefix, how in wanted:
        patterns.append(data_folder.find_records(place, prefix))
        if patterns[-1] is None:
            raise UserError(
                f"{flag}: found no records {prefix}*.tfrecord in "
                f"{place or 'a missing --data-path'}. Create them with "
                f"dataset/create_segmentation_tfrecord.py, {how}."
            )
    return ",".join(filter(None, patterns))


def split(command: Command, name: str, words: Sequence[str]) -> tuple[str, str] | None:
    """`--split test` has no labels: predictions for the test server, in EdgeNets' folder."""
    part = one(name, words)
    if part not in ("val", "test"):
        raise UserError(f"--split {part}: must be val or test.")
    if part == "val" or command.our("val_file_pattern"):
        return None
    dataset = command.our("dataset") or "city"
    if dataset not in _TEST_IMAGES:
        known = " or ".join(_TEST_IMAGES)
        raise UserError(f"--split test: --dataset must be {known}, got {dataset}.")
    images = files.join(command.their("data_path", "."), _TEST_IMAGES[dataset])
    return images, "results_city_test" if dataset == "city" else "results_pascal"
