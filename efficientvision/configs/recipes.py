"""The recipes that come with the package (`hparams/*.yaml`), found by name from any folder."""

from __future__ import annotations

import pathlib

_PACKAGE = pathlib.Path(__file__).resolve().parents[1]
# In an installed package, and in a checkout of the repository.
_FOLDERS = (_PACKAGE / "hparams", _PACKAGE.parent / "hparams")
ENDINGS = (".yaml", ".yml")


def recipe_folder() -> pathlib.Path | None:
    """Returns the folder of the recipes; None if they were not installed."""
    return next((folder for folder in _FOLDERS if folder.is_dir()), None)


def recipe_names() -> list[str]:
    """Lists the names of all recipes, sorted."""
    folder = recipe_folder()
    return sorted(path.stem for path in folder.glob("*.yaml")) if folder else []


def find_recipe(name: str) -> str | None:
    """Returns the path of a recipe; None if there is none of that name.

    Args:
        name: `"bccd"`; `"bccd.yaml"` and `"hparams/bccd.yaml"` mean the same.
    """
    path = pathlib.PurePosixPath(name.replace("\\", "/"))
    stem = path.stem if path.suffix in ENDINGS else path.name
    if str(path.parent) not in (".", "hparams") or stem not in recipe_names():
        return None
    folder = recipe_folder()
    return str(folder / f"{stem}.yaml") if folder else None
