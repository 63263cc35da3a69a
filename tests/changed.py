"""Which test files a change touches: `make test-changed` runs them.

A test file imports what it tests, so a changed module belongs to the test files that import it,
themselves or through a helper in tests/. Where none does, the modules that import the changed one
stand for it. A file that is not a module belongs to the test files that name it or its folder.

A map of what tests execute, as pytest-testmon keeps, needs a traced run of all tests first, and
selects nearly all of them for a file that every command executes.
"""

from __future__ import annotations

import argparse
import ast
import functools
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The rules of the whole house; they take seconds.
ALWAYS = "tests/test_architecture.py"
MANY = 12


def touched_tests(changed: list[str]) -> list[str]:
    """The test files that belong to changed files, as paths from the project's root."""
    found = {ALWAYS}
    for path in changed:
        found |= _tests_of(path)
    return sorted(path for path in found if (ROOT / path).is_file())


def changed_files(since: str) -> list[str]:
    """Files that differ from a commit, and those that git does not know yet."""
    listings = (
        ["diff", "--name-only", since],
        ["ls-files", "--others", "--exclude-standard"],
    )
    return [
        line
        for listing in listings
        for line in subprocess.run(
            ["git", *listing], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.splitlines()
    ]


def _tests_of(path: str) -> set[str]:
    if _is_test(path):
        return {path}
    if path.startswith(("efficientvision/", "tests/")) and path.endswith(".py"):
        return _own_of_many(path, _tests_importing(path))
    file = pathlib.PurePath(path)
    words = (file.name, f"{file.parent.name}/", f'"{file.parent.name}"') if file.parent.name else ()
    texts = {test: (ROOT / test).read_text(encoding="utf-8") for test in _imports()}
    return {
        test
        for test, text in texts.items()
        if _is_test(test) and any(word in text for word in words or [file.name])
    }


def _tests_importing(path: str) -> set[str]:
    """Test files that import a module; else those of the modules that import it, and so on."""
    wanted, seen = {path}, set()
    while wanted - seen:
        seen |= wanted
        users = _users(wanted)
        if tests := set(filter(_is_test, users)):
            return tests
        wanted = users
    return set()


def _users(modules: set[str]) -> set[str]:
    """What imports one of the modules, itself or through a helper in tests/."""
    users = {user for user, used in _imports().items() if used & modules}
    helpers = {user for user in users - modules if user.startswith("tests/") and not _is_test(user)}
    return users | _users(helpers) if helpers else users


def _own_of_many(path: str, tests: set[str]) -> set[str]:
    """Where many test files import a module it is a tool of theirs: its own folder's are run."""
    if len(tests) <= MANY:
        return tests
    part = pathlib.PurePath(path).parts[1].removesuffix(".py")
    own = {t for t in tests if t.startswith(f"tests/{part}/") or t == f"tests/test_{part}.py"}
    return own or tests


def _is_test(path: str) -> bool:
    return path.startswith("tests/") and pathlib.PurePath(path).name.startswith("test_")


@functools.cache
def _imports() -> dict[str, set[str]]:
    """Each module's path -> the paths of the project's modules that it imports."""
    paths = [
        path
        for folder in ("efficientvision", "tests")
        for path in (ROOT / folder).rglob("*.py")
        if not (folder == "tests" and path.name == "__init__.py")
    ]
    by_name = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): str(
            path.relative_to(ROOT)
        )
        for path in paths
    }
    return {
        str(path.relative_to(ROOT)): {
            by_name[name] for name in _imported_names(path) if name in by_name
        }
        for path in paths
    }


def _imported_names(path: pathlib.Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("since", nargs="?", default="HEAD", help="commit to compare with")
    print(*touched_tests(changed_files(parser.parse_args().since)), sep="\n")
