"""The site builds strictly, as `make docs` builds it, and needs nothing from elsewhere."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY


@pytest.mark.slow
def test_make_docs(tmp_path):
    if importlib.util.find_spec("zensical") is None:
        pytest.skip("zensical is not installed (the extra docs)")
    for name in ("mkdocs.yml", "pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(REPOSITORY / name, tmp_path)
    shutil.copytree(REPOSITORY / "docs", tmp_path / "docs")
    for name in ("efficientvision", "hparams", "dataset"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    for command in (["docs.generate"], ["zensical", "build", "--strict", "--clean"]):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    site = tmp_path / "site"
    index = json.loads((site / "search.json").read_text("utf8"))
    found = {item["location"].partition("#")[0] for item in index["items"]}
    assert {"get-started.html", "reference/hyper-parameters.html"} <= found
    assert "build_model" in (site / "reference/api-networks.html").read_text("utf8")
    for path in site.rglob("*.html"):
        text = path.read_text("utf8")
        loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="?(https?:[^"> ]+)', text)
        assert all("badge" in url for url in loaded if "canonical" not in url), (path, loaded)
