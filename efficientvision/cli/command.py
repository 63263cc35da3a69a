"""The command `efficientvision`: chooses one of its commands."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import efficientvision
from efficientvision import files
from efficientvision.cli.commands.base import Command
from efficientvision.cli.commands.convert import CONVERTERS, run_converter
from efficientvision.registry import nearest_names

NAMES = (
    *("train", "evaluate", "compare", "predict", "export", "benchmark"),
    *("convert", "inspect", "models", "weights", "push"),
)
_HELP = ("help", "--help", "-help", "-h")


def find_command(name: str) -> Command:
    """Returns a command by its name, one of `NAMES`."""
    return importlib.import_module(f"efficientvision.cli.commands.{name}").COMMAND


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Runs a command line and exits.

    Args:
        argv: The words after the program's name; by default those of this process.

    Raises:
        SystemExit: 0: success; 1: bad input; 2: bad command line; 130: interrupted.
    """
    try:
        _run(list(sys.argv[1:] if argv is None else argv))
    except BrokenPipeError:  # Its reader, such as `head`, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _run(words: list[str]) -> NoReturn:
    if not words or words[0] in _HELP and not words[1:]:
        print(overview())
        sys.exit(0)
    if words[0] in ("--version", "version"):
        print(f"efficientvision {efficientvision.__version__}")
        sys.exit(0)
    name, rest = words[0], words[1:]
    if name in _HELP:
        name, rest = rest[0], ["--help"]
    if name not in NAMES:
        text = f"Unknown command {name!r}. {nearest_names(name, NAMES)}"
        print(f"error: {text} See efficientvision --help.", file=sys.stderr)
        sys.exit(2)
    if name == "convert" and _names_converter(rest):
        run_converter(rest[0], rest[1:])
    find_command(name)(rest)
    raise AssertionError("a command ends its process")


def _names_converter(words: list[str]) -> bool:
    """Whether `convert coco ...` means the converter rather than a folder of that name."""
    if not words or words[0] not in CONVERTERS:
        return False
    return not files.exists(words[0]) or all(word.startswith("-") for word in words[1:2])


def overview() -> str:
    """The text of `efficientvision --help`."""
    width = max(map(len, NAMES))
    lines = [
        "Usage: efficientvision COMMAND [ARGUMENTS] [--option=value ...]",
        "",
        "Trains, evaluates, exports and runs efficient vision networks.",
        "",
        "Commands:",
        *(f"  {name:<{width}}  {find_command(name).summary}" for name in NAMES),
        "",
        "From a folder of labelled photos to a file for a phone:",
        "  efficientvision train efficientdet-lite0 photos/",
        "  efficientvision predict runs/efficientdet-lite0 new_photos/",
        "  efficientvision export runs/efficientdet-lite0 litert_int8",
        "",
        "efficientvision COMMAND --help explains a command.",
    ]
    return "\n".join(lines)
