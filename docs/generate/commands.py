"""The page of the command `efficientvision`, from the tables that its help is made of."""

from docs.generate.markdown import flag_table, table
from efficientvision.cli.command import NAMES, find_command
from efficientvision.cli.commands.base import Command


def page() -> str:
    """Returns the text of the page."""
    parts = [
        "# Commands\n\nGenerated from the code by `make docs`. Options may stand anywhere after "
        "the command:\n`--name=value`. A wrong name or value is an error that suggests the nearest "
        "valid one.\n"
    ]
    return "\n".join([*parts, *(_chapter(find_command(name)) for name in NAMES)])


def _chapter(command: Command) -> str:
    parts = [f"## {command.name}\n", f"{command.summary}\n", f"```text\n{command.usage}\n```\n"]
    if command.details.strip():
        parts.append(command.details.strip() + "\n")
    parts.append(table(["example", "what it does"], [[f"`{a}`", b] for a, b in command.examples]))
    if command.arguments:
        lines = [[f"`{argument.name}`", argument.help] for argument in command.arguments]
        parts.append(table(["argument", "meaning"], lines))
    for title, group in command.groups.items():
        if group:
            texts = {name: command.texts.get(name, spec.help) for name, spec in group.items()}
            shown = flag_table(group, command.defaults, texts)
            parts.append(f"### {command.name.capitalize()}: {title.lower()}\n\n{shown}")
    if command.split is not None:
        parts.append(
            "[Hyper-parameters](hyper-parameters.md) are options too: `--learning_rate=0.01`.\n"
        )
    return "\n".join(parts)
