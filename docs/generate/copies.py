"""Pages whose source is elsewhere: the notebook, and files at the root of the project."""

import json
import pathlib
import re
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
# File at the root -> page.
_FILES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}


def pages() -> dict[str, str]:
    """File name -> text of each page."""
    copies = {
        page: moved((ROOT / name).read_text("utf8"))
        for name, page in _FILES.items()
        if (ROOT / name).is_file()
    }
    return {"tutorial.md": _tutorial(), **copies}


def moved(text: str) -> str:
    """A text of the root with links that are right in docs/reference."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
    source = project["urls"]["Source"] + "/blob/main/"

    def link(match: re.Match) -> str:
        target = match[1]
        if "://" in target or target.startswith("#"):
            return match[0]
        if target.startswith("docs/"):
            return f"](../{target.removeprefix('docs/')})"
        path, sign, anchor = target.partition("#")
        return f"]({_FILES.get(path) or source + path}{sign}{anchor})"

    return re.sub(r"\]\(([^)\s]+)\)", link, text)


def _tutorial() -> str:
    cells = json.loads((ROOT / "docs/tutorial.ipynb").read_text("utf8"))["cells"]
    parts = []
    for cell in cells:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    return "\n\n".join(parts) + "\n"
