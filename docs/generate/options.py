"""The pages of the programs' options, from the tables that the flags are made of."""

import ast
import pathlib

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
        flags = declared_flags(path)
        summary = (ast.get_docstring(ast.parse(path.read_text("utf8"))) or "").partition("\n")[0]
        if flags:
            parts.append(f"## {path.name}\n\n{summary}\n\n{flag_table(flags)}")
    return "\n".join(parts)


def declared_flags(path: pathlib.Path) -> dict[str, FlagSpec]:
    """The flags that a program declares by `flags.DEFINE_...`, read from its source."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text("utf8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr.startswith("DEFINE_"):
            name, default, *more = (_constant(argument) for argument in node.args)
            help_text = next((text for text in reversed(more) if isinstance(text, str)), "")
            found[name] = FlagSpec(node.func.attr.removeprefix("DEFINE_"), default, help_text)
    return found


def _constant(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


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
