"""Translates the flags of EdgeNets' scripts into flags and hyper-parameters of `main.py`.

Those for training and testing write `--batch-size 512 --scale 0.2 1.0`: hyphens, values that follow
after a space, several of them. Imports no TensorFlow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

from efficientvision.cli.compat.command import Command, dashed, taken_out
from efficientvision.cli.compat.conversions import NoEffect
from efficientvision.cli.compat.published import choose_weights
from efficientvision.cli.compat.rows import BY_TASK, NAMES, TASKS
from efficientvision.errors import UserError

# --dataset -> the tasks whose scripts have it; `coco_multilabel` is ours.
_TASKS_OF_DATASET = {
    "imagenet": ("classification",),
    "coco_multilabel": ("classification",),
    "coco": ("classification", "detection"),
    "pascal": ("segmentation", "detection"),
    "city": ("segmentation",),
}
_Flags = Mapping[str, Sequence[str]]


def translate(argv: Sequence[str], say: Callable[[str], None] | None = None) -> list[str]:
    """Replaces EdgeNets' flags by those of `main.py`.

    Flags of `main.py` pass through; where both say the same thing, these win. With a flag of
    EdgeNets and no `--mode` the mode is `train_and_eval`, as their training evaluates every epoch;
    with those of their test scripts it is `eval`. The task follows from `--task`, from flags that
    only one task has, and from `--dataset`.

    Args:
        argv: Command line with the program's name first.
        say: Receives a sentence for each flag that has no effect; None: they go to stderr.

    Returns:
        A command line that absl understands.

    Raises:
        UserError: A value that cannot be honoured; the sentence says what to do.
    """
    program, *words = argv
    theirs, ours = _split(words)
    if not theirs:
        return list(argv)
    command = Command(_task(theirs, ours), theirs, ours)
    for name in sorted(theirs, key=lambda name: name != "model"):
        _apply(name, command)
    choose_weights(command)
    for note in command.notes:
        say(note) if say else print(note, file=sys.stderr)
    return [program, *_written(command)]


def _apply(flag: str, command: Command) -> None:
    """Sets what a flag becomes."""
    row = BY_TASK[command.task][flag]
    value = row.convert(command, flag, command.theirs[flag])
    if isinstance(value, NoEffect):
        command.notes.append(f"Flag {dashed(flag)} has no effect: {value.reason}.")
    elif value is not None:
        targets = row.becomes.split()
        values = value if isinstance(value, tuple) else [value] * len(targets)
        for target, text in zip(targets, values, strict=True):
            name, equals, fixed = target.partition("=")
            of_main = name.startswith("--")
            (command.flags if of_main else command.hparams)[name.lstrip("-")] = fixed or text


def _written(command: Command) -> list[str]:
    """The words of the translated command line."""
    flags = command.flags | {"mode": command.mode}
    if (weights := flags.pop("weights", None)) is not None:
        flags["model_dir" if command.mode == "eval" else "ckpt"] = weights
    flags["task"] = command.task
    rest, own_hparams = taken_out(command.ours, "hparams")
    hparams = [f"{name}={value}" for name, value in command.hparams.items()]
    if hparams := [*hparams, *filter(None, own_hparams)]:
        rest.append(f"--hparams={','.join(hparams)}")
    own = {word.lstrip("-").partition("=")[0] for word in rest if word.startswith("-")}
    return [*(f"--{name}={value}" for name, value in flags.items() if name not in own), *rest]


def _split(words: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """EdgeNets' flags with their values, and all other words as they stand."""
    theirs: dict[str, list[str]] = {}
    ours: list[str] = []
    current = ours
    for word in words:
        if word.startswith("--"):
            written, equals, value = word[2:].partition("=")
            name = written.replace("-", "_")
            if name in NAMES:
                current = theirs[name] = [value] if equals else []
                continue
            # A flag of main.py written with hyphens or followed by its value.
            current, word = ours, f"--{name}{equals}{value}"
        current.append(word)
    return theirs, ours


def _task(theirs: _Flags, ours: Sequence[str]) -> str:
    """The task whose scripts have these flags."""
    task, dataset = ([*taken_out(ours, name)[1], ""][0] for name in ("task", "dataset"))
    possible = (task,) if task in TASKS else _TASKS_OF_DATASET.get(dataset, TASKS)
    foreign = {task: sorted(theirs.keys() - BY_TASK[task].keys()) for task in possible}
    fitting = [task for task in possible if not foreign[task]]
    if not fitting:
        nearest = min(reversed(possible), key=lambda task: len(foreign[task]))
        name = foreign[nearest][0]
        others = [task for task in TASKS if name in BY_TASK[task]]
        raise UserError(
            f"{dashed(name)} is a flag of EdgeNets' {' and '.join(others)} scripts, but the task "
            f"is {nearest}: remove it, or add {_task_flags(others)}."
        )
    if len(fitting) == 1 or (fitting[0] == "classification" and dataset not in _TASKS_OF_DATASET):
        return fitting[0]
    if "im_size" in theirs:
        # Width and height, or the side of a square.
        return "segmentation" if len(theirs["im_size"]) > 1 else "detection"
    raise UserError(
        f"These flags belong to EdgeNets' {' and '.join(fitting)} scripts: add "
        f"{_task_flags(fitting)}."
    )


def _task_flags(tasks: Sequence[str]) -> str:
    return " or ".join(f"--task={task}" for task in tasks)
