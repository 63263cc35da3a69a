"""What a flag is, and the flags that both programs have."""

from __future__ import annotations

from typing import Any, NamedTuple


class FlagSpec(NamedTuple):
    """One flag: type (`string`, `int`, `float`, `bool`, `ints` or a tuple of choices), default,
    meaning.
    """

    type: str | tuple[str, ...]
    default: Any
    help: str


class UnavailableFlag(NamedTuple):
    """A flag that is refused when it asks for something.

    Attributes:
        spec: Its declaration.
        reason: Why it is refused, and what to do instead.
    """

    spec: FlagSpec
    reason: str


HPARAMS = FlagSpec(
    "string",
    "",
    'hyper-parameters: "num_classes=20,image_size=1920x1280" (sizes are WIDTHxHEIGHT), the path of '
    'a .yaml file, or both: "voc.yaml,num_classes=3"',
)
USE_XLA = FlagSpec("bool", False, "compile the step with XLA (on a CPU it is slower)")
