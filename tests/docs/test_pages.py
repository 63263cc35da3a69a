"""The documentation holds together: links, anchors, table of contents, options, size of README."""

import re

import yaml
from absl import flags

from efficientvision.cli.command import NAMES as COMMANDS
from efficientvision.cli.command import find_command
from efficientvision.cli.compat.demos import DETECTION, SEGMENTATION
from efficientvision.cli.compat.rows import NAMES
from efficientvision.cli.flags import ALIASES, IMPLEMENTED, INVALID, OBSOLETE
from efficientvision.configs.apply import field_table
from efficientvision.configs.hyperparameter_lists import ALIASES as OTHER_NAMES
from efficientvision.registry import TASKS, list_models
from efficientvision.tasks.choice import get_config
from tests.conftest import REPOSITORY
from tests.docs.markdown_pages import (
    README,
    all_pages,
    anchors,
    links,
    option_names,
    prose,
    resolved,
    written_pages,
)

# Options of programs that are not part of this project, and names that stand for any.
FOREIGN = {"name", "help", "version"}
PROGRAMS = ("benchmarks", "dataset", "demo")


def test_links_lead_somewhere():
    pages, broken = all_pages(), []
    for page, text in pages.items():
        for target in (t for t in links(text) if "://" not in t):
            path, anchor = resolved(page, target)
            if path not in pages and not (REPOSITORY / path).is_file():
                broken.append(f"{page}: {target}")
            elif anchor and anchor not in anchors(pages[path]):
                broken.append(f"{page}: {target}: no such heading")
    assert not broken, "\n".join(broken)


def test_readme_links_to_files_of_the_repository():
    """Generated pages are not among them."""
    for target in links(README.read_text("utf8")):
        assert "://" in target or (REPOSITORY / target.partition("#")[0]).is_file(), target


def test_readme_is_short():
    assert README.stat().st_size <= 8192


def test_every_page_is_in_the_table_of_contents():
    config = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text("utf8"))

    def listed(entry):
        if isinstance(entry, str):
            return [entry]
        values = entry.values() if isinstance(entry, dict) else entry
        return [page for value in values for page in listed(value)]

    contents = listed(config["nav"])
    assert len(contents) == len(set(contents))
    pages = {page.removeprefix("docs/") for page in all_pages() if page.startswith("docs/")}
    assert set(contents) == pages


def test_pages_begin_with_one_title():
    for page, text in all_pages().items():
        titles = re.findall(r"^# .+$", prose(text), re.M)
        assert len(titles) == 1 and text.startswith(titles[0]), page


def test_pages_name_no_place_of_a_developer():
    for page, text in written_pages().items():
        assert not re.search(r"/(work|home|root|Users)/", text), page


def known_options():
    """Names of all options and hyper-parameters, with underscores."""
    names = {*FOREIGN, *OTHER_NAMES}
    for tables in (IMPLEMENTED, ALIASES, OBSOLETE, INVALID):
        names |= {name for table in tables.values() for name in table}
    for task in TASKS:
        for model in (list_models(task)[0], list_models(task)[-1]):
            names |= set(field_table(get_config(model, task=task)))
    for command in map(find_command, COMMANDS):
        names |= {name for group in command.groups.values() for name in group}
    for path in (p for folder in PROGRAMS for p in (REPOSITORY / folder).iterdir()):
        if path.suffix in (".py", ".sh"):
            names |= option_names(path)
    for demo in (DETECTION, SEGMENTATION):
        values = flags.FlagValues()
        demo.define_flags(values)
        names |= set(values)
    return names | NAMES


def test_options_in_running_text_exist():
    known = known_options()
    unknown = [
        f"{page}: --{name}"
        for page, text in written_pages().items()
        for code in re.findall(r"`([^`\n]+)`", prose(text))
        for name in re.findall(r"(?<![\w-])--([A-Za-z][\w-]*)", code)
        if not {name.replace("-", "_"), name.removeprefix("no")} & known
    ]
    assert not unknown, "\n".join(unknown)


def test_every_flag_of_edgenets_is_in_its_table():
    text = written_pages()["docs/edgenets.md"]
    missing = [
        name for name in NAMES if not re.search(rf"--{name.replace('_', '[-_]')}\b", text, re.I)
    ]
    assert not missing
