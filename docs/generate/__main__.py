"""Writes the generated pages into docs/reference (`make docs`), which git ignores.

python -m docs.generate
"""

import pathlib

from docs.generate import api, commands, copies, formats, hyper_parameters, options, recipes
from efficientvision import files

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "reference"


def pages() -> dict[str, str]:
    """File name -> text of every generated page."""
    return {
        **api.pages(),
        "hyper-parameters.md": hyper_parameters.page(),
        "commands.md": commands.page(),
        "options-train.md": options.main_page(),
        "options-inspect.md": options.inspect_page(),
        "options-convert.md": options.converters_page(),
        "recipes.md": recipes.page(),
        "formats.md": formats.page(),
        **copies.pages(),
    }


def main() -> None:
    """Writes the pages; deletes those of earlier versions."""
    FOLDER.mkdir(exist_ok=True)
    texts = pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        files.write_bytes(FOLDER / name, text.encode())
    print(f"{FOLDER}: {len(texts)} pages")


if __name__ == "__main__":
    main()
