"""A command of `efficientvision`: its arguments, its options in groups, its help."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from absl import flags

from efficientvision.cli import run_main
from efficientvision.cli.flags import FlagSpec, define_flag, specs_of
from efficientvision.errors import UserError

_WIDTH = 78
INDENT = 6
_NO_DEFAULT = (None, "", False, ())
REST = "Other options"
# The commands have no modes.
_MODE = re.compile(r"`(run)?mode=\w+`:? ")
TRUST = "run a SavedModel or frozen graph even if its operations can read and write files"


class Argument(NamedTuple):
    """A positional argument.

    Attributes:
        name: In capitals, as in the help.
        help: Its meaning.
        required: Whether it must be given.
        options: Names of the options it stands for, as messages of the library call it.
        many: Whether it may be repeated; only the last one.
    """

    name: str
    help: str
    required: bool = True
    options: tuple[str, ...] = ()
    many: bool = False


class Call(NamedTuple):
    """A parsed command line.

    Attributes:
        words: Values of the positional arguments; None for an optional one that is missing.
        options: The options that were given, by name.
        hyper_parameters: The hyper-parameters that were given, by name, as text.
        flag_values: The parsed flags.
    """

    words: list[str | None]
    options: dict[str, Any]
    hyper_parameters: dict[str, Any]
    flag_values: flags.FlagValues


# Returns (the words without hyper-parameters, the hyper-parameters, the names of all).
SplitHyperParameters = Callable[
    [list[str], Collection[str]], tuple[list[str], dict[str, Any], list[str]]
]


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command.

    Attributes:
        name: Its name.
        summary: One line.
        details: Paragraphs of the help, below the summary.
        examples: Command lines, each with what it does.
        arguments: Its positional arguments, the optional ones last.
        groups: Title -> options by name.
        defaults: Texts for defaults that differ from the option's own.
        texts: Help texts that differ from the option's own.
        run: Does the work; its result is the exit code if it is an int.
        check: Checks the command line before a deep learning library is imported.
        split: Takes the hyper-parameters out of the command line; None: there are none.
        more_help: Returns further help for the words of the command line, e.g. on a model.
    """

    name: str
    summary: str
    examples: Sequence[tuple[str, str]]
    run: Callable[[Call], Any]
    check: Callable[[Call], Any] | None = None
    details: str = ""
    arguments: Sequence[Argument] = ()
    groups: Mapping[str, Mapping[str, FlagSpec]] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    split: SplitHyperParameters | None = None
    more_help: Callable[[list[str]], str] | None = None

    def __call__(self, words: list[str], flag_values: flags.FlagValues | None = None) -> None:
        """Parses a command line, does the work, and exits with its code.

        Args:
            words: What follows the command's name.
            flag_values: Where to declare the flags; by default they are new.

        Raises:
            SystemExit: See `run_main`.
        """
        values = flags.FlagValues() if flag_values is None else flag_values
        values.set_gnu_getopt()  # Options may follow arguments.
        for group in self.groups.values():
            for name, spec in group.items():
                define_flag(name, spec, values)
        hyper_parameters: dict[str, Any] = {}
        names: list[str] = []

        def translate(argv: list[str]) -> list[str]:
            if self.split is None:
                return argv
            rest, found, known = self.split(argv[1:], list(values))
            hyper_parameters.update(found)
            names.extend(known)
            return [argv[0], *rest]

        def call(rest: list[str]) -> Call:
            given = {name: values[name].value for name in self._names if values[name].present}
            return Call(self._words(rest[1:]), given, hyper_parameters, values)

        def check(rest: list[str]) -> None:
            parsed = call(rest)
            if self.check is not None:
                self.check(parsed)

        run_main(
            lambda rest: self.run(call(rest)),
            [f"efficientvision {self.name}", *words],
            flag_values=values,
            translate=translate,
            check=check,
            help_text=lambda: self.help_text(words),
            more_names=names,
            argument_names={option: a.name for a in self.arguments for option in a.options},
        )

    @property
    def _names(self) -> list[str]:
        return [name for group in self.groups.values() for name in group]

    @property
    def usage(self) -> str:
        """The command line in short."""
        words = [
            (a.name if a.required else f"[{a.name}]") + (" ..." if a.many else "")
            for a in self.arguments
        ]
        return " ".join(["efficientvision", self.name, *words, "[--option=value ...]"])

    def _words(self, words: list[str]) -> list[str | None]:
        missing = [a for a in self.arguments if a.required][len(words) :]
        if missing:
            raise UserError(f"{missing[0].name} is missing: {missing[0].help}. Usage: {self.usage}")
        takes_more = any(argument.many for argument in self.arguments)
        if len(words) > len(self.arguments) and not takes_more:
            extra = words[len(self.arguments)]
            raise UserError(
                f"Unexpected argument {extra!r}: write options as --name=value. Usage: {self.usage}"
            )
        return [*words, *[None] * (len(self.arguments) - len(words))]

    def help_text(self, words: list[str]) -> str:
        """The text of `--help`, at most 80 columns wide."""
        lines = [f"Usage: {self.usage}", "", *wrapped(self.summary, 0)]
        if self.details:
            lines += ["", *self.details.strip().splitlines()]
        lines += ["", "Examples:"]
        for command, what in self.examples:
            lines += [f"  {command}", *wrapped(what, INDENT)]
        if self.arguments:
            lines += ["", "Arguments:"]
            for argument in self.arguments:
                lines += [f"  {argument.name}", *wrapped(argument.help, INDENT)]
        for title, group in self.groups.items():
            lines += ["", f"{title}:"] if group else []
            for name, spec in group.items():
                lines += [_heading(name, spec), *wrapped(self._option_help(name, spec), INDENT)]
        if self.more_help is not None:
            lines += ["", self.more_help([word for word in words if not word.startswith("-")])]
        return "\n".join(lines)

    def _option_help(self, name: str, spec: FlagSpec) -> str:
        text = self.texts.get(name, spec.help)
        default = self.defaults.get(name)
        if default is None and spec.default not in _NO_DEFAULT and "default" not in text:
            default = str(spec.default).lower() if spec.type == "bool" else str(spec.default)
        return text + (f" (default: {default})" if default else "")


