"""A command line with EdgeNets' flags, while it is translated."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from efficientvision.errors import UserError

# Without one of these, `--weights` in classification asks for an evaluation.
_TRAINING_FLAGS = {"epochs", "lr", "scheduler", "clr_max", "savedir", "finetune", "steps"}


@dataclasses.dataclass
class Command:
    """The words of a command line.

    Attributes:
        task: Whose scripts it is for.
        theirs: EdgeNets' flags with their values.
        ours: All other words.
        flags: Flags of `main.py` so far, by name.
        hparams: Hyper-parameters so far, by name.
        notes: Sentences to print.
    """

    task: str
    theirs: Mapping[str, Sequence[str]]
    ours: Sequence[str]
    flags: dict[str, str] = dataclasses.field(default_factory=dict)
    hparams: dict[str, str] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)

    def their(self, name: str, default: str) -> str:
        """The one value of a flag of EdgeNets."""
        return one(name, self.theirs.get(name, [default]))

    def our(self, *names: str) -> str | None:
        """The value of the first of these flags of `main.py` that is given; None: none is."""
        given = [value for name in names for value in taken_out(self.ours, name)[1] if value]
        return given[0] if given else None

    @property
    def mode(self) -> str:
        """`--mode`; by default training with evaluation, or what the test scripts do."""
        names = self.theirs.keys()
        evaluates = {
            "classification": "weights" in names and not _TRAINING_FLAGS & names,
            "segmentation": bool({"weights_test", "im_size", "split"} & names),
            "detection": "weights_test" in names,
        }[self.task]
        return self.our("mode") or ("eval" if evaluates else "train_and_eval")


def dashed(name: str) -> str:
    """A flag as EdgeNets write it."""
    return f"--{name.replace('_', '-')}"


def one(name: str, words: Sequence[str]) -> str:
    """The value of a flag that takes exactly one."""
    if len(words) != 1:
        raise UserError(f"{dashed(name)} takes one value, got {' '.join(words) or 'none'}.")
    return words[0]


def taken_out(words: Sequence[str], name: str) -> tuple[list[str], list[str]]:
    """The words without a flag of `main.py`, and its values."""
    rest: list[str] = []
    values: list[str] = []
    follows = False
    for word in words:
        if follows or word.startswith(f"--{name}="):
            values.append(word if follows else word.partition("=")[2])
            follows = False
        elif word == f"--{name}":
            follows = True
        else:
            rest.append(word)
    return rest, values
