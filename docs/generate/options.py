"""The pages of the programs' options, from the tables that the flags are made of."""

import contextlib
import functools
import importlib.util
import pathlib
import re
from unittest import mock

from absl import flags

from docs.generate.markdown import flag_table, table, with_flags
from efficientvision.cli.flags import (
    ALIASES,
    IMPLEMENTED,
    INSPECT,
    INVALID,
    OBSOLETE,
    TRAIN,
    FlagSpec,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main_page() -> str:
    """The flags of `main.py`."""
    return (
        "# Options of main.py\n\n"
        "Generated from the code by `make docs`. These are the flags of `main.py`\n"
        "and the keyword arguments of `ev.train` and `ev.evaluate`; [Commands](commands.md) has\n"
        "those of `efficientvision train` and `efficientvision evaluate`.\n\n" + _program(TRAIN)
    )


def inspect_page() -> str:
    """The flags of `model_inspect.py`."""
    return (
        "# Options of model_inspect.py\n\n"
        "Generated from the code by `make docs`. These are the flags of\n"
        "`model_inspect.py` and the keyword arguments of `ev.export` and `ev.benchmark`;\n"
        "[Commands](commands.md) has those of `efficientvision export`.\n\n" + _program(INSPECT)
    )


def converters_page() -> str:
    """The flags of the programs in `dataset/`."""
    parts = ["# Options of the converters\n\nGenerated from the code by `make docs`.\n"]
    for path in sorted((ROOT / "dataset").glob("*.py")):
        declared, summary = declared_flags(path)
        parts.append(f"## {path.name}\n\n{summary}\n\n{flag_table(declared)}")
    return "\n".join(parts)


def declared_flags(path: pathlib.Path) -> tuple[dict[str, FlagSpec], str]:
    """The flags that a program declares when it is imported, and the first line about it."""
    values = flags.FlagValues()
    spec = importlib.util.spec_from_file_location(f"dataset_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    with contextlib.ExitStack() as stack:
        # The program declares its flags among absl's own: these stand for them.
        stack.enter_context(mock.patch.object(flags, "FLAGS", values))
        for name in (name for name in dir(flags) if re.fullmatch("DEFINE_[a-z]+", name)):
            define = functools.partial(getattr(flags, name), flag_values=values)
            stack.enter_context(mock.patch.object(flags, name, define))
        spec.loader.exec_module(module)
    found = {
        name: FlagSpec(_type(values[name]), values[name].default, values[name].help)
        for name in values
    }
    return found, (module.__doc__ or "").partition("\n")[0]


def _type(flag: flags.Flag) -> str | tuple[str, ...]:
    choices = getattr(flag.parser, "enum_values", None)
    return tuple(choices) if choices else flag.flag_type().replace("string", "str")


def _program(program: str) -> str:
    parts = [flag_table(IMPLEMENTED[program])]
    if ALIASES[program]:
        aliases = [[f"`--{name}`", f"`--{meaning}`"] for name, meaning in ALIASES[program].items()]
        parts.append("## Other names\n\n" + table(["flag", "the same as"], aliases))
    obsolete = [[f"`--{n}`", reason] for n, (_, reason) in OBSOLETE[program].items()]
    if obsolete:
        parts.append("## Accepted without effect\n\n" + table(["flag", "reason"], obsolete))
    refused = [[f"`--{n}`", with_flags(flag.reason)] for n, flag in INVALID[program].items()]
    if refused:
        parts.append("## Not available\n\n" + table(["flag", "reason"], refused))
    return "\n".join(parts)
