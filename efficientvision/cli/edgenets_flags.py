"""The flags of EdgeNets' classification scripts, as flags and hyper-parameters of `main.py`.

`train_classification.py` and `test_classification.py` write `--batch-size 512 --scale 0.2 1.0`:
hyphens, values that follow after a space, several of them. Imports no TensorFlow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.registry import list_models, nearest_names

_FAMILIES = ("espnetv2", "dicenet", "shufflenetv2")


class _Translated(NamedTuple):
    """What a flag becomes.

    Attributes:
        flags: Flags of `main.py`, name -> value.
        hparams: Hyper-parameters, name -> value.
        note: A sentence to be said.
    """

    flags: dict[str, str] = {}
    hparams: dict[str, str] = {}
    note: str = ""


def translate(argv: Sequence[str], say: Callable[[str], None] | None = None) -> list[str]:
    """Puts `main.py`'s flags in the place of EdgeNets'.

    Flags of `main.py` pass through; where both say the same thing, these win. With a flag of
    EdgeNets and no `--mode` the mode is `train_and_eval`, as their training evaluates every epoch;
    with `--weights` and none of a training's flags it is `eval`.

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
    given: dict[str, str] = {}
    hparams: dict[str, str] = {}
    given |= _model(theirs)
    translations = {n: _TRANSLATIONS[n](v) for n, v in theirs.items() if n in _TRANSLATIONS}
    for name, translated in {**translations, "model_width": _build_size(theirs)}.items():
        given |= translated.flags
        hparams |= translated.hparams
        if translated.note:
            say(f"Flag {_written(name)} has no effect: {translated.note}.")
    if given.pop("finetune", None):
        given |= _finetune(given, ours)
    if _named(ours, "mode") is None:
        evaluates = "weights" in given and not _TRAINING_FLAGS & set(theirs)
        given["mode"] = "eval" if evaluates else "train_and_eval"
    weights = given.pop("weights", None)
    if weights is not None:
        mode = _named(ours, "mode") or given["mode"]
        given["model_dir" if mode == "eval" else "ckpt"] = weights
    given.setdefault("task", "classification")
    rest, own_hparams = _without_hparams(ours)
    pairs = [f"{name}={value}" for name, value in hparams.items()]
    if pairs or own_hparams:
        rest.append(f"--hparams={','.join([*pairs, *own_hparams])}")
    own = {word.lstrip("-").partition("=")[0] for word in rest if word.startswith("-")}
    return [program, *(f"--{n}={v}" for n, v in given.items() if n not in own), *rest]