def _heading(name: str, spec: FlagSpec) -> str:
    kind = spec.type() if callable(spec.type) else spec.type
    if isinstance(kind, tuple):
        shown = "|".join(choice for choice in kind if choice)
        # A long list is part of the option's text.
        return f"  --{name}={shown}" if len(shown) <= _WIDTH - len(name) - 5 else f"  --{name}"
    if kind == "bool":
        return f"  --[no]{name}" if spec.default else f"  --{name}"
    return f"  --{name}={_VALUE[kind]}"


_VALUE = {"str": "TEXT", "int": "N", "float": "NUMBER", "ints": "N"}


def wrapped(text: str, indent: int) -> list[str]:
    """Breaks a text into lines for an 80-column terminal, indented by that number of spaces."""
    space = " " * indent
    words = " ".join(text.split())
    return textwrap.wrap(words, _WIDTH, initial_indent=space, subsequent_indent=space)


def grouped(
    options: type, groups: Mapping[str, Sequence[str]], leave_out: Collection[str] = ()
) -> dict[str, dict[str, FlagSpec]]:
    """Sorts the options of a dataclass into groups; the rest form a group of their own.

    Args:
        options: `RunOptions`, `InspectSettings` or the like.
        groups: Title -> names; names that the dataclass lacks are left out.
        leave_out: Names that the command does not offer.
    """
    specs = {
        name: spec._replace(help=_MODE.sub("", spec.help))
        for name, spec in specs_of(options).items()
    }
    sorted_in = {
        title: {name: specs[name] for name in names if name in specs and name not in leave_out}
        for title, names in groups.items()
    }
    done = {name for group in sorted_in.values() for name in group}
    rest = {n: spec for n, spec in specs.items() if n not in done and n not in leave_out}
    return {**sorted_in, REST: rest}
