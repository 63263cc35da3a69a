"""Every block of commands or Python in the documentation is valid, and run by a test or excused.

`command_blocks.yaml` says for each block which tests run it, or why none does. A block has an id by
its text: whoever changes a block looks at its tests again, and enters the new id.
"""

import ast
import contextlib
import dataclasses
import functools
import importlib
import io
import os
import re

import pytest
import yaml
from absl import flags

import efficientvision
from efficientvision.cli.command import find_command
from efficientvision.cli.compat import edgenets
from efficientvision.cli.compat.demos import DETECTION, SEGMENTATION, edgenets_spelling
from efficientvision.cli.flags import define_inspect_flags, define_train_flags
from efficientvision.configs.overrides import read_overrides
from efficientvision.errors import UserError
from efficientvision.tasks.choice import get_config
from tests.conftest import REPOSITORY
from tests.docs.markdown_pages import Block, blocks, commands, option_names, written_pages

TABLE = REPOSITORY / "tests/docs/command_blocks.yaml"
BLOCKS = [block for page in written_pages() for block in blocks(page)]
PROGRAMS = {
    "main.py": define_train_flags,
    "model_inspect.py": define_inspect_flags,
    "detection_demo.py": DETECTION.define_flags,
    "segmentation_demo.py": SEGMENTATION.define_flags,
}
TRANSLATIONS = {
    "main.py": functools.partial(edgenets.translate, say=lambda text: None),
    "detection_demo.py": edgenets_spelling,
    "segmentation_demo.py": edgenets_spelling,
}
# Programs whose options are theirs.
FOREIGN = {"git", "pip", "make", "cd", "mkdir", "docker", "labelformat", "for", "done"}


@functools.cache
def table():
    """(page, id of the block) -> its entry."""
    content = yaml.safe_load(TABLE.read_text("utf8"))
    return {(page, entry["id"]): entry for page, entries in content.items() for entry in entries}


def first_line(block: Block) -> str:
    """The line that shows a reader of the table which block is meant."""
    lines = [line.strip() for line in block.text.splitlines()]
    own = [line for line in lines if line and not line.startswith(("#", "import ", "from "))]
    return " ".join(own[0].split())


def test_every_block_is_in_the_table():
    known = {(block.page, block.id): first_line(block) for block in BLOCKS}
    new = [
        f'{page}:\n  - id: "{number}"\n    starts: {known[page, number]!r}\n    run: [tests/...]'
        for page, number in known.keys() - table().keys()
    ]
    assert not new, f"not in {TABLE.name}:\n" + "\n".join(new)
    assert not table().keys() - known.keys(), "blocks that are no longer there"
    for key, entry in table().items():
        assert entry["starts"] == known[key], key


def test_entries_name_tests_that_exist_or_a_reason():
    for key, entry in table().items():
        assert entry.keys() <= {"id", "starts", "run", "not_run"}, key
        assert entry.get("run") or len(entry["not_run"]) > 15, key
        for name in entry.get("run", ()):
            path, _, function = name.partition("::")
            text = (REPOSITORY / path).read_text("utf8")
            assert re.search(rf"^def {function}\(", text, re.M), f"{key}: {name}"


@pytest.mark.parametrize(
    "block",
    [block for block in BLOCKS if block.language == "bash"],
    ids=lambda block: f"{block.page}-{block.id}",
)
def test_commands_are_valid(block, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    for words in commands(block):
        check_command(words)


def check_command(words):
    """Parses a command line with the program's own flags."""
    words = [w for w in words if w not in ("...", "&", "do", "exec", "srun")]
    while words and (re.match(r"[A-Z_]+=", words[0]) or words[0].startswith("--kill-on")):
        words = words[1:]
    if not words or words[0] in FOREIGN:
        return
    if words[0].startswith("--hparams="):
        list(read_overrides(words[0].partition("=")[2]))
        return
    if words[0] == "efficientvision":
        return check_efficientvision(words[1], words[2:])
    if words[0].endswith(".sh"):
        return check_names(words[0], words[1:])
    assert words[0] == "python", words
    program, arguments = words[1], words[2:]
    if program == "-":
        return
    if program not in PROGRAMS:
        return check_names(program, arguments)
    values = flags.FlagValues()
    PROGRAMS[program](values)
    translated = TRANSLATIONS.get(program, list)([program, *arguments])
    assert values(translated)[1:] == [], words
    if "hparams" in values:
        check_hyper_parameters(values)


def check_hyper_parameters(values):
    """Reads `--hparams` as the named model does, unless a recipe is the reader's own."""
    text, model = values["hparams"].value, values["model_name"].value
    recipes = re.findall(r"[\w./]+\.yaml", text or "")
    if text and values["model_name"].present and all(map(os.path.isfile, recipes)):
        get_config(model, text, task=values["task"].value or None)


def check_efficientvision(name, words):
    """Parses a command line of the command, without its check of files."""
    calls = []
    tried = dataclasses.replace(find_command(name), run=calls.append, check=None)
    said = io.StringIO()
    with contextlib.redirect_stderr(said), pytest.raises(SystemExit) as ended:
        tried(words)
    assert ended.value.code == 0 and len(calls) == 1, said.getvalue()


def check_names(program, words):
    """Checks that a program's source has these options."""
    known = option_names(REPOSITORY / program)
    for word in words:
        if word.startswith("--"):
            assert word[2:].partition("=")[0] in known, (program, word)


def test_python_blocks_use_names_that_exist():
    for block in BLOCKS:
        if block.language != "python":
            continue
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.value.id == "ev":
                    assert node.attr in efficientvision.__all__, f"{block.page}: ev.{node.attr}"
            if isinstance(node, ast.ImportFrom) and node.module.startswith("efficientvision"):
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names), block.page


def test_a_wrong_command_is_found():
    for line in (
        "python main.py --mode=trian_and_evil --modle_dir=x",
        "efficientvision train efficientdet-lite0 photos --lerning_rate=1",
        "python dataset/create_coco_tfrecord.py --image_dirs=x",
        "python main.py --model_name=efficientdet-d0 --hparams=anchor_scales=3",
        "dataset/download_coco.sh --output=x",
    ):
        with pytest.raises((AssertionError, flags.Error, UserError)):
            check_command(line.split())
