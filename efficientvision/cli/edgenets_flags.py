"""The flags of EdgeNets' scripts, as flags and hyper-parameters of `main.py`.

Those for training and testing write `--batch-size 512 --scale 0.2 1.0`: hyphens, values that follow
after a space, several of them. Imports no TensorFlow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from efficientvision.cli import edgenets_classification, edgenets_detection, edgenets_segmentation
from efficientvision.cli.edgenets_values import (
    Flags,
    Table,
    build_size,
    named,
    one,
    written,
)
from efficientvision.errors import UserError
from efficientvision.registry import list_models, nearest_names

_FAMILIES = ("espnetv2", "dicenet", "shufflenetv2")
_CLASSIFICATION, _SEGMENTATION, _DETECTION = _TABLES = (
    edgenets_classification.TABLE,
    edgenets_segmentation.TABLE,
    edgenets_detection.TABLE,
)
# What two flags say together: see `_model` and `build_size`.
_TOGETHER = ("model", "s", "model_width", "model_height")
# Whose names of --dataset these are; `coco_multilabel` is ours.
_OF_DATASET = {
    "imagenet": (_CLASSIFICATION,),
    "coco_multilabel": (_CLASSIFICATION,),
    "coco": (_CLASSIFICATION, _DETECTION),
    "pascal": (_SEGMENTATION, _DETECTION),
    "city": (_SEGMENTATION,),
}


def translate(argv: Sequence[str], say: Callable[[str], None] | None = None) -> list[str]:
    """Puts `main.py`'s flags in the place of EdgeNets'.

    Flags of `main.py` pass through; where both say the same thing, these win. With a flag of
    EdgeNets and no `--mode` the mode is `train_and_eval`, as their training evaluates every epoch;
    with those of their test scripts it is `eval`. Whose scripts they are, is told by `--task`, by
    flags that one task alone has, and by `--dataset`.

    Args:
        argv: Command line with the program's name first.
        say: Receives a sentence for each flag that has no effect; None: they go to stderr.

    Returns:
        A command line that absl understands.

    Raises:
        UserError: A value that cannot be honoured; the sentence says what to do.
    """
    say = say or (lambda sentence: print(sentence, file=sys.stderr))
    program, *words = argv
    theirs, ours = _split(words)
    if not theirs:
        return list(argv)
    table = _table(theirs, ours)
    given = _model(theirs, table)
    hparams: dict[str, str] = {}
    said = {n: table.translations[n](v) for n, v in theirs.items() if n not in _TOGETHER}
    for name, translated in {**said, "model_width": build_size(theirs)}.items():
        given |= translated.flags
        hparams |= translated.hparams
        if translated.note:
            say(f"Flag {written(name)} has no effect: {translated.note}.")
    finished = table.finish(theirs, given, ours)
    given |= finished.flags
    if finished.note:
        say(finished.note)
    if named(ours, "mode") is None:
        given["mode"] = "eval" if table.evaluates(theirs.keys()) else "train_and_eval"
    weights = given.pop("weights", None)
    if weights is not None:
        mode = named(ours, "mode") or given["mode"]
        given["model_dir" if mode == "eval" else "ckpt"] = weights
    given.setdefault("task", table.task)
    rest, own_hparams = _without_hparams(ours)
    pairs = [f"{name}={value}" for name, value in hparams.items()]
    if pairs or own_hparams:
        rest.append(f"--hparams={','.join([*pairs, *own_hparams])}")
    own = {word.lstrip("-").partition("=")[0] for word in rest if word.startswith("-")}
    return [program, *(f"--{n}={v}" for n, v in given.items() if n not in own), *rest]


def _table(theirs: Flags, ours: Sequence[str]) -> Table:
    """The table of the task that the flags are of."""
    task, dataset = named(ours, "task"), named(ours, "dataset")
    asked = [table for table in _TABLES if table.task == task]
    possible = asked or _OF_DATASET.get(dataset, _TABLES)
    fitting = [table for table in possible if not _foreign(theirs, table)]
    if not fitting:
        raise UserError(_mixed(theirs, possible))
    if len(fitting) == 1 or (fitting[0] is _CLASSIFICATION and dataset not in _OF_DATASET):
        return fitting[0]
    if "im_size" in theirs:
        # Width and height, or the side of a square.
        return _SEGMENTATION if len(theirs["im_size"]) > 1 else _DETECTION
    raise UserError(
        f"These flags are of EdgeNets' {_listed(fitting, ' and of their ')} scripts: add "
        f"{_listed(fitting, ' or ', '--task=')}."
    )


def _foreign(theirs: Flags, table: Table) -> list[str]:
    """The flags that a task's scripts do not have."""
    return sorted(theirs.keys() - table.translations.keys() - set(_TOGETHER))


def _mixed(theirs: Flags, possible: Sequence[Table]) -> str:
    """Why flags are of none of these tasks."""
    nearest = min(reversed(possible), key=lambda table: len(_foreign(theirs, table)))
    name = _foreign(theirs, nearest)[0]
    others = [table for table in _TABLES if name in table.translations]
    return (
        f"{written(name)} is a flag of EdgeNets' {_listed(others, ' and ')} scripts, and this is "
        f"{nearest.task}: leave it out, or give {_listed(others, ' or ', '--task=')}."
    )


def _listed(tables: Sequence[Table], between: str, before: str = "") -> str:
    return between.join(before + table.task for table in tables)


def _split(words: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """EdgeNets' flags with their values, and all other words as they stand."""
    theirs: dict[str, list[str]] = {}
    ours: list[str] = []
    current: list[str] | None = None
    for word in words:
        if word.startswith("--"):
            written, equals, value = word[2:].partition("=")
            name = written.replace("-", "_")
            if name in _TOGETHER or any(name in table.translations for table in _TABLES):
                current = theirs[name] = [value] if equals else []
                continue
            # A flag of main.py written with hyphens or followed by its value.
            current = None
            ours.append(f"--{written.replace('-', '_')}{equals}{value}")
        elif current is None:
            ours.append(word)
        else:
            current.append(word)
    return theirs, ours


def _model(theirs: Flags, table: Table) -> dict[str, str]:
    """`--model espnetv2 --s 2.0` -> the model's name."""
    if "model" not in theirs:
        if "s" in theirs:
            raise UserError("--s is the width of a network: give --model too, espnetv2 for one.")
        return {}
    family = one("model", theirs["model"])
    known = list_models("classification")
    if family not in _FAMILIES:
        hint = nearest_names(family, [*_FAMILIES, *known])
        raise UserError(f"Unknown --model {family}: one of {', '.join(_FAMILIES)}. {hint}")
    written = one("s", theirs.get("s", [table.width]))
    try:
        name = f"{family}_s_{float(written)}"
    except ValueError:
        name = f"{family}_s_{written}"
    if name not in known:
        widths = [n.rpartition("_")[2] for n in known if n.startswith(family)]
        raise UserError(f"--model {family} has no width --s {written}: {', '.join(widths)}.")
    return {"model_name": name}


def _without_hparams(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words but `--hparams`, and the values of that."""
    rest, values = [], []
    following = False
    for word in words:
        if following:
            values.append(word)
            following = False
        elif word == "--hparams":
            following = True
        elif word.startswith("--hparams="):
            values.append(word.partition("=")[2])
        else:
            rest.append(word)
    return rest, [value for value in values if value]
