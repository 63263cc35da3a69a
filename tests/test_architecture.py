"""The rules of the house: who may import whom, what stays lazy, what stays out of the files."""

import ast
import functools
import pathlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "efficientvision"

# Each group may import itself where it is a package, and every group to its left (above).
# Members of one group do not import each other, except as SIDEWAYS says.
#
# The core ends with `tasks-front`: the part of `tasks/` that joins a task's pieces for those who
# call it (the interface, each folder's `task.py`, predictors, checks of data and exports). The
# rest of `tasks/` stands below training, and knows nothing of it.
ORDER = [
    {"errors", "files", "progress", "output_folder"},
    {"configs", "registry"},
    {"layers"},
    {"backbones"},
    {"data", "evaluation", "visualize", "video", "results"},
    {"tasks"},
    {"weights", "training", "exports"},
    {"api", "loading"},
    {"preflight"},
    {"tasks-front"},
    {"report"},
    {"runs"},
    {"cli"},
]
# Within a group: importer -> what it may import beside itself.
SIDEWAYS = {
    "files": {"errors"},
    "output_folder": {"errors", "files"},
    "configs": {"registry"},
    "visualize": {"data"},  # The one conversion of pictures to 8 bits.
    "evaluation": {"data"},  # The one IoU.
    "results": {"data"},  # Names of files and classes.
    "weights": {"training"},  # Our own run folders are read by the reader of training/.
    "training": {"weights"},  # Runs begin from published checkpoints.
    "exports": {"weights"},
    "loading": {"api"},
}
# Files of tasks/ and of its folders.
FRONT = {
    *("base.py", "setup.py", "task.py", "detection_task.py", "predictor.py", "photo_sized.py"),
    *("export_checks.py", "evaluate_export.py", "fit.py", "results.py", "testdev.py"),
    *("checks.py", "data_checks.py", "anchor_checks.py", "box_checks.py", "class_names.py"),
    *("ground_truth_checks.py", "name_checks.py", "checkpoint.py", "data_defaults.py"),
}
TASK_FOLDERS = {"detection", "classification", "segmentation"}
KERAS_ONLY = [
    *("layers", "backbones", "tasks/classification/network.py", "tasks/segmentation/network.py"),
    *("tasks/detection/efficientdet.py", "tasks/detection/segmentation_head.py"),
    "tasks/detection/ssd.py",
]

# Keras calls these with tensors or shapes; the class docstrings say which.
CALLED_BY_KERAS = {"build", "call", "compute_output_shape"}