def _split(words: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """EdgeNets' flags with their values, and all other words as they stand."""
    theirs: dict[str, list[str]] = {}
    ours: list[str] = []
    current: list[str] | None = None
    for word in words:
        if word.startswith("--"):
            written, equals, value = word[2:].partition("=")
            name = written.replace("-", "_")
            if name in _TRANSLATIONS or name in _TOGETHER:
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


def _written(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _one(name: str, values: Sequence[str]) -> str:
    if len(values) != 1:
        raise UserError(f"{_written(name)} takes one value, got {' '.join(values) or 'none'}.")
    return values[0]


def _hparam(name: str, key: str, **more: str) -> Callable[[Sequence[str]], _Translated]:
    return lambda values: _Translated(hparams={key: _one(name, values), **more})


def _flag(name: str, *keys: str) -> Callable[[Sequence[str]], _Translated]:
    return lambda values: _Translated(flags=dict.fromkeys(keys, _one(name, values)))


def _several(name: str, key: str) -> Callable[[Sequence[str]], _Translated]:
    def translate_list(values: Sequence[str]) -> _Translated:
        if not values:
            raise UserError(f"{_written(name)} takes values, got none.")
        listed = "*".join(values) if len(values) > 1 else f"[{values[0]}]"
        return _Translated(hparams={key: listed})

    return translate_list


def _no_effect(reason: str) -> Callable[[Sequence[str]], _Translated]:
    return lambda values: _Translated(note=reason)


def _model(theirs: dict[str, list[str]]) -> dict[str, str]:
    """`--model espnetv2 --s 2.0` -> the model's name."""
    if "model" not in theirs:
        if "s" in theirs:
            raise UserError("--s is the width of a network: give --model too, espnetv2 for one.")
        return {}
    family = _one("model", theirs["model"])
    known = list_models("classification")
    if family not in _FAMILIES:
        hint = nearest_names(family, [*_FAMILIES, *known])
        raise UserError(f"Unknown --model {family}: one of {', '.join(_FAMILIES)}. {hint}")
    written = _one("s", theirs.get("s", ["1.0"]))
    try:
        name = f"{family}_s_{float(written)}"
    except ValueError:
        name = f"{family}_s_{written}"
    if name not in known:
        widths = [n.rpartition("_")[2] for n in known if n.startswith(family)]
        raise UserError(f"--model {family} has no width --s {written}: {', '.join(widths)}.")
    return {"model_name": name}


def _resume(values: Sequence[str]) -> _Translated:
    """A run goes on in its own folder."""
    path = _one("resume", values)
    if not path:
        return _Translated()
    if path.endswith((".pth", ".pth.tar")):
        raise UserError(
            f"--resume {path}: an EdgeNets training cannot be continued, since its file says "
            "nothing of this program's optimizer. --weights starts a new one from its weights."
        )
    return _Translated(flags={"model_dir": path if files.is_folder(path) else files.parent(path)})


def _build_size(theirs: dict[str, list[str]]) -> _Translated:
    """`--model-width`, `--model-height`: the size that DiCENet's kernels are made for."""
    names = [name for name in ("model_width", "model_height") if name in theirs]
    sides = [_one(name, theirs.get(name, ["224"])) for name in ("model_width", "model_height")]
    if not names or sides == ["224", "224"]:
        return _Translated()
    if theirs.get("model") != ["dicenet"]:
        return _Translated(note="only DiCENet's kernels are made for a size")
    return _Translated(hparams={"build_size": "x".join(sides)})


def _channels(values: Sequence[str]) -> _Translated:
    if _one("channels", values) != "3":
        raise UserError(f"--channels {values[0]}: images have 3 channels here, grey ones too.")
    return _Translated()


def _start_epoch(values: Sequence[str]) -> _Translated:
    if _one("start_epoch", values) == "0":
        return _Translated()
    return _Translated(note="a run goes on by itself after the last epoch in its folder")


def _finetune(given: dict[str, str], ours: Sequence[str]) -> dict[str, str]:
    """ImageNet's weights of the model, from `--weights` or where EdgeNets keep them."""
    if "weights" in given or _named(ours, "ckpt"):
        return {}
    name = given.get("model_name", "")
    family = name.partition("_s_")[0]
    path = f"model/classification/model_zoo/{family}/{name}_imagenet_224x224.pth"
    if not files.is_file(path):
        raise UserError(
            f"--finetune starts from ImageNet's weights, and there is no {path}: name the file "
            "with --weights."
        )
    return {"weights": path}


def _named(words: Sequence[str], name: str) -> str | None:
    for word in words:
        if word.startswith(f"--{name}="):
            return word.partition("=")[2]
    return None


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


_TRANSLATIONS: dict[str, Callable[[Sequence[str]], _Translated]] = {
    "data": _flag("data", "data_dir"),
    "batch_size": _flag("batch_size", "train_batch_size", "eval_batch_size"),
    "epochs": _flag("epochs", "num_epochs"),
    "lr": _hparam("lr", "learning_rate", scale_learning_rate="false"),
    "scheduler": _hparam("scheduler", "lr_decay_method"),
    "clr_max": _hparam("clr_max", "clr_max"),
    "steps": _several("steps", "lr_steps"),
    "lr_decay": _hparam("lr_decay", "lr_decay"),
    "momentum": _hparam("momentum", "momentum"),
    "weight_decay": _hparam("weight_decay", "weight_decay"),
    "scale": _several("scale", "crop_scale"),
    "inpSize": _hparam("inpSize", "image_size"),
    "num_classes": _hparam("num_classes", "num_classes"),
    "savedir": _flag("savedir", "model_dir"),
    "resume": _resume,
    "weights": _flag("weights", "weights"),
    "finetune": lambda values: _Translated(flags={"finetune": "true"}),
    "channels": _channels,
    "start_epoch": _start_epoch,
    "workers": _no_effect("as many processors read images as are free"),
    "exp_type": _no_effect("it named the folder of results, which is --savedir as it stands"),
}
# What two flags say together: see `_model` and `_build_size`.
_TOGETHER = ("model", "s", "model_width", "model_height")
_TRAINING_FLAGS = {"epochs", "lr", "scheduler", "clr_max", "savedir", "finetune", "steps"}
