"""The pages of the programs' options, from the tables that the flags are made of."""

import ast
import pathlib
from collections.abc import Mapping

from docs.generate.markdown import table, value, with_flags
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
        "# Options of training and evaluation\n\n"
        "Generated from the code by `make docs`. These are the flags of `main.py`, of\n"
        "`efficientvision train` and `efficientvision evaluate`, and the keyword arguments of\n"
        "`ev.train` and `ev.evaluate`.\n\n" + _program(TRAIN)
    )


def inspect_page() -> str:
    """The flags of `model_inspect.py`."""
    return (
        "# Options of exports and predictions\n\n"
        "Generated from the code by `make docs`. These are the flags of `model_inspect.py`, of\n"
        "`efficientvision export`, `benchmark` and `inspect`, and the keyword arguments of\n"
        "`ev.export` and `ev.benchmark`.\n\n" + _program(INSPECT)
    )


def converters_page() -> str:
    """The flags of the programs in `dataset/`."""
    parts = ["# Options of the converters\n\nGenerated from the code by `make docs`.\n"]
    for path in sorted((ROOT / "dataset").glob("*.py")):
        flags = declared_flags(path)
        summary = (ast.get_docstring(ast.parse(path.read_text("utf8"))) or "").partition("\n")[0]
        if flags:
            parts.append(f"## {path.name}\n\n{summary}\n\n{_table(flags)}")
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
    parts = [_table(IMPLEMENTED[program])]
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


def _table(flags: Mapping[str, FlagSpec]) -> str:
    lines = [
        [f"`--{name}`", _type(spec.type), value(spec.default), with_flags(spec.help)]
        for name, spec in flags.items()
    ]
    return table(["flag", "type", "default", "meaning"], lines)


def _type(kind: object) -> str:
    choices = kind() if callable(kind) else kind
    if isinstance(choices, str):
        return {"str": "text", "string": "text", "int": "integer", "float": "number"}.get(
            choices, choices
        )
    return ", ".join(f"`{choice}`" for choice in choices if choice)