def _sources(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(folder.rglob("*.py"))


def _part(path: pathlib.Path) -> str:
    """The part of the package that a file belongs to: `layers/conv.py` -> layers.

    A `__main__.py` is a command line, whatever package it stands for.
    """
    if path.name == "__main__.py":
        return "cli"
    first, last = path.relative_to(PACKAGE).parts[0], path.name
    if first == "tasks" and last in FRONT:
        return "tasks-front"
    return first.removesuffix(".py")


@functools.cache
def _tree(path: pathlib.Path) -> ast.Module:
    """A file without its imports for annotations, which do not happen when it runs."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    return tree


@functools.cache
def _imported_modules(path: pathlib.Path, top_level_only: bool = False) -> set[str]:
    """Dotted names of every module that a file imports, relative imports resolved."""
    tree = _tree(path)
    package = ("efficientvision", *path.relative_to(PACKAGE).parts[:-1])
    names = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            names.add(module)
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return names


def _imported_files(path: pathlib.Path, top_level_only: bool = False) -> set[pathlib.Path]:
    """Files of our own package that a file imports."""
    found = set()
    for module in _imported_modules(path, top_level_only):
        pieces = module.split(".")
        if pieces[0] == "efficientvision":
            file = PACKAGE.joinpath(*pieces[1:])
            found |= {p for p in (file.with_suffix(".py"), file / "__init__.py") if p.exists()}
    return found - {path, PACKAGE / "__init__.py", PACKAGE / "tasks" / "__init__.py"}


def _imported_parts(path: pathlib.Path) -> set[str]:
    """Parts of our own package that a file imports."""
    return {_part(file) for file in _imported_files(path)}


def test_every_part_has_a_place_in_the_order():
    parts = {_part(path) for path in _sources(PACKAGE)} - {"__init__"}
    assert parts <= set.union(*ORDER)


@pytest.mark.parametrize("part", sorted(set.union(*ORDER)))
def test_imports_only_what_stands_to_its_left(part):
    level = next(i for i, group in enumerate(ORDER) if part in group)
    allowed = set().union({part}, SIDEWAYS.get(part, set()), *ORDER[:level])
    wrong = {
        str(path.relative_to(REPOSITORY)): sorted(_imported_parts(path) - allowed)
        for path in _sources(PACKAGE)
        if _part(path) == part and _imported_parts(path) - allowed
    }
    assert not wrong


def test_no_files_import_each_other_in_a_circle():
    """At import: a reader that is opened on demand, and names for annotations, are no circle."""
    below = {path: _imported_files(path, top_level_only=True) for path in _sources(PACKAGE)}
    while ready := [path for path, files in below.items() if not files & below.keys()]:
        for path in ready:
            del below[path]
    assert not sorted(str(path.relative_to(PACKAGE)) for path in below)


def test_generic_rooms_know_tasks_by_their_interface():
    """Outside `tasks/` no file imports from the folder of a task."""
    wrong = {
        str(path.relative_to(PACKAGE)): sorted(str(file.relative_to(PACKAGE)) for file in inside)
        for path in _sources(PACKAGE)
        if path.relative_to(PACKAGE).parts[0] != "tasks"
        if (inside := {f for f in _imported_files(path) if TASK_FOLDERS & set(f.parts[-2:-1])})
    }
    assert not wrong


def test_nothing_asks_for_the_type_of_a_configuration():
    """A task answers for itself: generic code calls `tasks.base.Task`."""
    asks = re.compile(r"isinstance\([^)]*(Config|Metadata)\b")
    wrong = [
        str(path.relative_to(PACKAGE))
        for path in _sources(PACKAGE)
        if path.relative_to(PACKAGE).parts[0] != "tasks"
        if asks.search(path.read_text(encoding="utf-8"))
    ]
    assert not wrong


# Words of the formats that data come in: COCO's and the record's keys, VOC's folders, names that
# folders of masks bear.
FORMAT_WORDS = {
    *("segmentation", "image/segmentation/class/encoded", "image/segmentation/class/format"),
    *("Segmentation", "SegmentationClass", "segmentationclass", "_segmentation"),
    r"(.+?)[ _-]?(?:masks?|labels?|annots?|annotations?|gt|segmentations?)",
}
# The public names of the package; the texts of the tables of flags.
KNOW_SEGMENTATION = {
    "__init__.py",
    *(f"configs/{table}_options.py" for table in ("inspect", "predict", "run")),
}


def _words(path: pathlib.Path) -> set[str]:
    """Names and strings of a file, without docstrings and comments."""
    nodes = list(ast.walk(_tree(path)))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in nodes
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None
    }
    words = set()
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            words |= set() if id(node) in docstrings else {node.value}
        elif isinstance(node, ast.ImportFrom):
            words |= {node.module or "", *(alias.name for alias in node.names)}
        else:
            fields = (getattr(node, field, None) for field in ("id", "attr", "name", "arg"))
            words |= {word for word in fields if isinstance(word, str)}
    return words


def test_generic_rooms_do_not_name_a_task():
    """Segmentation stands for every task: a new one needs its folder and a line of the registry.

    The registry, published weights and the original command lines know the tasks there are.
    """
    naming = set()
    for path in _sources(PACKAGE):
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith(("tasks/", "weights/", "cli/compat/")) or name == "registry.py":
            continue
        words = {word for word in _words(path) if re.search("segmentation|segmenter", word, re.I)}
        if words - (FORMAT_WORDS if name.startswith(("data/", "results/")) else set()):
            naming.add(name)
    assert naming <= KNOW_SEGMENTATION


@pytest.mark.parametrize("part", KERAS_ONLY)
def test_networks_import_no_tensorflow(part):
    """Keras only: models run on every backend.

    Inside a function it may be imported lazily (a grouped convolution needs TensorFlow's own
    operation on that backend), at the top of a module never.
    """
    wrong = [
        str(path.relative_to(REPOSITORY))
        for path in _sources(PACKAGE / part) or [PACKAGE / part]
        if any(
            name.split(".")[0] == "tensorflow"
            for name in _imported_modules(path, top_level_only=True)
        )
    ]
    assert not wrong


def test_no_tf_keras_anywhere():
    wrong = [
        str(path.relative_to(REPOSITORY))
        for path in _sources(PACKAGE)
        if re.search(r"\btf\.keras\b|\btf_keras\b", path.read_text(encoding="utf-8"))
    ]
    assert not wrong


def test_importing_the_package_imports_no_tensorflow():
    code = (
        "import sys, efficientvision\n"
        "heavy = {'tensorflow', 'keras', 'matplotlib', 'pycocotools'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_importing_configs_imports_no_tensorflow():
    """`--help` and a wrong hyper-parameter must answer at once."""
    code = (
        "import sys, efficientvision.configs, efficientvision.registry\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


_MACHINE_PATH = re.compile(r"(^|[^a-z])/(work|farm|root|home)/")
_REGISTRY_HOST = re.compile(r"files\.pythonhosted|pypi\.org|registry\.npmjs|deb\.debian")


def _tracked_files() -> list[pathlib.Path]:
    """Files of the repository: those of git, or every file where this is no checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if listed.returncode == 0:
        return [REPOSITORY / name for name in listed.stdout.split("\0") if name]
    return [p for p in REPOSITORY.rglob("*") if p.is_file() and ".venv" not in p.parts]


def test_no_machine_paths_and_no_registry_hosts():
    wrong = []
    for path in _tracked_files():
        if not path.exists():
            continue
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # A picture or an array.
        for number, line in enumerate(lines, start=1):
            if _MACHINE_PATH.search(line) or _REGISTRY_HOST.search(line):
                wrong.append(f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()[:80]}")
    assert not wrong


# An option, but no custom property of a style sheet (`--name:`, `var(--name)`).
_DASHED_OPTION = re.compile(r"(?<![\w(-])--[a-z]\w*(?![\w:])")


def _texts(tree: ast.AST) -> Iterator[ast.Constant]:
    """String literals, without docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in docstrings:
                yield node


def test_only_the_command_lines_write_options_with_dashes():
    """The library names an argument in backticks; `cli.console` shows it as a flag."""
    wrong = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno}: {node.value!r}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] != "cli"
        for node in _texts(_tree(path))
        if _DASHED_OPTION.search(node.value)
    ]
    assert not wrong


def test_source_files_stay_short():
    """A file has one reason to exist; one much longer than this has a second."""
    long = {
        str(path.relative_to(REPOSITORY)): lines
        for path in _tracked_files()
        if path.suffix == ".py" and path.exists()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert not long


def _public_functions(
    body: list[ast.stmt], owner: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _public_functions(node.body, f"{node.name}.")
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if not node.name.startswith("_") or node.name in ("__init__", "__call__"):
                yield owner + node.name, node
        elif isinstance(node, (ast.If, ast.Try)):
            yield from _public_functions(node.body, owner)


def _bare(name: str, function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Arguments without a type, and `return`."""
    given = function.args
    first = [*given.posonlyargs, *given.args]
    is_static = any(getattr(d, "id", "") == "staticmethod" for d in function.decorator_list)
    arguments = first[1:] if "." in name and not is_static else first
    arguments += [*given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    bare = [argument.arg for argument in arguments if argument.annotation is None]
    needs_result = function.returns is None and function.name != "__init__"
    return bare + ["return"] * needs_result


def test_public_functions_are_annotated():
    missing = {
        f"{path.relative_to(PACKAGE)}: {name}": bare
        for path in _sources(PACKAGE)
        for name, function in _public_functions(_tree(path).body)
        if not (_part(path) in ("layers", "backbones") and function.name in CALLED_BY_KERAS)
        if (bare := _bare(name, function))
    }
    assert not missing


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").exists()
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["setuptools"]["package-data"]["efficientvision"] == ["py.typed"]
