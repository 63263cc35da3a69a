"""Builds the package; pyproject.toml describes it. Copies the recipes of hparams/ into it."""

import pathlib

from setuptools import setup
from setuptools.command.build_py import build_py

_RECIPES = pathlib.Path(__file__).parent / "hparams"


class BuildWithRecipes(build_py):
    """`build_py` that adds `hparams/*.yaml` to the package, where `find_recipe` looks for them."""

    def run(self):
        super().run()
        if self.editable_mode:  # Then they are read from the source folder.
            return
        target = pathlib.Path(self.build_lib) / "efficientvision" / "hparams"
        self.mkpath(str(target))
        for recipe in sorted(_RECIPES.glob("*.yaml")):
            self.copy_file(str(recipe), str(target / recipe.name))


setup(cmdclass={"build_py": BuildWithRecipes})
