"""The page of the recipes, from the comments at the head of each YAML file."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]


def page() -> str:
    """Returns the text of the page."""
    parts = [
        "# Recipes\n\nGenerated from the files by `make docs`. A recipe is a YAML file of "
        "hyper-parameters;\neach begins with its commands and with what to expect.\n"
    ]
    for path in sorted((ROOT / "hparams").glob("*.yaml")):
        comment, settings = split(path.read_text("utf8"))
        parts.append(
            f"## {path.stem}\n\n`hparams/{path.name}`\n\n```text\n{comment}\n```\n\n"
            f"```yaml\n{settings}\n```\n"
        )
    return "\n".join(parts)


def split(text: str) -> tuple[str, str]:
    """The comment at the head of a recipe without its signs, and the rest."""
    lines = text.splitlines()
    end = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    comment = "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines[:end])
    return comment, "\n".join(lines[end:]).strip("\n")
