"""`efficientvision weights`."""

from __future__ import annotations

from efficientvision.cli import weights_command
from efficientvision.cli.commands.base import Argument, Call, Command
from efficientvision.errors import UserError


def _words(call: Call) -> list[str]:
    return [word for word in call.words if word is not None]


def _check(call: Call) -> None:
    words = _words(call)
    lengths = {"show": 2, "convert": 3}
    if lengths.get(words[0]) != len(words):
        raise UserError("expected: weights show FILE, or weights convert FILE OUTPUT.")


def _run(call: Call) -> None:
    weights_command.main(["weights", *_words(call)], call.flag_values)


COMMAND = Command(
    name="weights",
    summary="Shows what a checkpoint contains, or converts it to a Keras file.",
    examples=[
        ("efficientvision weights show espnetv2_s_2.0.pth", "names, shapes, and the network"),
        (
            "efficientvision weights convert efficientdet-d0.tar.gz d0.weights.h5",
            "a Keras file of the same weights",
        ),
    ],
    arguments=[
        Argument("ACTION", "show or convert"),
        Argument("FILE", "a checkpoint of any kind: .pth, TensorFlow, Keras, a run's folder"),
        Argument("OUTPUT", "convert: a .weights.h5 or .keras file to write", required=False),
    ],
    groups={"Options": weights_command.FLAGS},
    run=_run,
    check=_check,
)
