"""The package as it is built and described."""

import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

import efficientvision
from efficientvision.cli import command
from efficientvision.configs.recipes import find_recipe, recipe_names
from efficientvision.registry import list_models
from efficientvision.tasks.choice import get_config

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_one_version():
    cited = re.search(r"(?m)^version: (.*)$", (ROOT / "CITATION.cff").read_text())[1]
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert cited == efficientvision.__version__
    assert f"## {cited}" in (ROOT / "CHANGELOG.md").read_text()


def test_what_it_needs():
    assert "keras>=3.13.2" in PROJECT["project"]["dependencies"]
    module, _, function = PROJECT["project"]["scripts"]["efficientvision"].partition(":")
    assert (module, function) == (command.__name__, command.main.__name__)


def test_recipes_are_found_by_name_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = sorted(path.stem for path in (ROOT / "hparams").glob("*.yaml"))
    assert recipe_names() == files
    for name in ("bccd", "bccd.yaml", "hparams/bccd.yaml"):
        assert find_recipe(name) == str(ROOT / "hparams/bccd.yaml")
        assert get_config("efficientdet-d0", f"{name},num_classes=5").num_classes == 5
        assert get_config("efficientdet-d0", f"num_classes=5,{name}").num_classes == 3
    assert find_recipe("elsewhere/bccd.yaml") is None and find_recipe("bcd") is None
    # A file of that name comes first; a bare word may continue a list.
    (tmp_path / "bccd.yaml").write_text("num_classes: 7\n")
    assert get_config("efficientdet-d0", "bccd.yaml").num_classes == 7
    config = get_config("efficientdet-d0", "heads=object_detection,segmentation")
    assert config.heads == ("object_detection", "segmentation")
    assert not set(files) & set(list_models())


@pytest.mark.slow
def test_built_package_has_recipes_and_data(tmp_path):
    build = ["build", "--build-base", str(tmp_path), "--build-lib", str(tmp_path / "lib")]
    egg = ["egg_info", "--egg-base", str(tmp_path)]
    subprocess.run(
        [sys.executable, "setup.py", "-q", *egg, *build], cwd=ROOT, check=True, timeout=300
    )
    package = tmp_path / "lib" / "efficientvision"
    built = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    source = {path.relative_to(ROOT).as_posix() for path in (ROOT / "hparams").glob("*.yaml")}
    assert source <= built
    files = {"data/imagenet_names.txt", "report/style.css", "video/live.html"}
    assert files | {"py.typed", "__main__.py"} <= built
