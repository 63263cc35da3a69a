"""How the values of a flag of EdgeNets become flags and hyper-parameters of `main.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import NamedTuple

from efficientvision import files
from efficientvision.errors import UserError

Translate = Callable[[Sequence[str]], "Translated"]
Flags = Mapping[str, Sequence[str]]


class Translated(NamedTuple):
    """What a flag becomes.

    Attributes:
        flags: Flags of `main.py`, name -> value.
        hparams: Hyper-parameters, name -> value.
        note: A sentence to be said.
    """

    flags: dict[str, str] = {}
    hparams: dict[str, str] = {}
    note: str = ""


class Table(NamedTuple):
    """The flags of a task's scripts.

    Attributes:
        task: Its name.
        width: `--s` where it is not given.
        translations: Name of a flag -> what its values become. A flag `weights` stands for
            `--ckpt` of a training and `--model_dir` of an evaluation.
        evaluates: Whether flags of these names ask, without `--mode`, for an evaluation.
        finish: (their flags with values, flags of `main.py` so far, words of the command line that
            are none of theirs) -> what several flags say together; its note is said as it stands.
    """

    task: str
    width: str
    translations: Mapping[str, Translate]
    evaluates: Callable[[Set[str]], bool]
    finish: Callable[[Flags, Mapping[str, str], Sequence[str]], Translated]


def written(name: str) -> str:
    """A flag as EdgeNets write it."""
    return f"--{name.replace('_', '-')}"


def one(name: str, values: Sequence[str]) -> str:
    """The value of a flag that takes one."""
    if len(values) != 1:
        raise UserError(f"{written(name)} takes one value, got {' '.join(values) or 'none'}.")
    return values[0]


def hparam(name: str, key: str, **more: str) -> Translate:
    """A flag whose value is a hyper-parameter; others may follow from it."""
    return lambda values: Translated(hparams={key: one(name, values), **more})


def flag(name: str, *keys: str) -> Translate:
    """A flag whose value is that of flags of `main.py`."""
    return lambda values: Translated(flags=dict.fromkeys(keys, one(name, values)))


def weights(name: str) -> Translate:
    """A flag that names a whole network's weights; an empty one names none."""
    return lambda values: Translated(flags={"weights": path} if (path := one(name, values)) else {})


def switch(name: str, **hparams: str) -> Translate:
    """A flag without a value; where it is given, hyper-parameters have these."""

    def translate_switch(values: Sequence[str]) -> Translated:
        if values:
            raise UserError(f"{written(name)} takes no value, got {' '.join(values)}.")
        return Translated(hparams=hparams)

    return translate_switch


def several(name: str, key: str) -> Translate:
    """A flag whose values are a hyper-parameter."""

    def translate_list(values: Sequence[str]) -> Translated:
        if not values:
            raise UserError(f"{written(name)} takes values, got none.")
        listed = "*".join(values) if len(values) > 1 else f"[{values[0]}]"
        return Translated(hparams={key: listed})

    return translate_list


def no_effect(reason: str) -> Translate:
    """A flag that is taken and does nothing."""
    return lambda values: Translated(note=reason)


def resume(values: Sequence[str]) -> Translated:
    """A run goes on in its own folder."""
    path = one("resume", values)
    if not path:
        return Translated()
    if path.endswith((".pth", ".pth.tar")):
        raise UserError(
            f"--resume {path}: an EdgeNets training cannot be continued, since its file says "
            "nothing of this program's optimizer. --weights (in segmentation and detection "
            "--finetune) starts a new one from its weights."
        )
    return Translated(flags={"model_dir": path if files.is_folder(path) else files.parent(path)})


def channels(values: Sequence[str]) -> Translated:
    """Networks here are for three."""
    if one("channels", values) != "3":
        raise UserError(f"--channels {values[0]}: images have 3 channels here, grey ones too.")
    return Translated()


def imagenet_file(name: str) -> str:
    """Where EdgeNets keep the weights of a classifier."""
    family = name.partition("_s_")[0]
    return f"model/classification/model_zoo/{family}/{name}_imagenet_224x224.pth"


def build_size(theirs: Flags) -> Translated:
    """`--model-width`, `--model-height`: the size that DiCENet's kernels are made for."""
    names = [name for name in ("model_width", "model_height") if name in theirs]
    sides = [one(name, theirs.get(name, ["224"])) for name in ("model_width", "model_height")]
    if not names or sides == ["224", "224"]:
        return Translated()
    if theirs.get("model") != ["dicenet"]:
        return Translated(note="only DiCENet's kernels are made for a size")
    return Translated(hparams={"build_size": "x".join(sides)})


def named(words: Sequence[str], name: str) -> str | None:
    """The value of a flag of `main.py` among words of a command line; None: it is not there."""
    for number, word in enumerate(words):
        if word.startswith(f"--{name}="):
            return word.partition("=")[2]
        if word == f"--{name}" and words[number + 1 :]:
            return words[number + 1]
    return None


def find_published(task: str, name: str) -> str | None:
    """The path of published weights, here or where EdgeNets keep them; None: there are none.

    Args:
        task: "classification", "segmentation" or "detection".
        name: Of the file, without `.pth`, such as espnetv2_s_2.0_coco_512x512.
    """
    family = name.partition("_s_")[0]
    paths = (f"{name}.pth", files.join(f"model/{task}/model_zoo", family, f"{name}.pth"))
    return next(filter(files.is_file, paths), None)
