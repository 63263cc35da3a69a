"""The generated reference is complete, and needs no deep learning library."""

import re
import subprocess
import sys

import pytest

import efficientvision
from docs.generate import api, copies, recipes
from docs.generate.hyper_parameters import KINDS, added_fields
from efficientvision.cli.command import NAMES, find_command
from efficientvision.cli.flags import IMPLEMENTED, INSPECT, TRAIN
from efficientvision.configs.run_options import EXPORT_FORMATS
from tests.conftest import REPOSITORY
from tests.docs.markdown_pages import all_pages


def page(name):
    return all_pages()[f"docs/reference/{name}"]


def test_every_public_name_is_documented():
    assert set(efficientvision.__all__) <= api.documented_names()


def test_documented_classes_are_where_the_page_looks_for_them():
    for name in api.documented_names():
        module, _, own = (api.full_name(name) or "").rpartition(".")
        if module:
            source = REPOSITORY / f"{module.replace('.', '/')}.py"
            assert re.search(
                rf"^(class|def|from .* import) .*\b{own}\b", source.read_text("utf8"), re.M
            ), name


def test_every_hyper_parameter_has_a_meaning():
    text = page("hyper-parameters.md")
    for title, kind, base, _ in KINDS:
        for name, field in added_fields(kind, base).items():
            row = re.search(rf"^\| `{name}` \| .*\| (.*) \|$", text, re.M)
            assert row and len(field.metadata["doc"]) >= 8, f"{title}: {name}"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("options-train.md", IMPLEMENTED[TRAIN]),
        ("options-inspect.md", IMPLEMENTED[INSPECT]),
        *(
            (
                "commands.md",
                {o: spec for group in find_command(c).groups.values() for o, spec in group.items()},
            )
            for c in NAMES
        ),
    ],
)
def test_every_option_is_listed(name, options):
    text = page(name)
    assert all(f"| `--{option}` |" in text for option in options)


def test_every_recipe_and_format_is_listed():
    names = [path.stem for path in (REPOSITORY / "hparams").glob("*.yaml")]
    assert all(f"\n## {name}\n" in page("recipes.md") for name in names)
    assert all(f"| `{name}` |" in page("formats.md") for name in EXPORT_FORMATS)


def test_the_head_of_a_recipe_is_its_comment():
    assert recipes.split("# a\n#\n#   b\n\nx: 1  # c\n") == ("a\n\n  b", "x: 1  # c")


def test_converters_are_listed():
    text = page("options-convert.md")
    for program in (REPOSITORY / "dataset").glob("*.py"):
        assert f"\n## {program.name}\n" in text
    assert text.count("| `--val_fraction` |") >= 3


def test_links_of_copies_lead_to_the_same_place():
    text = "[a](docs/design.md) [b](CHANGELOG.md#x) [c](LICENSE) [d](https://x.y) [e](#f)"
    moved = copies.moved(text)
    assert "](../design.md)" in moved and "](changelog.md#x)" in moved
    assert "/blob/main/LICENSE)" in moved and "](https://x.y) [e](#f)" in moved


@pytest.mark.slow
def test_it_is_made_without_a_deep_learning_library():
    program = (
        "import sys\nfrom docs.generate.__main__ import pages\npages()\n"
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
